package oauthv2

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jwt"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// client is where a request's client is named.
type client struct {
	id, formID, secret, authorization source
	external                          source
}

func newClient(c *Config, env *policy.Env) client {
	k := client{
		formID: from(env, "", "request.formparam.client_id"), secret: from(env, "", "request.formparam.client_secret"),
		authorization: from(env, "", "request.header.Authorization"),
	}
	if c.ClientID != "" {
		k.id = from(env, c.ClientID)
	}
	if c.ExternalAuthorization {
		k.external = from(env, "", "oauth_external_client_id")
	}
	return k
}

// get is the client's id and secret: of the Basic Authorization header, or else
// of the form (RFC 6749 section 2.3.1). A client id that <ClientId> names goes
// before both.
func (k *client) get(fc *flow.Context) (id, secret string) {
	user, password, basic := parseBasic(k.authorization.get(fc))
	id, secret = k.id.get(fc), k.secret.get(fc)
	if ext := k.external.get(fc); ext != "" {
		id = ext
	}
	switch {
	case id == "" && basic:
		return user, password
	case id == "" && k.id == nil:
		return k.formID.get(fc), secret
	case id == user && basic:
		return user, password
	}
	return id, secret
}

// parseBasic reads the credentials of RFC 7617.
func parseBasic(header string) (user, password string, ok bool) {
	const scheme = "basic "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", "", false
	}
	text := strings.TrimRight(strings.TrimSpace(header[len(scheme):]), "=")
	plain, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(plain), ":")
	return user, password, ok && user != ""
}

// issueStep is what the operations that issue access tokens share.
type issueStep struct {
	base
	client          client
	scope, endUser  source
	access, refresh lifetime
	attributes      []attribute
	external        bool // <ExternalAuthorization>
	noStore         bool
	status          flow.Var
	token, fresh    source            // external tokens
	mint            *jwt.AccessTokens // of the JWT operations
}

func newIssue(c *Config, b base, env *policy.Env, refreshing bool) issueStep {
	s := issueStep{
		base: b, client: newClient(c, env), attributes: attributes(c, env),
		scope:   from(env, c.Scope, "request.formparam.scope", "request.queryparam.scope"),
		access:  life(c.ExpiresIn, "ExpiresIn", accessLife, leastAccess, mostAccess, env),
		refresh: life(c.RefreshTokenExpiresIn, "RefreshTokenExpiresIn", refreshLife, leastFresh, mostFresh, env),
	}
	if c.AppEndUser != "" {
		s.endUser = from(env, c.AppEndUser)
	}
	if c.ExternalAuthorization {
		s.external, s.noStore = true, !c.StoreToken
		s.status = env.Var("oauth_external_authorization_status")
	}
	if c.ExternalAccessToken != "" {
		s.token = from(env, c.ExternalAccessToken)
	}
	if c.ExternalRefreshToken != "" {
		s.fresh = from(env, c.ExternalRefreshToken)
	}
	warnLifetimes(c, &s.access, &s.refresh, refreshing, env)
	return s
}

// begin is the token request of a client, with what every grant shares.
func (s *issueStep) begin(fc *flow.Context, clientID, secret string) (*policy.TokenRequest, *refusal) {
	r := &policy.TokenRequest{
		Environment: fc.Proxy.Environment, Proxy: fc.Proxy.Name, Scope: s.scope.get(fc), EndUser: s.endUser.get(fc),
		ExpiresIn: s.access.get(fc), RefreshExpiresIn: s.refresh.get(fc), Attributes: evaluate(s.attributes, fc),
		External: s.token.get(fc), ExternalRefresh: s.fresh.get(fc), ClientID: clientID, ClientSecret: secret,
	}
	if s.external {
		if !s.status.Get(fc).Truth() {
			ref := refusals[policy.UnknownClient]
			return nil, &ref
		}
		r.Trusted, r.NoStore = true, s.noStore
	}
	if r.ClientID == "" {
		ref := missingParameter("client_id")
		return nil, &ref
	}
	return r, nil
}

// issued sets the variables of a token and answers the client.
func (s *issueStep) issued(fc *flow.Context, t *policy.Token) {
	list := s.variables(fc, t)
	if s.respond {
		s.answer(fc, 200, append(list, shown(t.Attributes, list)...))
	}
}

// variables sets those of a token and returns the members of its answer.
func (s *issueStep) variables(fc *flow.Context, t *policy.Token) []pair {
	list := s.pairs(fc, t)
	prefix := s.prefix("oauthv2accesstoken")
	publish(fc, prefix, list, t.Attributes)
	fc.PutText(prefix+"developer.app.name", t.App)
	fc.PutText(prefix+"developer.id", t.DeveloperID)
	fc.PutText("apigee.access_token", t.Text)
	fc.PutText("apigee.client_id", t.ClientID)
	fc.PutText("apigee.developer.app.name", t.App)
	fc.PutText("apigee.developer.email", t.Email)
	return list
}

// generateStep is GenerateAccessToken and GenerateJWTAccessToken.
type generateStep struct {
	issueStep
	grant, code, redirectURI, verifier, user, password source
	supported                                          []string
}

// supportedOf are the grants of a policy; Apigee's default is the two that need
// the user's browser.
func supportedOf(c *Config) []string {
	if len(c.SupportedGrantTypes) == 0 {
		return []string{policy.GrantAuthorizationCode, policy.GrantImplicit}
	}
	var list []string
	for _, g := range c.SupportedGrantTypes {
		list = append(list, g.Text)
	}
	return list
}

func newGenerate(c *Config, b base, env *policy.Env) policy.Policy {
	supported := supportedOf(c)
	refreshing := slices.Contains(supported, policy.GrantAuthorizationCode) || slices.Contains(supported, policy.GrantPassword)
	return &generateStep{
		issueStep: newIssue(c, b, env, refreshing), supported: supported,
		grant:       from(env, c.GrantType, "request.formparam.grant_type"),
		code:        from(env, c.Code, "request.formparam.code"),
		redirectURI: from(env, c.RedirectURI, "request.formparam.redirect_uri"),
		verifier:    from(env, "", "request.formparam.code_verifier"),
		user:        from(env, c.UserName, "request.formparam.username"),
		password:    from(env, c.PassWord, "request.formparam.password"),
	}
}

// Run issues an access token: RFC 6749 sections 4.1.3, 4.3.2 and 4.4.2.
func (s *generateStep) Run(ctx context.Context, fc *flow.Context) error {
	grant := s.grant.get(fc)
	if grant == "" {
		return s.refuse(fc, missing("grant_type"), nil)
	}
	if grant == policy.GrantImplicit || !slices.Contains(s.supported, grant) {
		return s.refuse(fc, unsupported(grant), nil)
	}
	id, secret := s.client.get(fc)
	r, bad := s.begin(fc, id, secret)
	if bad == nil {
		r.GrantType = grant
		bad = s.complete(fc, r)
	}
	if bad != nil {
		return s.refuse(fc, *bad, nil)
	}
	s.sign(ctx, fc, r)
	t, err := s.tokens.Issue(ctx, r)
	if err != nil {
		return s.failed(fc, err, false, r.ClientID)
	}
	s.issued(fc, t)
	return nil
}

// complete adds what the grant needs.
func (s *generateStep) complete(fc *flow.Context, r *policy.TokenRequest) *refusal {
	var bad refusal
	switch r.GrantType {
	case policy.GrantPassword:
		if r.Trusted || s.user.get(fc) != "" && s.password.get(fc) != "" {
			return nil
		}
		bad = missing("password")
		if s.user.get(fc) == "" {
			bad = missing("username")
		}
		return &bad
	case policy.GrantAuthorizationCode:
		r.Code, r.RedirectURI, r.CodeVerifier = s.code.get(fc), s.redirectURI.get(fc), s.verifier.get(fc)
		if r.Code == "" && !r.Trusted {
			bad = missing("code")
			return &bad
		}
	}
	return nil
}

// refreshStep is RefreshAccessToken and RefreshJWTAccessToken.
type refreshStep struct {
	issueStep
	grant, refreshToken source
	reuse               bool
}

func newRefresh(c *Config, b base, env *policy.Env) policy.Policy {
	return &refreshStep{
		issueStep: newIssue(c, b, env, true), reuse: c.ReuseRefreshToken,
		grant:        from(env, c.GrantType, "request.formparam.grant_type"),
		refreshToken: from(env, c.RefreshToken, "request.formparam.refresh_token"),
	}
}

// Run exchanges a refresh token: RFC 6749 section 6.
func (s *refreshStep) Run(ctx context.Context, fc *flow.Context) error {
	switch grant := s.grant.get(fc); grant {
	case policy.GrantRefreshToken:
	case "":
		return s.refuse(fc, missing("grant_type"), nil)
	default:
		return s.refuse(fc, unsupported(grant), nil)
	}
	id, secret := s.client.get(fc)
	r, bad := s.begin(fc, id, secret)
	if bad != nil {
		return s.refuse(fc, *bad, nil)
	}
	if r.RefreshToken, r.Reuse = s.refreshToken.get(fc), s.reuse; r.RefreshToken == "" && !r.Trusted {
		return s.refuse(fc, missing("refresh_token"), nil)
	}
	s.sign(ctx, fc, r)
	t, err := s.tokens.Refresh(ctx, r)
	if err != nil {
		return s.failed(fc, err, false, r.ClientID)
	}
	s.issued(fc, t)
	list := s.pairs(fc, t)
	publish(fc, s.prefix("oauthv2refreshtoken"), list, t.Attributes)
	return nil
}
