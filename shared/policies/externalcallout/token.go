package externalcallout

import (
	"context"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// token is a compiled <Authentication>.
type token struct {
	tokens       policy.GoogleTokens
	header       text
	audience     text
	useHost      bool // without an audience
	includeEmail text
}

// text is a literal, or the value of a variable where that is set.
type text struct {
	literal string
	ref     flow.Var
}

func newText(v *bundle.RefValue, env *policy.Env) text {
	if v == nil {
		return text{}
	}
	t := text{literal: strings.TrimSpace(v.Value)}
	if v.Ref != "" {
		t.ref = env.Var(v.Ref)
	}
	return t
}

func (t text) value(fc *flow.Context) string {
	if !t.ref.IsZero() {
		if s := strings.TrimSpace(t.ref.Get(fc).String()); s != "" {
			return s
		}
	}
	return t.literal
}

func newToken(a *bundle.Authentication, env *policy.Env) *token {
	t := &token{tokens: env.GoogleTokens, header: newText(&a.HeaderName, env), includeEmail: newText(a.GoogleIDToken.IncludeEmail, env)}
	if t.header.literal == "" {
		t.header.literal = "Authorization"
	}
	if aud := a.GoogleIDToken.Audience; aud != nil {
		t.audience, t.useHost = newText(&aud.RefValue, env), aud.UseTargetURL
	}
	if env.GoogleTokens == nil {
		env.Errorf(a.Pos, "this host has no Google tokens")
	}
	return t
}

// metadata is what goes with the call: the token.
func (s *step) metadata(ctx context.Context, fc *flow.Context) (map[string]string, error) {
	if s.token == nil {
		return nil, nil
	}
	audience := s.token.audience.value(fc)
	if audience == "" && s.token.useHost {
		host, ok := s.grpc.Server(s.server)
		if ok {
			audience = "https://" + host
		}
	}
	if audience == "" {
		return nil, s.fault("googletoken.EmptyIDTokenAudience", "The audience of the Google ID token is empty")
	}
	email, _ := bundle.ParseBool(s.token.includeEmail.value(fc))
	jwt, err := s.token.tokens.IDToken(ctx, fc.Proxy.ServiceAccount, audience, email)
	if err != nil {
		return nil, s.executionError("UNAVAILABLE: Credentials failed to obtain metadata").WithCause(err)
	}
	return map[string]string{s.token.header.value(fc): "Bearer " + jwt}, nil
}
