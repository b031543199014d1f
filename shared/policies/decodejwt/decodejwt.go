// Package decodejwt implements the <DecodeJWT> policy: it reads a JWT without
// verifying it. Nothing it sets can be trusted. Of an encrypted JWT only the
// header can be read.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/decode-jwt-policy
//
// Variables (jwt.P.): those of VerifyJWT without valid.
//
// Faults (401), which set JWT.failed and jwt.P.failed:
//
//   - steps.jwt.FailedToResolveVariable: the source is not set
//   - steps.jwt.FailedToDecode: the source holds no JWT
//   - steps.jwt.InvalidJsonFormat: the header or the payload is no JSON object
//
// Refused at deployment: InvalidEmptyElement.
package decodejwt

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jwt"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the DecodeJWT policy.
var Kind = policy.Define("DecodeJWT", New)

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
	cc := &jwt.Compiler{Env: env}
	source, d, faults := cc.Source(c.Source), jwt.NewDecoder(env.Name(), false), jwt.NewFaults(env.Name(), false)
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
