// Package verifyjws implements the <VerifyJWS> policy: it verifies the signature
// of a JWS, with its payload in it or detached from it.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/verify-jws-policy
//
// A key in the token's own header (jwk, jku, x5c, x5u) is never used.
//
// Variables (jws.P.), set once the signature is right: header.<name>,
// header.algorithm, header.kid, header.type, header-json,
// decoded.header.<name>, payload (empty if it is detached). valid is always
// set.
//
// Faults (401), which set JWS.failed and jws.P.failed:
//
//   - steps.jws.FailedToResolveVariable: the source or another variable is not set
//   - steps.jws.FailedToDecode: the source holds no JWS
//   - steps.jws.InvalidJsonFormat: the header is no JSON object
//   - steps.jws.NoAlgorithmFoundInHeader: there is no alg
//   - steps.jws.AlgorithmMismatch: alg is not the policy's
//   - steps.jws.AlgorithmInTokenNotPresentInConfiguration: alg is none of several
//   - steps.jws.UnhandledCriticalHeader: crit names a header that is not known
//   - steps.jws.InvalidSignature: the payload is detached, and there is no
//     <DetachedContent>
//   - steps.jws.InvalidPayload: the payload is in the token, and there is
//     <DetachedContent>
//   - steps.jws.KeyIdMissing, NoMatchingPublicKey, KeyParsingFailed,
//     InvalidPublicKey, InvalidSecretKey, InsufficientKeyLength, WrongKeyType,
//     InvalidCurve: as for VerifyJWT
//   - steps.jws.InvalidJws: the signature is wrong
//   - steps.jws.InvalidClaim: a header is missing or different
//
// Refused at deployment: as GenerateJWS, and InvalidFamiliesForAlgorithm,
// InvalidPublicKeyValue.
package verifyjws

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jwt"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the VerifyJWS policy.
var Kind = policy.Define("VerifyJWS", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Type is Signed, and may be left out.
	Type string `xml:"Type,once"`
	// Algorithm is the algorithm, or several of one family. Required.
	Algorithm *jwt.Name `xml:"Algorithm,once"`
	// Source is the variable with the token, request.header.authorization
	// without it. "Bearer " in front of the token is dropped.
	Source *jwt.Name `xml:"Source,once"`
	// DetachedContent is the variable with the payload of a detached JWS.
	DetachedContent *jwt.Value `xml:"DetachedContent,once"`
	jwt.SigningKeys
	// AdditionalHeaders must be in the header with the same values.
	AdditionalHeaders *jwt.Claims `xml:"AdditionalHeaders,once"`
	// KnownHeaders are the critical headers that are understood; names,
	// separated by commas.
	KnownHeaders *jwt.Value `xml:"KnownHeaders,once"`
	// IgnoreCriticalHeaders leaves the crit header unread.
	IgnoreCriticalHeaders bool `xml:"IgnoreCriticalHeaders,once"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	cc := &jwt.Compiler{Env: env, JWS: true}
	v := &jwt.JWSVerifier{
		Verifier: jwt.Verifier{
			Known: cc.Text(c.KnownHeaders), IgnoreCritical: c.IgnoreCriticalHeaders,
			Headers: cc.AdditionalHeaders(c.AdditionalHeaders), IgnoreUnresolved: c.IgnoreUnresolvedVariables,
		},
		Detached: cc.DetachedContent(c.DetachedContent),
	}
	cc.Type(c.Type, c.Algorithm != nil, false)
	if v.Signatures = cc.Signatures(c.Algorithm); len(v.Signatures) > 0 {
		v.Keys = cc.SigningKey(c.SigningKeys, jwt.EncryptionKeys{}, v.Signatures)
	}
	v.Prepare(env.Name())
	return &step{v, cc.Source(c.Source), jwt.NewFaults(env.Name(), true)}, nil
}

type step struct {
	verifier *jwt.JWSVerifier
	source   jwt.Source
	faults   jwt.Faults
}

// Run verifies the token.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	token, err := s.source.Get(fc)
	if err == nil {
		err = s.verifier.Run(ctx, fc, token)
	}
	if err != nil {
		return s.faults.Of(err)
	}
	return nil
}
