// Package verifyjwt implements the <VerifyJWT> policy: it verifies the signature
// of a JWT, or decrypts it, and compares its claims with the policy.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/verify-jwt-policy
//
// Order: the form of the token, its algorithm, the critical headers, the key,
// the signature; then exp, nbf and iat, MaxLifespan, sub, iss, jti, aud, the
// additional claims and headers, the required claims. A key in the token's own
// header (jwk, jku, x5c, x5u) is never used.
//
// Variables (jwt.P.), set once the signature is right, whatever the claims:
// header.<name>, header.algorithm, header.kid, header.type, header-json,
// decoded.header.<name>, claim.<name>, claim.subject, claim.issuer,
// claim.audience, claim.expiry, claim.issuedat, claim.notbefore (ms),
// decoded.claim.<name>, payload-json, payload-claim-names, expiry_formatted,
// is_expired, seconds_remaining, time_remaining_formatted. valid is always set.
//
// Faults (401), which set JWT.failed and jwt.P.failed:
//
//   - steps.jwt.FailedToResolveVariable: the source or another variable is not set
//   - steps.jwt.FailedToDecode: the source holds no JWT
//   - steps.jwt.InvalidJsonFormat: the header or the payload is no JSON object
//   - steps.jwt.NoAlgorithmFoundInHeader: there is no alg
//   - steps.jwt.AlgorithmMismatch: alg (or enc) is not the policy's
//   - steps.jwt.AlgorithmInTokenNotPresentInConfiguration: alg is none of several
//   - steps.jwt.UnhandledCriticalHeader: crit names a header that is not known
//   - steps.jwt.KeyIdMissing: the key is in a set and the token names none
//   - steps.jwt.NoMatchingPublicKey: the set has no such key
//   - steps.jwt.KeyParsingFailed, InvalidPublicKey, InvalidPrivateKey,
//     InvalidSecretKey, InvalidPasswordKey, InsufficientKeyLength, WrongKeyType,
//     InvalidCurve: the key cannot be used, or its set not be fetched
//   - steps.jwt.InvalidToken: the signature is wrong, or decryption failed
//   - steps.jwt.TokenExpired, TokenNotYetValid: exp, nbf, iat
//   - steps.jwt.InvalidClaim: a claim or header is missing or different
//
// Refused at deployment: as GenerateJWT, and InvalidFamiliesForAlgorithm.
//
// Differences from Apigee: a key set whose source is down is used for 300 s
// longer than its 300 s; RSA keys under 2048 bits are refused; a variable of an
// expected claim that is not set never matches, even with
// IgnoreUnresolvedVariables.
package verifyjwt

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jwt"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the VerifyJWT policy.
var Kind = policy.Define("VerifyJWT", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Type is Signed or Encrypted; without it, what Algorithm or Algorithms says.
	Type string `xml:"Type,once"`
	// Algorithm is the algorithm of signed tokens, or several of one family.
	Algorithm *jwt.Name `xml:"Algorithm,once"`
	// Algorithms are those of encrypted tokens.
	Algorithms *jwt.Algorithms `xml:"Algorithms,once"`
	// Source is the variable with the token, request.header.authorization
	// without it. "Bearer " in front of the token is dropped.
	Source *jwt.Name `xml:"Source,once"`
	jwt.SigningKeys
	jwt.EncryptionKeys
	// Subject is what sub must be.
	Subject *jwt.Value `xml:"Subject,once"`
	// Issuer is what iss must be.
	Issuer *jwt.Value `xml:"Issuer,once"`
	// Audience is what aud must be or hold: one of several separated by commas.
	Audience *jwt.Value `xml:"Audience,once"`
	// ID is what jti must be; an empty element asks for nothing.
	ID *jwt.Value `xml:"Id,once"`
	// AdditionalClaims must be in the payload with the same values.
	AdditionalClaims *jwt.Claims `xml:"AdditionalClaims,once"`
	// AdditionalHeaders must be in the header with the same values.
	AdditionalHeaders *jwt.Claims `xml:"AdditionalHeaders,once"`
	// RequiredClaims must be in the payload; names, separated by commas.
	RequiredClaims *jwt.Value `xml:"RequiredClaims,once"`
	// KnownHeaders are the critical headers that are understood; names,
	// separated by commas.
	KnownHeaders *jwt.Value `xml:"KnownHeaders,once"`
	// IgnoreCriticalHeaders leaves the crit header unread.
	IgnoreCriticalHeaders bool `xml:"IgnoreCriticalHeaders,once"`
	// IgnoreIssuedAt lets tokens through that are issued in the future.
	IgnoreIssuedAt bool `xml:"IgnoreIssuedAt,once"`
	// TimeAllowance is how far clocks may differ: s, m, h, d.
	TimeAllowance *jwt.Value `xml:"TimeAllowance,once"`
	// MaxLifespan is the longest time between nbf and exp: s, m, h, d, w.
	MaxLifespan *MaxLifespan `xml:"MaxLifespan,once"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`

	_ struct{} `ignored:"CustomClaims"`
}

// MaxLifespan is <MaxLifespan>.
type MaxLifespan struct {
	bundle.Pos
	Ref string `xml:"ref,attr"`
	// UseIssueTime counts from iat instead of nbf.
	UseIssueTime bool   `xml:"useIssueTime,attr"`
	Text         string `xml:",chardata"`
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	cc := &jwt.Compiler{Env: env}
	v := &jwt.JWTVerifier{
		Verifier: jwt.Verifier{
			Known: cc.Text(c.KnownHeaders), IgnoreCritical: c.IgnoreCriticalHeaders,
			Headers: cc.AdditionalHeaders(c.AdditionalHeaders), IgnoreUnresolved: c.IgnoreUnresolvedVariables,
		},
		Subject: cc.Text(c.Subject), Issuer: cc.Text(c.Issuer), Audience: cc.Text(c.Audience), ID: cc.Text(c.ID),
		Required: cc.Text(c.RequiredClaims), Claims: cc.AdditionalClaims(c.AdditionalClaims),
		Allowance: cc.Span("TimeAllowance", c.TimeAllowance), IgnoreIssuedAt: c.IgnoreIssuedAt,
	}
	if m := c.MaxLifespan; m != nil {
		v.MaxLifespan = cc.Span("MaxLifespan", &jwt.Value{Pos: m.Pos, Ref: m.Ref, Text: m.Text})
		v.UseIssueTime = m.UseIssueTime
		if v.MaxLifespan == nil {
			cc.Empty(m.Pos, "MaxLifespan")
		}
	}
	if cc.Type(c.Type, c.Algorithm != nil, c.Algorithms != nil) {
		if v.Encryption = cc.Encryption(c.Algorithms); v.Encryption != nil {
			v.Keys = cc.EncryptionKey(c.SigningKeys, c.EncryptionKeys, v.Encryption)
		}
	} else if v.Signatures = cc.Signatures(c.Algorithm); len(v.Signatures) > 0 {
		v.Keys = cc.SigningKey(c.SigningKeys, c.EncryptionKeys, v.Signatures)
	}
	v.Prepare(env.Name())
	return &step{v, cc.Source(c.Source), jwt.NewFaults(env.Name(), false)}, nil
}

type step struct {
	verifier *jwt.JWTVerifier
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
