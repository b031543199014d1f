package oauthv2

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jwt"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// verifyStep is VerifyAccessToken and VerifyJWTAccessToken.
type verifyStep struct {
	base
	token  flow.Var
	prefix string // before the token, lower-cased, with a blank; "" for none
	scopes []string
	expiry lifetimeOfCache
	jwt    *jwt.AccessTokens // of VerifyJWTAccessToken
	// required is the text of InsufficientScope.
	required string
}

// lifetimeOfCache is a compiled <CacheExpiryInSeconds>.
type lifetimeOfCache struct {
	ref  flow.Var
	text time.Duration
}

const mostCached = 180

func newVerify(c *Config, b base, env *policy.Env) policy.Policy {
	s := &verifyStep{base: b, scopes: strings.Fields(c.Scope)}
	s.required = "Required scope(s): [" + strings.Join(s.scopes, ", ") + "]"
	prefix := c.AccessTokenPrefix
	if c.AccessToken == "" {
		s.token = env.Var("request.header.Authorization")
		if prefix == "" {
			prefix = "Bearer"
		}
	} else {
		s.token = env.Var(c.AccessToken)
	}
	if prefix != "" {
		s.prefix = prefix + " "
	}
	s.expiry = cacheExpiry(c.CacheExpiryInSeconds, env)
	return s
}

func cacheExpiry(n *Number, env *policy.Env) lifetimeOfCache {
	var l lifetimeOfCache
	if n == nil {
		return l
	}
	if n.Ref != "" {
		l.ref = env.Var(n.Ref)
	}
	if n.Text != "" {
		var ok bool
		if l.text, ok = seconds(n.Text); !ok {
			env.Errorf(n.Pos, "<CacheExpiryInSeconds> is %q, want a number of seconds from 1 to %d", n.Text, mostCached)
		} else if l.text > mostCached*time.Second {
			env.Warnf(n.Pos, "<CacheExpiryInSeconds> is %s; what is known of a token is kept for %d seconds at most", strings.TrimSpace(n.Text), mostCached)
			l.text = mostCached * time.Second
		}
	}
	return l
}

func seconds(text string) (time.Duration, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	return time.Duration(n) * time.Second, err == nil && n >= 1
}

func (l *lifetimeOfCache) get(fc *flow.Context) time.Duration {
	if l.ref.IsZero() {
		return l.text
	}
	if d, ok := seconds(l.ref.Get(fc).String()); ok {
		return min(d, mostCached*time.Second)
	}
	return l.text
}

// Run verifies the token of the call.
func (s *verifyStep) Run(ctx context.Context, fc *flow.Context) error {
	text, ok := s.find(fc)
	if !ok {
		return s.refuse(fc, verdict{"oauth.v2.InvalidAccessToken", 401, "Invalid access token"}, nil)
	}
	call := policy.CallOf(fc)
	call.CacheExpiry = s.expiry.get(fc)
	check := policy.TokenCheck{Text: text, Call: call, Scopes: s.scopes}
	if s.jwt != nil {
		if err := s.prepare(ctx, fc, &check); err != nil {
			return s.refusedJWT(fc, err)
		}
	}
	g, err := s.tokens.Verify(ctx, check)
	if err != nil {
		return s.refused(fc, err)
	}
	fc.Provide("", g.Variables)
	fc.Put(expiresIn, flow.IntValue(g.Token.Left(s.now())))
	fc.Caller = g.Caller
	return nil
}

const expiresIn = "expires_in"

// find is the token of the call: RFC 6750 section 2.1.
func (s *verifyStep) find(fc *flow.Context) (string, bool) {
	v := s.token.Get(fc)
	if v.IsNull() {
		return "", false
	}
	text := unquote(v.String())
	if s.prefix == "" {
		return text, text != ""
	}
	if len(text) <= len(s.prefix) || !strings.EqualFold(text[:len(s.prefix)], s.prefix) {
		return "", false
	}
	text = strings.TrimSpace(text[len(s.prefix):])
	return text, text != ""
}

// unquote takes a pair of double quotes off the value as a whole: Apigee takes
// a header so written, as its own samples send it
// (apigee-samples/oauth-client-credentials/test).
func unquote(s string) string {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// verdict is a fault's code, status and text.
type verdict struct {
	code   string
	status int
	text   string
}

// verdicts are the refusals of a token.
// Source: policies reference, "Failures of Verify"
var verdicts = map[policy.TokenReason]verdict{
	policy.UnknownToken: {"keymanagement.service.invalid_access_token", 401, "Invalid Access Token"},
	policy.TokenExpired: {"keymanagement.service.access_token_expired", 401, "Access Token expired"},
	policy.TokenRevoked: {"keymanagement.service.access_token_not_approved", 401, "Access Token not approved"},
	policy.NoProduct:    {"keymanagement.service.InvalidAPICallAsNoApiProductMatchFound", 401, "Invalid API call as no apiproduct match found"},
	policy.NoProducts:   {"keymanagement.service.apiproduct_doesnot_exist", 401, "API Product does not exist"},
}

func (s *verifyStep) refused(fc *flow.Context, err error) error {
	var j jwtError
	if errors.As(err, &j) {
		return s.refusedJWT(fc, j.error)
	}
	var e *policy.TokenError
	if !errors.As(err, &e) {
		var f *fault.Fault
		if errors.As(err, &f) {
			return s.refuse(fc, verdict{f.Code, f.Status, f.Text}, f.Cause)
		}
		return s.refuse(fc, verdict{"datastore.ErrorWhileAccessingDataStore", 500, "Error while accessing datastore;Please retry later"}, err)
	}
	switch e.Reason {
	case policy.TokenExpired:
		if s.jwt != nil {
			return s.refusedJWT(fc, &jwt.Error{Name: "TokenExpired"})
		}
	case policy.InsufficientScope:
		return s.refuse(fc, verdict{"steps.oauth.v2.InsufficientScope", 403, s.required}, nil)
	case policy.NoResource:
		return s.refuse(fc, verdict{"keymanagement.service.apiresource_doesnot_exist", 401, "APIResource " + e.Detail + " does not exist"}, nil)
	}
	if v, ok := verdicts[e.Reason]; ok {
		return s.refuse(fc, v, e.Cause)
	}
	if e.Fault != nil {
		return s.refuse(fc, verdict{e.Fault.Code, e.Fault.Status, e.Fault.Text}, e.Cause)
	}
	return s.refuse(fc, verdicts[policy.UnknownToken], err)
}

// refuse is the fault for a verdict, with the header of RFC 6750 section 3.
func (s *verifyStep) refuse(fc *flow.Context, v verdict, cause error) error {
	f := s.fault(fc, v).WithCause(cause)
	challenge := "invalid_token"
	if v.status == 403 {
		challenge = "insufficient_scope"
	}
	if v.status == 401 || v.status == 403 {
		f.Header = append(f.Header, message.Field{Name: "WWW-Authenticate", Value: `Bearer realm=` + quoted(or(s.realm, "null")) +
			`,error="` + challenge + `",error_description=` + quoted(v.code+": "+v.text)})
	}
	if s.errors {
		f.Message = s.errorMessage(problem{v.status, f.ShortName(), challenge, v.text})
		return s.end(fc, f)
	}
	return f
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// quoted is a quoted-string of RFC 9110 section 5.6.4; what no header may hold is
// left out.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ' && c < 0x7f:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// fault is the fault for a verdict, and its variables.
func (b *base) fault(fc *flow.Context, v verdict) *fault.Fault {
	f := fault.New(v.code, v.status, v.text).Failed("oauthV2." + b.name + ".failed")
	fc.PutText("oauthV2."+b.name+".fault.name", f.ShortName())
	fc.PutText("oauthV2."+b.name+".fault.cause", v.text)
	return f
}

// newInvalidate and newValidate change whether tokens are approved: RFC 7009, and
// the way back.
func newInvalidate(c *Config, b base, env *policy.Env) policy.Policy {
	return newApprove(c, b, env, false)
}

func newValidate(c *Config, b base, env *policy.Env) policy.Policy {
	return newApprove(c, b, env, true)
}

type approveStep struct {
	base
	approve bool
	tokens  []tokenRef
}

type tokenRef struct {
	kind    policy.TokenKind
	cascade bool
	token   flow.Var
}

func newApprove(c *Config, b base, env *policy.Env, approve bool) policy.Policy {
	s := &approveStep{base: b, approve: approve}
	if len(c.Tokens) == 0 {
		env.Errorf(bundle.Pos{}, "TokenValueRequired: Token value is required for operation %s", c.Operation)
	}
	for _, t := range c.Tokens {
		kind := policy.TokenKind(t.Type)
		switch {
		case t.Variable == "":
			env.Errorf(t.Pos, "TokenValueRequired: Token value is required for operation %s", c.Operation)
		case kind != policy.AccessToken && kind != policy.RefreshToken:
			env.Errorf(t.Pos, "InvalidTokenType: Token type %q is not valid, want accesstoken or refreshtoken", t.Type)
		case t.Cascade == nil:
			env.Errorf(t.Pos, "<Token> has no cascade")
		default:
			s.tokens = append(s.tokens, tokenRef{kind, *t.Cascade, env.Var(t.Variable)})
		}
	}
	return s
}

// Run revokes or approves the tokens.
func (s *approveStep) Run(ctx context.Context, fc *flow.Context) error {
	for _, t := range s.tokens {
		text := t.token.Get(fc).String()
		if text == "" {
			return s.fault(fc, verdict{"steps.oauth.v2.FailedToResolveToken", 500, "Failed to resolve token " + t.token.Name()})
		}
		if err := s.base.tokens.SetApproved(ctx, t.kind, text, s.approve, t.cascade); err != nil {
			return s.refused(fc, err)
		}
	}
	return nil
}

func (s *approveStep) refused(fc *flow.Context, err error) error {
	v := verdict{"datastore.ErrorWhileAccessingDataStore", 500, "Error while accessing datastore;Please retry later"}
	var e *policy.TokenError
	if errors.As(err, &e) {
		switch e.Reason {
		case policy.UnknownToken:
			v = verdicts[policy.UnknownToken]
		case policy.UnknownRefreshToken:
			v = verdict{"keymanagement.service.invalid_refresh_token", 401, "Invalid Refresh Token"}
		case policy.OtherTokenKind:
			v = verdict{"steps.oauth.v2.InvalidTokenType", 500, "Invalid token type"}
		}
	}
	return s.fault(fc, v).WithCause(err)
}
