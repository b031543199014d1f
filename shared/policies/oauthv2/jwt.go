package oauthv2

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jwt"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// The JWT operations are those of opaque tokens with another text: RFC 9068.
// Source: https://cloud.google.com/apigee/docs/api-platform/security/oauth/using-jwt-oauth

// algorithms are those of JWT access tokens.
var algorithms = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512"}

// newJWT compiles algorithm and key; nil if the policy is refused. generate asks
// for the key that signs.
func newJWT(c *Config, env *policy.Env, generate bool) *jwt.AccessTokens {
	if !slices.Contains(algorithms, c.Algorithm) {
		env.Errorf(bundle.Pos{}, "InvalidValueForAlgorithm: Invalid value %q for Algorithm, want one of %s", c.Algorithm, strings.Join(algorithms, ", "))
		return nil
	}
	if !checkKeys(c, env, generate) {
		return nil
	}
	cc := &jwt.Compiler{Env: env, Generate: generate}
	sig := jwt.SignatureNamed(c.Algorithm)
	keys := cc.SigningKey(c.SigningKeys, jwt.EncryptionKeys{}, []*jwt.Signature{sig})
	if keys == nil {
		return nil
	}
	return &jwt.AccessTokens{Signature: sig, Keys: keys}
}

// checkKeys refuses key elements by the names this policy has for it.
func checkKeys(c *Config, env *policy.Env, generate bool) bool {
	want := "PublicKey"
	switch {
	case strings.HasPrefix(c.Algorithm, "HS"):
		want = "SecretKey"
	case generate:
		want = "PrivateKey"
	}
	found := false
	for _, k := range []struct {
		name  string
		there bool
		value *jwt.Value
	}{
		{"SecretKey", c.SecretKey != nil, secretValue(c.SecretKey)},
		{"PrivateKey", c.PrivateKey != nil, privateValue(c.PrivateKey)},
		{"PublicKey", c.PublicKey != nil, publicValue(c.PublicKey)},
	} {
		switch {
		case !k.there:
		case k.name != want:
			env.Errorf(bundle.Pos{}, "InvalidKeyConfiguration: <%s> does not go with algorithm %s and operation %s", k.name, c.Algorithm, c.Operation)
			return false
		default:
			found = true
			if !checkKey(k.name, k.value, c.PublicKey, env) {
				return false
			}
		}
	}
	if !found {
		env.Errorf(bundle.Pos{}, "MissingKeyConfiguration: <%s> is required for algorithm %s and operation %s", want, c.Algorithm, c.Operation)
	}
	return found
}

func checkKey(name string, v *jwt.Value, public *jwt.PublicKey, env *policy.Env) bool {
	switch {
	case v == nil && name == "PublicKey" && (public.JWKS != nil || public.Certificate != nil):
	case v == nil:
		env.Errorf(bundle.Pos{}, "EmptyValueElementForKeyConfiguration: <%s> has no <Value>", name)
		return false
	case v.Ref == "" && (name != "PublicKey" || v.Text == ""):
		env.Errorf(v.Pos, "EmptyRefAttributeForKeyconfiguration: <Value> of <%s> has no ref", name)
		return false
	case name != "PublicKey" && !strings.HasPrefix(v.Ref, "private."):
		env.Errorf(v.Pos, "InvalidVariableNameForKey: the variable %s of <%s> must begin with private.", v.Ref, name)
		return false
	}
	return true
}

func secretValue(k *jwt.SecretKey) *jwt.Value {
	if k == nil {
		return nil
	}
	return k.Value
}

func privateValue(k *jwt.PrivateKey) *jwt.Value {
	if k == nil {
		return nil
	}
	return k.Value
}

func publicValue(k *jwt.PublicKey) *jwt.Value {
	if k == nil {
		return nil
	}
	return k.Value
}

// signs makes an issuing operation one of JWTs.
func (s *issueStep) signs(c *Config, env *policy.Env) {
	s.mint = newJWT(c, env, true)
	if s.access.text == policy.NeverExpires {
		env.Errorf(c.ExpiresIn.Pos, "InvalidValueForExpiresIn: a JWT access token must expire: RFC 9068 section 2.2")
	}
}

func newGenerateJWT(c *Config, b base, env *policy.Env) policy.Policy {
	s := newGenerate(c, b, env).(*generateStep)
	s.signs(c, env)
	return s
}

func newRefreshJWT(c *Config, b base, env *policy.Env) policy.Policy {
	s := newRefresh(c, b, env).(*refreshStep)
	s.signs(c, env)
	return s
}

func newImplicitJWT(c *Config, b base, env *policy.Env) policy.Policy {
	s := newImplicit(c, b, env).(*implicitStep)
	s.signs(c, env)
	return s
}

// sign makes the service mint JWTs for the request.
func (s *issueStep) sign(ctx context.Context, fc *flow.Context, r *policy.TokenRequest) {
	if s.mint == nil {
		return
	}
	if r.ExpiresIn == policy.NeverExpires { // of the variable in ref
		r.ExpiresIn = s.access.text
	}
	issuer := fc.Client.Scheme + "://" + fc.Virtual + fc.BasePath
	r.Mint = func(t *policy.Token) (string, error) {
		subject := t.EndUser
		if subject == "" {
			subject = t.ClientID
		}
		text, err := s.mint.Sign(ctx, fc, jwt.AccessClaims{
			Issuer: issuer, Subject: subject, ID: uuid.NewString(), ClientID: t.ClientID, Scope: t.Scope, IssuedAt: t.Issued, Expires: t.Expires,
		})
		if err != nil {
			v, cause := s.jwtVerdict(err)
			return "", s.fault(fc, v).WithCause(cause)
		}
		return text, nil
	}
}

// jwtVerdict is the verdict on a token or key that cannot be used.
func (b *base) jwtVerdict(err error) (verdict, error) {
	var e *jwt.Error
	if errors.As(err, &e) && e.Name == "FailedToDecode" {
		return verdict{"oauth.v2.JWTDecodingFailed", 401, "JWT Access token decoding failed"}, err
	}
	f := jwt.NewFaults(b.name, false).Of(err)
	return verdict{"steps.oauth.v2." + f.ShortName(), f.Status, f.Text}, f.Cause
}

func newVerifyJWT(c *Config, b base, env *policy.Env) policy.Policy {
	s := newVerify(c, b, env).(*verifyStep)
	s.jwt = newJWT(c, env, false)
	return s
}

// jwtError carries an error of package jwt through the token service.
type jwtError struct{ error }

func (e jwtError) Unwrap() error { return e.error }

// prepare makes the service decode the token as a JWT.
func (s *verifyStep) prepare(ctx context.Context, fc *flow.Context, check *policy.TokenCheck) error {
	id, err := s.jwt.KeyID(ctx, fc)
	if err != nil {
		return err
	}
	check.KeyID = id
	check.JWT = func(ctx context.Context, text string) (*policy.JWTClaims, error) {
		c, err := s.jwt.Verify(ctx, fc, text, s.now())
		if err != nil {
			return nil, jwtError{err}
		}
		return &policy.JWTClaims{ClientID: c.ClientID, Scope: c.Scope, Subject: c.Subject, Issued: c.IssuedAt, Expires: c.Expires}, nil
	}
	return nil
}

// refusedJWT is the refusal for an error of a JWT's key or text.
func (s *verifyStep) refusedJWT(fc *flow.Context, err error) error {
	v, cause := s.jwtVerdict(err)
	return s.refuse(fc, v, cause)
}
