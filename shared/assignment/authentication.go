package assignment

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// setToken is an <Authentication>: a Google token in a header.
type setToken struct {
	tokens    policy.GoogleTokens
	header    refText
	access    bool
	scopes    []string
	lifetime  refText
	audience  refText
	email     refText
	useTarget bool
	target    flow.Var
}

// refText is a text that the value of a variable, where it is set, goes before.
type refText struct {
	text string
	ref  flow.Var
}

func (r refText) eval(fc *flow.Context) string {
	if !r.ref.IsZero() {
		if v := r.ref.Get(fc); !v.IsNull() {
			return v.String()
		}
	}
	return r.text
}

func (c *compiler) refText(v *bundle.RefValue) refText {
	if v == nil {
		return refText{}
	}
	r := refText{text: v.Value}
	if v.Ref != "" {
		r.ref = c.env.Var(v.Ref)
	}
	return r
}

func (c *compiler) authentication(el *bundle.Element) {
	a := bundle.ParseAuthentication(el, c.env.Problems())
	if a == nil {
		return
	}
	if c.env.GoogleTokens == nil {
		c.env.Errorf(a.Pos, "FAILED_PRECONDITION: <Authentication> needs a service account identity, and this host has none")
		return
	}
	op := &setToken{tokens: c.env.GoogleTokens, header: c.refText(&a.HeaderName)}
	if t := a.GoogleAccessToken; t != nil {
		op.access, op.scopes, op.lifetime = true, t.Scopes, c.refText(t.LifetimeInSeconds)
	}
	if t := a.GoogleIDToken; t != nil && t.Audience != nil {
		op.audience, op.email = c.refText(&t.Audience.RefValue), c.refText(t.IncludeEmail)
		op.useTarget, op.target = t.Audience.UseTargetURL, c.env.Var("target.url")
	}
	c.emit(op)
}

func (s *setToken) apply(ctx context.Context, fc *flow.Context, p *Program, t Target) error {
	token, err := s.token(ctx, fc)
	if err != nil {
		return p.fault("GoogleTokenGenerationFailure", "unable to get a Google token").WithCause(err)
	}
	t.Message.Header.Set(s.header.eval(fc), "Bearer "+token)
	return nil
}

func (s *setToken) token(ctx context.Context, fc *flow.Context) (string, error) {
	account := fc.Proxy.ServiceAccount
	if !s.access {
		email, _ := bundle.ParseBool(s.email.eval(fc))
		return s.tokens.IDToken(ctx, account, s.aud(fc), email)
	}
	lifetime := time.Hour
	if text := s.lifetime.eval(fc); text != "" {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return "", fmt.Errorf("lifetime %q is not a number of seconds", text)
		}
		lifetime = time.Duration(n) * time.Second
	}
	return s.tokens.AccessToken(ctx, account, s.scopes, lifetime)
}

// aud is the audience: the text, or the target's URL without its query.
func (s *setToken) aud(fc *flow.Context) string {
	aud := s.audience.eval(fc)
	if aud == "" && s.useTarget {
		aud, _, _ = strings.Cut(s.target.Get(fc).String(), "?")
	}
	return aud
}
