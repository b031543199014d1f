package oauthv2

import (
	"context"
	"strconv"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// request are the parameters of an authorization request, in the query or, of a
// form that a login page sends, in the body.
type request struct {
	client, responseType, redirectURI, state source
}

func newRequest(c *Config, env *policy.Env) request {
	return request{
		client:       from(env, c.ClientID, "request.queryparam.client_id", "request.formparam.client_id"),
		responseType: from(env, c.ResponseType, "request.queryparam.response_type", "request.formparam.response_type"),
		redirectURI:  from(env, c.RedirectURI, "request.queryparam.redirect_uri", "request.formparam.redirect_uri"),
		state:        from(env, c.State, "request.queryparam.state", "request.formparam.state"),
	}
}

// check refuses a request that asks for something else.
func (q *request) check(fc *flow.Context, want string) *refusal {
	var bad refusal
	switch q.responseType.get(fc) {
	case want:
		if q.client.get(fc) != "" {
			return nil
		}
		bad = missingParameter("client_id")
	case "":
		bad = missingParameter("response_type")
	default:
		bad = invalid("Response type must be "+want, verdict{})
	}
	return &bad
}

// authorizeStep is GenerateAuthorizationCode.
type authorizeStep struct {
	base
	request
	scope, endUser, external, challenge, method source
	life                                        lifetime
	attributes                                  []attribute
}

func newAuthorize(c *Config, b base, env *policy.Env) policy.Policy {
	s := &authorizeStep{
		base: b, request: newRequest(c, env), attributes: attributes(c, env),
		scope:     from(env, c.Scope, "request.queryparam.scope", "request.formparam.scope"),
		challenge: from(env, "", "request.queryparam.code_challenge", "request.formparam.code_challenge"),
		method:    from(env, "", "request.queryparam.code_challenge_method", "request.formparam.code_challenge_method"),
		life:      life(c.ExpiresIn, "ExpiresIn", codeLife, 0, mostAccess, env),
	}
	if c.AppEndUser != "" {
		s.endUser = from(env, c.AppEndUser)
	}
	if c.ExternalAuthorizationCode != "" {
		s.external = from(env, c.ExternalAuthorizationCode)
	}
	if c.ExpiresIn != nil && (s.life.text > milliseconds(codeLife, mostAccess) || s.life.text == policy.NeverExpires) {
		env.Warnf(c.ExpiresIn.Pos, "<ExpiresIn> of an authorization code is %s: RFC 6749 section 4.1.2 recommends 10 minutes (%d) at most", c.ExpiresIn.Text, codeLife)
	}
	return s
}

// Run issues an authorization code: RFC 6749 section 4.1.1.
func (s *authorizeStep) Run(ctx context.Context, fc *flow.Context) error {
	if bad := s.check(fc, "code"); bad != nil {
		return s.refuse(fc, *bad, nil)
	}
	r := &policy.CodeRequest{
		Environment: fc.Proxy.Environment, Proxy: fc.Proxy.Name, ClientID: s.client.get(fc), RedirectURI: s.redirectURI.get(fc),
		Scope: s.scope.get(fc), State: s.state.get(fc), ExpiresIn: s.life.get(fc), EndUser: s.endUser.get(fc),
		Attributes: evaluate(s.attributes, fc), External: s.external.get(fc), Challenge: s.challenge.get(fc), ChallengeMethod: s.method.get(fc),
	}
	code, err := s.tokens.Authorize(ctx, r)
	if err != nil {
		return s.failed(fc, err, true, r.ClientID)
	}
	list := []pair{{name: "code", value: code.Text}, {name: "redirect_uri", value: code.RedirectURI}, {name: "scope", value: code.Scope}, {name: "client_id", value: code.ClientID}}
	publish(fc, s.prefix("oauthv2authcode"), list, code.Attributes)
	if !s.respond {
		return nil
	}
	answer := []pair{{name: "code", value: code.Text}, {name: "scope", value: code.Scope}}
	if code.State != "" {
		answer = append(answer, pair{name: "state", value: code.State})
	}
	s.redirect(fc, code.RedirectURI, '?', answer)
	return nil
}

// implicitStep is GenerateAccessTokenImplicitGrant and its JWT twin.
type implicitStep struct {
	issueStep
	request
}

func newImplicit(c *Config, b base, env *policy.Env) policy.Policy {
	s := &implicitStep{issueStep: newIssue(c, b, env, false), request: newRequest(c, env)}
	s.scope = from(env, c.Scope, "request.queryparam.scope", "request.formparam.scope")
	if len(c.SupportedGrantTypes) > 0 && !has(supportedOf(c), policy.GrantImplicit) {
		env.Errorf(c.SupportedGrantTypes[0].Pos, "InvalidGrantType: operation %s needs grant type implicit", c.Operation)
	}
	return s
}

func has(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// Run issues an access token without a code: RFC 6749 section 4.2.1.
func (s *implicitStep) Run(ctx context.Context, fc *flow.Context) error {
	if bad := s.check(fc, "token"); bad != nil {
		return s.refuse(fc, *bad, nil)
	}
	r, bad := s.begin(fc, s.request.client.get(fc), "")
	if bad != nil {
		return s.refuse(fc, *bad, nil)
	}
	r.GrantType, r.RedirectURI = policy.GrantImplicit, s.redirectURI.get(fc)
	s.sign(ctx, fc, r)
	t, err := s.tokens.Issue(ctx, r)
	if err != nil {
		return s.failed(fc, err, true, r.ClientID)
	}
	s.variables(fc, t)
	if s.respond {
		s.redirect(fc, r.RedirectURI, '#', s.fragment(fc, t))
	}
	return nil
}

// fragment is what the redirect carries: RFC 6749 section 4.2.2.
func (s *implicitStep) fragment(fc *flow.Context, t *policy.Token) []pair {
	list := []pair{
		{name: "access_token", value: t.Text}, {name: "token_type", value: s.tokenType()},
		{name: "expires_in", value: strconv.FormatInt(lifeSeconds(t), 10)}, {name: "scope", value: t.Scope},
	}
	if state := s.state.get(fc); state != "" {
		list = append(list, pair{name: "state", value: state})
	}
	return append(list, shown(t.Attributes, list)...)
}
