package target

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// defaultLifetime is the life of an access token without LifetimeInSeconds.
const defaultLifetime = time.Hour

// authentication is a compiled <Authentication>: it puts a Google token on the
// request.
type authentication struct {
	header refValue

	idToken      bool
	audience     refValue
	useTargetURL bool
	includeEmail refValue

	scopes   []string
	lifetime refValue
}

// refValue is a literal with a variable that wins over it where it is set.
type refValue struct {
	literal string
	ref     flow.Var
}

func newRefValue(v *bundle.RefValue, otherwise string, env *policy.Env) refValue {
	if v == nil {
		return refValue{literal: otherwise}
	}
	r := refValue{literal: strings.TrimSpace(v.Value)}
	if r.literal == "" {
		r.literal = otherwise
	}
	if strings.TrimSpace(v.Ref) != "" {
		r.ref = env.Var(v.Ref)
	}
	return r
}

func (r refValue) value(fc *flow.Context) string {
	if fc != nil && !r.ref.IsZero() {
		if v := r.ref.Get(fc); !v.IsNull() {
			if s := strings.TrimSpace(v.String()); s != "" {
				return s
			}
		}
	}
	return r.literal
}

func newAuthentication(a *bundle.Authentication, env *policy.Env) *authentication {
	if a == nil || a.GoogleAccessToken == nil && a.GoogleIDToken == nil {
		return nil
	}
	c := &authentication{header: newRefValue(&a.HeaderName, "Authorization", env)}
	if t := a.GoogleIDToken; t != nil {
		c.idToken = true
		c.includeEmail = newRefValue(t.IncludeEmail, "false", env)
		if t.Audience != nil {
			c.audience, c.useTargetURL = newRefValue(&t.Audience.RefValue, "", env), t.Audience.UseTargetURL
		}
		return c
	}
	for _, s := range a.GoogleAccessToken.Scopes {
		if s = strings.TrimSpace(s); s != "" {
			c.scopes = append(c.scopes, s)
		}
	}
	c.lifetime = newRefValue(a.GoogleAccessToken.LifetimeInSeconds, "", env)
	return c
}

// apply puts the token among the fields of a request to addr. A field of the
// same name that the caller sent is replaced, others stay.
func (a *authentication) apply(ctx context.Context, p *Pool, fc *flow.Context, addr *address, fields []message.Field) ([]message.Field, error) {
	if p.opts.Tokens == nil {
		return nil, tokenFault(nil)
	}
	account := ""
	if fc != nil && fc.Proxy != nil {
		account = fc.Proxy.ServiceAccount
	}
	token, err := a.token(ctx, p.opts.Tokens, fc, account, addr)
	if err != nil || token == "" {
		return nil, tokenFault(err)
	}
	return setField(fields, a.header.value(fc), "Bearer "+token), nil
}

func (a *authentication) token(ctx context.Context, tokens policy.GoogleTokens, fc *flow.Context, account string, addr *address) (string, error) {
	if !a.idToken {
		return tokens.AccessToken(ctx, account, a.scopes, a.life(fc))
	}
	audience := a.audience.value(fc)
	if audience == "" && a.useTargetURL {
		audience = addr.scheme + "://" + addr.host + addr.path
	}
	if audience == "" {
		return "", errNoAudience
	}
	email, _ := bundle.ParseBool(a.includeEmail.value(fc))
	return tokens.IDToken(ctx, account, audience, email)
}

func (a *authentication) life(fc *flow.Context) time.Duration {
	n, err := strconv.Atoi(a.lifetime.value(fc))
	if err != nil || n < 1 {
		return defaultLifetime
	}
	return time.Duration(n) * time.Second
}

func tokenFault(err error) *fault.Fault {
	return targetFault("messaging.adaptors.http.filter.GoogleTokenGenerationFailure", 500, "Failed to generate Google token").WithCause(err)
}
