// Package generatejws implements the <GenerateJWS> policy: it signs a payload of
// any kind and puts the JWS into a variable. The payload may be left out of the
// JWS (detached).
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/generate-jws-policy
//
// The header is alg, kid from the key's Id, and what <AdditionalHeaders> adds.
//
// Variables: the token in <OutputVariable>, jws.P.generated_jws without it.
//
// Faults (401), which set JWS.failed and jws.P.failed:
//
//   - steps.jws.FailedToResolveVariable: a variable is not set
//   - steps.jws.MissingPayload: the payload's variable is not set, and that is
//     ignored
//   - steps.jws.InsufficientKeyLength: the secret of HS256 is too short
//   - steps.jws.SigningFailed: that of HS384 or HS512 is, or anything else
//   - steps.jws.InvalidSecretKey, InvalidPrivateKey: the variable holds no key
//   - steps.jws.WrongKeyType, InvalidCurve: the key is for another algorithm
//   - steps.jws.InvalidClaim, InvalidJsonFormat: an additional header has not
//     its type
//   - steps.jws.GenerationFailed: the output cannot be set
//
// Refused at deployment: InvalidAlgorithm, MissingConfigurationElement,
// InvalidConfigurationForActionAndAlgorithmFamily, InvalidKeyConfiguration,
// EmptyElementForKeyConfiguration, InvalidVariableNameForSecret,
// InvalidSecretInConfig, InvalidValueForElement, InvalidEmptyElement, and those
// for AdditionalHeader.
//
// Differences from Apigee: a variable's text that is evaluated as a template
// cannot read private variables; RSA keys under 2048 bits are refused.
package generatejws

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jwt"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the GenerateJWS policy.
var Kind = policy.Define("GenerateJWS", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Type is Signed, and may be left out.
	Type string `xml:"Type,once"`
	// Algorithm signs: HS, RS, PS or ES with 256, 384 or 512. Required.
	Algorithm *jwt.Name `xml:"Algorithm,once"`
	jwt.SigningKeys
	// Payload is what is signed: a template, or a variable. Required.
	Payload *jwt.Value `xml:"Payload,once"`
	// DetachContent leaves the payload out of the token.
	DetachContent bool `xml:"DetachContent,once"`
	// AdditionalHeaders go into the header.
	AdditionalHeaders *jwt.Claims `xml:"AdditionalHeaders,once"`
	// CriticalHeaders are the names in the crit header, separated by commas.
	CriticalHeaders *jwt.Value `xml:"CriticalHeaders,once"`
	// IgnoreUnresolvedVariables leaves out what variables that are not set would
	// give.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
	// OutputVariable is the variable for the token.
	OutputVariable *jwt.Name `xml:"OutputVariable,once"`
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	cc := &jwt.Compiler{Env: env, JWS: true, Generate: true}
	g := &jwt.JWSGenerator{
		Generator: jwt.Generator{
			Headers: cc.AdditionalHeaders(c.AdditionalHeaders), Critical: cc.Text(c.CriticalHeaders),
			IgnoreUnresolved: c.IgnoreUnresolvedVariables,
			Output:           cc.Output(c.OutputVariable, "jws."+env.Name()+".generated_jws"),
		},
		Payload: cc.Payload(c.Payload), Detach: c.DetachContent,
	}
	cc.Type(c.Type, c.Algorithm != nil, false)
	if algs := cc.Signatures(c.Algorithm); len(algs) > 0 {
		g.Signature = algs[0]
		g.Keys = cc.SigningKey(c.SigningKeys, jwt.EncryptionKeys{}, algs)
	}
	faults := jwt.NewFaults(env.Name(), true)
	return policy.Func(func(ctx context.Context, fc *flow.Context) error {
		if err := g.Run(ctx, fc); err != nil {
			return faults.Of(err)
		}
		return nil
	}), nil
}
