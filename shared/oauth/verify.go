package oauth

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// verified is a token that was found to be genuine and in force.
type verified struct {
	token      *policy.Token
	org        string
	scopes     []string
	read       time.Time
	generation int64
	jwt        bool
	key        [32]byte // of JWTClaims.KeyID
	// last is the grant of the last call: most tokens are used for one product.
	last atomic.Pointer[policy.TokenGrant]
}

// refusal is when a token was found not to exist.
type refusal struct {
	read    time.Time
	version int64
}

func (v *verified) weight() uint32 {
	n := 1<<10 + len(v.token.Text) + len(v.token.Scope)
	for _, a := range v.token.Attributes {
		n += len(a.Name) + len(a.Value) + 80
	}
	return uint32(n)
}

// Verify implements policy.TokenVerifier: RFC 6750 section 3.1 says which
// refusals there are. The token is known and in force; its key, app and owner
// are; one of its products, which must still be one of the key's, allows the
// call; it has a scope.
func (s *Service) Verify(ctx context.Context, c policy.TokenCheck) (*policy.TokenGrant, error) {
	v, err := s.inForceToken(ctx, &c)
	if err != nil {
		return nil, err
	}
	client, err := s.clients.Resolve(ctx, v.token.ClientID)
	if err != nil {
		return nil, clientGone(err)
	}
	if err := s.inForce(client); err != nil {
		return nil, err
	}
	m, ok := client.MatchAmong(&c.Call, v.token.Products)
	if !ok {
		return nil, noMatch(client, &c.Call, v.token.Products)
	}
	if len(c.Scopes) > 0 && !slices.ContainsFunc(c.Scopes, func(scope string) bool { return has(v.scopes, scope) }) {
		return nil, refused(policy.InsufficientScope)
	}
	return v.grant(client.Grant(m)), nil
}

func clientGone(err error) error {
	if err == credentials.ErrUnknownKey {
		return refused(policy.UnknownToken)
	}
	return unavailable(err)
}

// noMatch says why no product allows the call: there is none for this proxy and
// environment, or there is and it has not the resource. Products with operations
// do not tell the two apart.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/oauth-http-status-code-reference
func noMatch(c *credentials.Client, call *policy.APICall, names []string) error {
	if len(names) == 0 {
		return refused(policy.NoProducts)
	}
	for _, p := range c.Products() {
		if has(names, p.Name()) && p.CoversProxy(call) {
			return &policy.TokenError{Reason: policy.NoResource, Detail: call.Path}
		}
	}
	return refused(policy.NoProduct)
}

// grant is the token with what lets it make the call; made once for each product
// and operation in a row.
func (v *verified) grant(g *policy.Grant) *policy.TokenGrant {
	if last := v.last.Load(); last != nil && last.Client == g {
		return last
	}
	tg := &policy.TokenGrant{Grant: &policy.Grant{Variables: &tokenVariables{v.token, v.org, g.Variables}, Operation: g.Operation, Caller: g.Caller}, Client: g, Token: v.token}
	v.last.Store(tg)
	return tg
}

// inForceToken finds the token of a check, and refuses one that is not in force
// at this instant.
func (s *Service) inForceToken(ctx context.Context, c *policy.TokenCheck) (*verified, error) {
	if c.Text == "" || len(c.Text) > 4*MaxTokenBytes {
		return nil, refused(policy.UnknownToken)
	}
	age := MaxAge
	if c.Call.CacheExpiry > 0 {
		age = min(age, c.Call.CacheExpiry)
	}
	i := idOf(c.Text)
	v, ok := s.verified.GetIfPresent(i)
	if !ok || v.generation != s.generation.Load() || v.jwt != (c.JWT != nil) || v.key != c.KeyID || s.now().Sub(v.read) >= age {
		var err error
		if v, err = s.load(ctx, i, c); err != nil {
			return nil, err
		}
	}
	if v.token.Expired(s.now()) {
		return nil, refused(policy.TokenExpired)
	}
	return v, nil
}

// load reads a token, once for all that want it at this moment. What another
// began to read before a Drop does not count.
func (s *Service) load(ctx context.Context, i id, c *policy.TokenCheck) (*verified, error) {
	if u, ok := s.unknown.GetIfPresent(i); ok && c.JWT == nil && u.version == s.version.Load() && s.now().Sub(u.read) < unknownAge {
		return nil, refused(policy.UnknownToken)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	generation := s.generation.Load()
	key := string(i[:])
	if c.JWT != nil {
		key += string(c.KeyID[:])
	}
	for range 3 {
		out, err, shared := s.flight.Do(key, func() (any, error) { return s.readToken(ctx, i, c) })
		v, _ := out.(*verified)
		switch {
		case !shared:
			return v, err
		case err != nil && ctx.Err() == nil && unsure(err):
			continue // perhaps another's deadline
		case v != nil && v.generation < generation:
			continue
		}
		return v, err
	}
	return s.readToken(ctx, i, c)
}

func unsure(err error) bool {
	e, ok := err.(*policy.TokenError)
	return !ok || e.Reason == policy.TokenUnavailable
}

// readToken reads a token and remembers it if it is in force.
func (s *Service) readToken(ctx context.Context, i id, c *policy.TokenCheck) (*verified, error) {
	v := &verified{org: s.org, read: s.now(), generation: s.generation.Load(), jwt: c.JWT != nil, key: c.KeyID}
	version := s.version.Load()
	text := strings.Clone(c.Text)
	var claims *policy.JWTClaims
	if c.JWT != nil {
		var err error
		if claims, err = c.JWT(ctx, text); err != nil {
			return nil, err
		}
	}
	t, _, err := s.lookup(ctx, i, text)
	if err != nil {
		return nil, unavailable(err)
	}
	switch {
	case t == nil && claims != nil:
		if t, err = s.fromClaims(ctx, text, claims); err != nil {
			return nil, err
		}
	case t == nil || t.Kind != policy.AccessToken:
		s.unknown.Set(i, refusal{v.read, version})
		return nil, refused(policy.UnknownToken)
	case t.Expired(v.read):
		return nil, refused(policy.TokenExpired)
	case !t.Approved():
		return nil, refused(policy.TokenRevoked)
	}
	if claims != nil && claims.Expires.Before(t.Expires) {
		t.Expires = claims.Expires // whole seconds
	}
	v.token, v.scopes = t, strings.Fields(t.Scope)
	s.verified.Set(i, v)
	return v, nil
}

// fromClaims is the token of a JWT that another issuer with the same key made:
// nothing of it is stored.
func (s *Service) fromClaims(ctx context.Context, text string, c *policy.JWTClaims) (*policy.Token, error) {
	client, err := s.clients.Resolve(ctx, c.ClientID)
	if err != nil {
		return nil, clientGone(err)
	}
	t := &policy.Token{
		Kind: policy.AccessToken, Text: text, ClientID: c.ClientID, AppID: client.App.AppId, App: client.App.Name, DeveloperID: client.App.DeveloperId,
		Email: client.DeveloperEmail(), Scope: c.Scope, Products: client.ProductNames(), Status: "approved", Issued: c.Issued, Expires: c.Expires,
	}
	if c.Subject != c.ClientID {
		t.EndUser = c.Subject
	}
	if gone, err := s.revoked(ctx, recordOf(t)); err != nil {
		return nil, unavailable(err)
	} else if gone {
		return nil, refused(policy.TokenRevoked)
	}
	return t, nil
}

// recordOf is as much of a token's record as revocations look at.
func recordOf(t *policy.Token) *record {
	r := &record{Kind: kindAccess, App: t.AppID, Approved: t.Issued.UnixMilli()}
	if t.EndUser != "" {
		r.EndUser = idOf(t.EndUser).String()
	}
	return r
}

// tokenVariables are the variables of VerifyAccessToken, which have no prefix:
// those of the token, and of VerifyAPIKey's those of app, developer and product.
// expires_in, which changes, is the policy's.
type tokenVariables struct {
	token  *policy.Token
	org    string
	client flow.Source
}

// Variable implements flow.Source.
func (v *tokenVariables) Variable(name string) flow.Value {
	if name, ok := strings.CutPrefix(name, "accesstoken."); ok {
		if value, ok := v.token.Attribute(name); ok {
			return flow.StringValue(value)
		}
		return flow.Value{}
	}
	if fromClient(name) {
		return v.client.Variable(name)
	}
	return v.own(name)
}

// fromClient reports whether a variable is one of VerifyAPIKey's that a token
// check sets too.
func fromClient(name string) bool {
	switch {
	case strings.HasPrefix(name, "app."), strings.HasPrefix(name, "developer."), strings.HasPrefix(name, "apiproduct."),
		strings.HasPrefix(name, "company."), strings.HasPrefix(name, "appgroup"):
		return true
	}
	return name == "apiproduct.operation"
}

var tokenNames = []string{
	"organization_name", "client_id", "grant_type", "token_type", "access_token", "issued_at", "status", "scope", "api_product_list", "app_enduser",
	"apigee.access_token", "apigee.client_id", "apigee.developer.id", "apigee.developer.email", "apigee.developer.app.name", "apigee.apiproduct.name",
}

func (v *tokenVariables) own(name string) flow.Value {
	t := v.token
	switch name {
	case "organization_name":
		return flow.StringValue(v.org)
	case "client_id", "apigee.client_id":
		return flow.StringValue(t.ClientID)
	case "grant_type":
		return flow.StringValue(t.GrantType)
	case "token_type":
		return flow.StringValue("BearerToken")
	case "apigee.developer.id", "apigee.developer.email", "apigee.developer.app.name", "apigee.apiproduct.name":
		return v.client.Variable(strings.TrimPrefix(name, "apigee."))
	case "access_token", "apigee.access_token":
		return flow.StringValue(t.Text)
	case "issued_at":
		return flow.IntValue(t.Issued.UnixMilli())
	case "status":
		return flow.StringValue(t.Status)
	case "scope":
		return flow.StringValue(t.Scope)
	case "api_product_list":
		return flow.ListValue(t.Products)
	case "app_enduser":
		if t.EndUser != "" {
			return flow.StringValue(t.EndUser)
		}
	}
	return flow.Value{}
}

// Variables implements flow.Source.
func (v *tokenVariables) Variables() iter.Seq2[string, flow.Value] {
	return func(yield func(string, flow.Value) bool) {
		for _, name := range tokenNames {
			if val := v.own(name); !val.IsNull() && !yield(name, val) {
				return
			}
		}
		for _, a := range v.token.Attributes {
			if !yield("accesstoken."+a.Name, flow.StringValue(a.Value)) {
				return
			}
		}
		for name, val := range v.client.Variables() {
			if fromClient(name) && !yield(name, val) {
				return
			}
		}
	}
}
