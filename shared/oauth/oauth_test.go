package oauth_test

import (
	"context"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/oauth/oauthtest"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// fixture is an Env with an app "app" of the products reads and writes.
func fixture(t testing.TB, e *oauthtest.Env) {
	t.Helper()
	e.Product("reads", "read")
	e.Product("writes", "read", "write")
	e.App("app", "reads", "writes")
	e.App("other", "reads")
}

func issue(t testing.TB, e *oauthtest.Env, r *policy.TokenRequest) *policy.Token {
	t.Helper()
	token, err := e.Issue(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// verify is the reason a token is refused for a call, 0 if it is not.
func verify(t testing.TB, s policy.TokenVerifier, text string, scopes ...string) policy.TokenReason {
	t.Helper()
	g, err := s.Verify(context.Background(), policy.TokenCheck{Text: text, Call: oauthtest.Call("p", "GET", "/x"), Scopes: scopes})
	if err != nil {
		if oauthtest.Reason(err) == 0 {
			t.Fatalf("an error without a reason: %v", err)
		}
		return oauthtest.Reason(err)
	}
	if g.Token.Text != text {
		t.Errorf("the grant is of token %q", g.Token.Text)
	}
	return 0
}

func want(t testing.TB, got, want policy.TokenReason) {
	t.Helper()
	if got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestClientCredentials(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		fixture(t, e)
		token := issue(t, e, oauthtest.Request("client_credentials", "app"))
		if token.Scope != "read write" || token.Refresh != nil || len(token.Text) != 28 || token.Email != "ada@example.com" {
			t.Errorf("%+v", token)
		}
		want(t, verify(t, e, token.Text), 0)
		want(t, verify(t, e, token.Text, "admin", "write"), 0)
		want(t, verify(t, e, token.Text, "admin"), policy.InsufficientScope)
		want(t, verify(t, e, "foobar"), policy.UnknownToken)
		want(t, verify(t, e, ""), policy.UnknownToken)

		r := oauthtest.Request("client_credentials", "app")
		r.ClientSecret = "wrong"
		_, err := e.Issue(t.Context(), r)
		want(t, oauthtest.Reason(err), policy.UnknownClient)
		r.ClientSecret, r.ClientID = "app-secret", "nobody"
		_, err = e.Issue(t.Context(), r)
		want(t, oauthtest.Reason(err), policy.UnknownClient)

		// To the instant, from the cache as well.
		e.Wait(30*time.Minute - time.Millisecond)
		want(t, verify(t, e, token.Text), 0)
		want(t, verify(t, e.Another(), token.Text), 0)
		e.Wait(time.Millisecond)
		want(t, verify(t, e, token.Text), policy.TokenExpired)
		want(t, verify(t, e.Another(), token.Text), policy.TokenExpired)
		e.Wait(72 * time.Hour)
		want(t, verify(t, e.Another(), token.Text), policy.UnknownToken)
	})
}
