// Package generatejwt implements the <GenerateJWT> policy: it makes a signed
// JWT (with <Algorithm>) or an encrypted one (with <Algorithms>) and puts it
// into a variable.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/generate-jwt-policy
//
// The header is typ JWT, alg, for encrypted tokens enc, kid from the key's Id,
// and what <AdditionalHeaders> adds. The payload always has iat. Times are in
// seconds.
//
// Variables: the token in <OutputVariable>, jwt.P.generated_jwt without it.
//
// Faults (401), which set JWT.failed and jwt.P.failed:
//
//   - steps.jwt.FailedToResolveVariable: a variable is not set
//   - steps.jwt.InsufficientKeyLength: the secret is shorter than the hash
//   - steps.jwt.InvalidSecretKey, InvalidPasswordKey, InvalidPrivateKey,
//     InvalidPublicKey, KeyParsingFailed: the variable holds no such key
//   - steps.jwt.WrongKeyType, InvalidCurve: the key is for another algorithm
//   - steps.jwt.NoMatchingPublicKey: the key set has no key with the Id
//   - steps.jwt.InvalidClaim, InvalidJsonFormat: an additional claim or header
//     has not its type
//   - steps.jwt.SigningFailed, EncryptionFailed, GenerationFailed: anything else
//
// Refused at deployment: MissingConfigurationElement, InvalidValueForElement,
// InvalidConfiguration, InvalidConfigurationForActionAndAlgorithm,
// InvalidKeyConfiguration, EmptyElementForKeyConfiguration,
// InvalidVariableNameForSecret, InvalidSecretInConfig, InvalidPublicKeyValue,
// InvalidPublicKeyId, InvalidNameForAdditionalClaim,
// InvalidTypeForAdditionalClaim, MissingNameForAdditionalClaim, the same for
// AdditionalHeader, InvalidValueOfArrayAttribute, InvalidTimeFormat,
// InvalidEmptyElement.
//
// Differences from Apigee: a variable's text that is evaluated as a template
// (type map) cannot read private variables; RSA keys under 2048 bits are
// refused.
package generatejwt

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jwt"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the GenerateJWT policy.
var Kind = policy.Define("GenerateJWT", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Type is Signed or Encrypted; without it, what Algorithm or Algorithms says.
	Type string `xml:"Type,once"`
	// Algorithm signs: HS, RS, PS or ES with 256, 384 or 512.
	Algorithm *jwt.Name `xml:"Algorithm,once"`
	// Algorithms encrypt.
	Algorithms *jwt.Algorithms `xml:"Algorithms,once"`
	jwt.SigningKeys
	jwt.EncryptionKeys
	// Subject is the sub claim.
	Subject *jwt.Value `xml:"Subject,once"`
	// Issuer is the iss claim.
	Issuer *jwt.Value `xml:"Issuer,once"`
	// Audience is the aud claim; several, separated by commas, make an array.
	Audience *jwt.Value `xml:"Audience,once"`
	// ID is the jti claim; an empty element makes a UUID.
	ID *jwt.Value `xml:"Id,once"`
	// ExpiresIn is how long the token is valid: a number and ms (the default),
	// s, m, h, d or w.
	ExpiresIn *jwt.Value `xml:"ExpiresIn,once"`
	// NotBefore is when the token becomes valid: a time, or a span from now.
	NotBefore *jwt.Value `xml:"NotBefore,once"`
	// AdditionalClaims go into the payload.
	AdditionalClaims *jwt.Claims `xml:"AdditionalClaims,once"`
	// AdditionalHeaders go into the header.
	AdditionalHeaders *jwt.Claims `xml:"AdditionalHeaders,once"`
	// CriticalHeaders are the names in the crit header, separated by commas.
	CriticalHeaders *jwt.Value `xml:"CriticalHeaders,once"`
	// Compress compresses the payload before it is encrypted.
	Compress bool `xml:"Compress,once"`
	// IgnoreUnresolvedVariables leaves out what variables that are not set would
	// give.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
	// OutputVariable is the variable for the token.
	OutputVariable *jwt.Name `xml:"OutputVariable,once"`

	_ struct{} `ignored:"CustomClaims"`
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	cc := &jwt.Compiler{Env: env, Generate: true}
	g := &jwt.JWTGenerator{
		Generator: jwt.Generator{
			Headers: cc.AdditionalHeaders(c.AdditionalHeaders), Critical: cc.Text(c.CriticalHeaders),
			IgnoreUnresolved: c.IgnoreUnresolvedVariables,
			Output:           cc.Output(c.OutputVariable, "jwt."+env.Name()+".generated_jwt"),
		},
		Subject: cc.Text(c.Subject), Issuer: cc.Text(c.Issuer), Audience: cc.Text(c.Audience), ID: cc.Text(c.ID),
		ExpiresIn: cc.Span("ExpiresIn", c.ExpiresIn), NotBefore: cc.Instant("NotBefore", c.NotBefore),
		Claims: cc.AdditionalClaims(c.AdditionalClaims), Compress: c.Compress,
	}
	if cc.Type(c.Type, c.Algorithm != nil, c.Algorithms != nil) {
		if g.Encryption = cc.Encryption(c.Algorithms); g.Encryption != nil {
			g.Keys = cc.EncryptionKey(c.SigningKeys, c.EncryptionKeys, g.Encryption)
		}
	} else if algs := cc.Signatures(c.Algorithm); len(algs) > 0 {
		g.Signature = algs[0]
		g.Keys = cc.SigningKey(c.SigningKeys, c.EncryptionKeys, algs)
	}
	if c.Compress && g.Encryption == nil {
		env.Warnf(c.Pos, "<Compress> has no effect on a signed JWT")
	}
	faults := jwt.NewFaults(env.Name(), false)
	return policy.Func(func(ctx context.Context, fc *flow.Context) error {
		if err := g.Run(ctx, fc); err != nil {
			return faults.Of(err)
		}
		return nil
	}), nil
}
