package oauth_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/oauth"
	"github.com/perigee-gateway/perigee/shared/oauth/oauthtest"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
)

// crowd is how many callers run at once.
const crowd = 100

// race runs f for every caller at once, and counts the successes; every failure
// has the reason.
func race(t *testing.T, reason policy.TokenReason, f func(i int) error) int {
	t.Helper()
	var wg sync.WaitGroup
	var won atomic.Int64
	start := make(chan struct{})
	for i := range crowd {
		wg.Go(func() {
			<-start
			switch err := f(i); {
			case err == nil:
				won.Add(1)
			case oauthtest.Reason(err) != reason:
				t.Errorf("%v, want %v", err, reason)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(won.Load())
}

// tokens counts the documents of an app's tokens.
func tokens(t *testing.T, e *oauthtest.Env, app *entity.App) (n int) {
	t.Helper()
	for _, err := range e.Store.Query(t.Context(), store.Query{Collection: "tokens", Where: map[string]string{"app": app.Profile.AppId}, Prefix: oauthtest.Org + "/"}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// instances are two instances over one store.
func instances(e *oauthtest.Env) func(i int) *oauth.Service {
	another := e.Another()
	return func(i int) *oauth.Service {
		if i%2 == 0 {
			return another
		}
		return e.Service
	}
}

// Of a hundred concurrent refreshes with one token exactly one succeeds, over two
// instances, and the store has the tokens of that one only.
func TestRefreshRace(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		e.Product("reads", "read")
		app := e.App("app", "reads")
		token, at := issue(t, e, oauthtest.Request("password", "app")), instances(e)
		won := race(t, policy.UnknownRefreshToken, func(i int) error {
			r := oauthtest.Request("", "app")
			r.RefreshToken = token.Refresh.Text
			_, err := at(i).Refresh(context.Background(), r)
			return err
		})
		if won != 1 {
			t.Errorf("%d of %d refreshes succeeded, want 1", won, crowd)
		}
		if n := tokens(t, e, app); n != 3 {
			t.Errorf("%d tokens are stored, want the old access token and the new pair", n)
		}
	})
}

// Of a hundred concurrent exchanges of one code exactly one succeeds, over two
// instances, and the store has the tokens of that one only.
func TestCodeRace(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		e.Product("reads", "read")
		app := e.App("app", "reads")
		code, at := authorize(t, e, &policy.CodeRequest{RedirectURI: oauthtest.Callback}), instances(e)
		won := race(t, policy.UnknownCode, func(i int) error {
			_, err := at(i).Issue(context.Background(), exchange(code.Text, oauthtest.Callback))
			return err
		})
		if won != 1 {
			t.Errorf("%d of %d exchanges succeeded, want 1", won, crowd)
		}
		if n := tokens(t, e, app); n != 2 {
			t.Errorf("%d tokens are stored, want one pair", n)
		}
	})
}

// A hundred concurrent revocations of twenty keys of one app, while their tokens
// are verified and refreshed: none is lost, and none of the keys or tokens is good
// for anything afterwards, on any instance.
func TestKeyRevocationRace(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		e.Product("reads", "read")
		app := e.App("app", "reads")
		owner := registry.Owner{Developer: app.Profile.DeveloperId}
		keys := []string{"app-key"}
		for i := range 19 {
			key := "more-key-" + string(rune('a'+i))
			c, err := e.Registry.NewCredential(t.Context(), oauthtest.Org, entity.KeyPair{Key: key, Secret: "app-secret"}, &apigee.GoogleCloudApigeeV1Credential{
				ExpiresAt: entity.Never, ApiProducts: []*apigee.GoogleCloudApigeeV1ApiProductRef{{Apiproduct: "reads", Status: entity.Approved}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = e.Registry.EditApp(t.Context(), oauthtest.Org, owner, "app", func(a *entity.App) error { a.Credentials = append(a.Credentials, c); return nil }); err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		issued := map[string]*policy.Token{}
		for _, key := range keys {
			r := oauthtest.Request("password", "app")
			r.ClientID = key
			issued[key] = issue(t, e, r)
		}
		at := instances(e)
		won := race(t, policy.ClientRefused, func(i int) error {
			key := keys[i%len(keys)]
			_, _ = at(i).Verify(context.Background(), policy.TokenCheck{Text: issued[key].Text, Call: oauthtest.Call("p", "GET", "/x")})
			r := oauthtest.Request("", "app")
			r.ClientID, r.RefreshToken = key, issued[key].Refresh.Text
			_, _ = at(i).Refresh(context.Background(), r)
			_, _, err := e.Registry.EditCredential(context.Background(), oauthtest.Org, owner, "app", key, func(c *entity.Credential) (*entity.Credential, error) {
				c.Public.Status = entity.Revoked
				return c, nil
			})
			return err
		})
		if won != crowd {
			t.Errorf("%d of %d revocations succeeded", won, crowd)
		}
		a, err := e.Registry.App(t.Context(), oauthtest.Org, owner, "app")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range a.Credentials {
			if c.Public.Status != entity.Revoked {
				t.Errorf("a key is %s: its revocation was lost", c.Public.Status)
			}
		}
		e.Changed()
		for _, key := range keys {
			if _, err := e.Credentials.VerifyKey(t.Context(), key, oauthtest.Call("p", "GET", "/x")); err == nil {
				t.Errorf("%s is good after its revocation", key)
			}
			want(t, verify(t, e, issued[key].Text), policy.ClientRefused)
			want(t, verify(t, e.Another(), issued[key].Text), policy.ClientRefused)
		}
	})
}
