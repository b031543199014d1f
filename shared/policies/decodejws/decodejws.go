// Package decodejws implements the <DecodeJWS> policy: it reads the header of a
// JWS, and its payload if it is attached, without verifying them. Nothing it
// sets can be trusted.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/decode-jws-policy
//
// Variables (jws.P.): header.<name>, header.algorithm, header.kid, header.type,
// header-json, decoded.header.<name>, payload.
//
// Faults (401), which set JWS.failed and jws.P.failed:
//
//   - steps.jws.FailedToResolveVariable: the source is not set
//   - steps.jws.FailedToDecode: the source holds no JWS
//   - steps.jws.InvalidJsonFormat: the header is no JSON object
//
// Refused at deployment: InvalidEmptyElement.
package decodejws

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jwt"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the DecodeJWS policy.
var Kind = policy.Define("DecodeJWS", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Source is the variable with the token, request.header.authorization
	// without it. "Bearer " in front of the token is dropped.
	Source *jwt.Name `xml:"Source,once"`

	_ struct{} `ignored:"IgnoreUnresolvedVariables"`
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	cc := &jwt.Compiler{Env: env, JWS: true}
	source, d, faults := cc.Source(c.Source), jwt.NewDecoder(env.Name(), true), jwt.NewFaults(env.Name(), true)
	return policy.Func(func(_ context.Context, fc *flow.Context) error {
		token, err := source.Get(fc)
		if err == nil {
			err = d.Run(fc, token)
		}
		if err != nil {
			return faults.Of(err)
		}
		return nil
	}), nil
}
