package oauth_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/oauth/oauthtest"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
)

// Whatever takes a token's validity away is seen at once here, and after a
// refresh by others.
func TestRevocation(t *testing.T) {
	for _, c := range []struct {
		name   string
		revoke func(e *oauthtest.Env, app *entity.App, token *policy.Token) error
		reason policy.TokenReason
	}{
		{"token", func(e *oauthtest.Env, _ *entity.App, token *policy.Token) error {
			return e.SetApproved(context.Background(), policy.AccessToken, token.Text, false, false)
		}, policy.TokenRevoked},
		{"refresh token, cascading", func(e *oauthtest.Env, _ *entity.App, token *policy.Token) error {
			return e.SetApproved(context.Background(), policy.RefreshToken, token.Refresh.Text, false, true)
		}, policy.TokenRevoked},
		{"delete", func(e *oauthtest.Env, _ *entity.App, token *policy.Token) error {
			return e.DeleteToken(context.Background(), token.Text)
		}, policy.UnknownToken},
		{"tokens of the app", func(e *oauthtest.Env, app *entity.App, _ *policy.Token) error {
			return e.Revoke(context.Background(), policy.Revocation{AppID: app.Profile.AppId})
		}, policy.TokenRevoked},
		{"tokens of the end user", func(e *oauthtest.Env, app *entity.App, _ *policy.Token) error {
			return e.Revoke(context.Background(), policy.Revocation{EndUser: "joe"})
		}, policy.TokenRevoked},
		{"tokens of the end user of the app", func(e *oauthtest.Env, app *entity.App, _ *policy.Token) error {
			return e.Revoke(context.Background(), policy.Revocation{EndUser: "joe", AppID: app.Profile.AppId})
		}, policy.TokenRevoked},
		{"app", func(e *oauthtest.Env, app *entity.App, _ *policy.Token) error {
			return edit(e, app, func(a *entity.App) { a.Profile.Status = entity.Revoked })
		}, policy.ClientRefused},
		{"key", func(e *oauthtest.Env, app *entity.App, _ *policy.Token) error {
			return edit(e, app, func(a *entity.App) { a.Credentials[0].Public.Status = entity.Revoked })
		}, policy.ClientRefused},
		{"deleted key", func(e *oauthtest.Env, app *entity.App, _ *policy.Token) error {
			return edit(e, app, func(a *entity.App) { a.Credentials = nil })
		}, policy.UnknownToken},
		{"product of the key", func(e *oauthtest.Env, app *entity.App, _ *policy.Token) error {
			return edit(e, app, func(a *entity.App) {
				for _, p := range a.Credentials[0].Public.ApiProducts {
					p.Status = entity.Revoked
				}
			})
		}, policy.NoProduct},
		{"developer", func(e *oauthtest.Env, app *entity.App, _ *policy.Token) error {
			_, err := e.Registry.Developers.Update(context.Background(), func(d *apigee.GoogleCloudApigeeV1Developer) error {
				d.Status = entity.Inactive
				return nil
			}, oauthtest.Org, app.Profile.DeveloperId)
			return err
		}, policy.ClientRefused},
		{"product for another proxy", func(e *oauthtest.Env, app *entity.App, _ *policy.Token) error {
			for _, name := range []string{"reads", "writes"} {
				_, err := e.Registry.Products.Update(context.Background(), func(p *apigee.GoogleCloudApigeeV1ApiProduct) error {
					p.Proxies = []string{"another"}
					return nil
				}, oauthtest.Org, name)
				if err != nil {
					return err
				}
			}
			return nil
		}, policy.NoProduct},
	} {
		t.Run(c.name, func(t *testing.T) {
			oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
				e.Product("reads", "read")
				e.Product("writes", "write")
				app := e.App("app", "reads", "writes")
				r := oauthtest.Request("password", "app")
				r.EndUser = "joe"
				token := issue(t, e, r)
				want(t, verify(t, e, token.Text), 0)
				version := revoked(t, e)
				e.Wait(time.Second)
				if err := c.revoke(e, app, token); err != nil {
					t.Fatal(err)
				}
				if revoked(t, e) == version {
					t.Error("Stamp.Revoked did not change: other instances will not know")
				}
				e.Changed() // what the gateway does because of it
				want(t, verify(t, e, token.Text), c.reason)
				want(t, verify(t, e.Another(), token.Text), c.reason)
			})
		})
	}
}

func edit(e *oauthtest.Env, app *entity.App, change func(*entity.App)) error {
	_, err := e.Registry.Apps.Update(context.Background(), func(a *entity.App) error { change(a); return nil }, oauthtest.Org, app.Profile.AppId)
	return err
}

func revoked(t testing.TB, e *oauthtest.Env) int64 {
	t.Helper()
	s, err := e.Registry.Stamp(context.Background(), oauthtest.Org)
	if err != nil {
		t.Fatal(err)
	}
	return s.Revoked
}

// Tokens can be approved again; those issued after a revocation of all are not
// concerned; narrowing leaves the others alone.
func TestRevokeAll(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		e.Product("reads", "read")
		app := e.App("app", "reads")
		e.App("other", "reads")
		get := func(app, user string) *policy.Token {
			r := oauthtest.Request("password", app)
			r.EndUser = user
			return issue(t, e, r)
		}
		joe, ann, nobody, elsewhere := get("app", "joe"), get("app", "ann"), get("app", ""), get("other", "joe")
		if err := e.Revoke(t.Context(), policy.Revocation{AppID: app.Profile.AppId, EndUser: "joe"}); err != nil {
			t.Fatal(err)
		}
		want(t, verify(t, e, joe.Text), policy.TokenRevoked)
		for _, token := range []*policy.Token{ann, nobody, elsewhere} {
			want(t, verify(t, e, token.Text), 0)
		}
		refresh := func(token *policy.Token) error {
			r := oauthtest.Request("", "app")
			r.RefreshToken = token.Refresh.Text
			_, err := e.Refresh(t.Context(), r)
			return err
		}
		if err := refresh(joe); err != nil {
			t.Errorf("a refresh token was revoked without cascade: %v", err)
		}
		if err := e.SetApproved(t.Context(), policy.AccessToken, joe.Text, true, false); err != nil {
			t.Fatal(err)
		}
		e.Wait(time.Millisecond)
		want(t, verify(t, e, joe.Text), policy.TokenRevoked) // approved in the very millisecond
		if err := e.SetApproved(t.Context(), policy.AccessToken, joe.Text, true, false); err != nil {
			t.Fatal(err)
		}
		e.Changed()
		want(t, verify(t, e, joe.Text), 0)

		// All of the app's that were issued before a time, with refresh tokens.
		cut := e.Now().Add(time.Second)
		e.Wait(2 * time.Second)
		late := get("app", "ann")
		if err := e.Revoke(t.Context(), policy.Revocation{AppID: app.Profile.AppId, Before: cut, Cascade: true}); err != nil {
			t.Fatal(err)
		}
		for _, token := range []*policy.Token{joe, ann, nobody} {
			want(t, verify(t, e, token.Text), policy.TokenRevoked)
		}
		want(t, oauthtest.Reason(refresh(ann)), policy.RefreshTokenRevoked)
		want(t, verify(t, e, late.Text), 0)
		want(t, verify(t, e, elsewhere.Text), 0)

		// A time in the future does not concern what is issued until then.
		if err := e.Revoke(t.Context(), policy.Revocation{EndUser: "ann", Before: e.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		want(t, verify(t, e, late.Text), policy.TokenRevoked)
		e.Wait(time.Second)
		want(t, verify(t, e, get("app", "ann").Text), 0)
		if err := e.Revoke(t.Context(), policy.Revocation{}); err == nil {
			t.Error("a revocation of nobody's tokens")
		}
	})
}

// Revoking with cascade takes along what was issued with a token, however often
// it was refreshed.
func TestCascade(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		fixture(t, e)
		first := issue(t, e, oauthtest.Request("password", "app"))
		r := oauthtest.Request("", "app")
		r.RefreshToken = first.Refresh.Text
		second, err := e.Refresh(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		unrelated := issue(t, e, oauthtest.Request("password", "app"))
		set := func(kind policy.TokenKind, text string, approved bool) {
			t.Helper()
			if err := e.SetApproved(t.Context(), kind, text, approved, true); err != nil {
				t.Fatal(err)
			}
		}
		set(policy.RefreshToken, second.Refresh.Text, false)
		for _, token := range []*policy.Token{first, second} {
			want(t, verify(t, e, token.Text), policy.TokenRevoked)
		}
		want(t, verify(t, e, unrelated.Text), 0)
		set(policy.RefreshToken, second.Refresh.Text, true)
		want(t, verify(t, e, first.Text), 0)
		set(policy.AccessToken, second.Text, false)
		r.RefreshToken = second.Refresh.Text
		_, err = e.Refresh(t.Context(), r)
		want(t, oauthtest.Reason(err), policy.RefreshTokenRevoked)
		err = e.SetApproved(t.Context(), policy.AccessToken, second.Refresh.Text, false, true)
		want(t, oauthtest.Reason(err), policy.OtherTokenKind)
	})
}

func TestProducts(t *testing.T) {
	e := oauthtest.Memory(t)
	e.ProductOf(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "paths", DisplayName: "paths", Proxies: []string{"p"}, Environments: []string{"test"}, ApiResources: []string{"/a/**"}})
	e.ProductOf(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "late", DisplayName: "late"})
	app := e.App("app", "paths")
	e.App("bare")
	token := issue(t, e, oauthtest.Request("client_credentials", "app"))
	check := func(proxy, path string) policy.TokenReason {
		_, err := e.Verify(t.Context(), policy.TokenCheck{Text: token.Text, Call: oauthtest.Call(proxy, "GET", path)})
		return oauthtest.Reason(err)
	}
	want(t, check("p", "/a/b"), 0)
	want(t, check("p", "/b"), policy.NoResource)
	want(t, check("q", "/a/b"), policy.NoProduct)
	bare := issue(t, e, oauthtest.Request("client_credentials", "bare"))
	want(t, verify(t, e, bare.Text), policy.NoProducts)

	// A product that the key was given later is not the token's.
	if err := edit(e, app, func(a *entity.App) {
		a.Credentials[0].Public.ApiProducts = append(a.Credentials[0].Public.ApiProducts, &apigee.GoogleCloudApigeeV1ApiProductRef{Apiproduct: "late", Status: entity.Approved})
	}); err != nil {
		t.Fatal(err)
	}
	e.Changed()
	want(t, check("q", "/a/b"), policy.NoProduct)
	token = issue(t, e, oauthtest.Request("client_credentials", "app"))
	want(t, check("q", "/a/b"), 0)
}

// A store that cannot be asked lets nobody through.
func TestStoreFault(t *testing.T) {
	e := oauthtest.Memory(t)
	fixture(t, e)
	known, fresh := issue(t, e, oauthtest.Request("password", "app")), issue(t, e, oauthtest.Request("client_credentials", "app"))
	code := authorize(t, e, &policy.CodeRequest{})
	want(t, verify(t, e, known.Text), 0)
	e.Break(true)
	want(t, verify(t, e, known.Text), 0) // verified before, in the last 180 s
	want(t, verify(t, e, fresh.Text), policy.TokenUnavailable)
	e.Wait(180 * time.Second)
	want(t, verify(t, e, known.Text), policy.TokenUnavailable)

	ctx := t.Context()
	refresh := oauthtest.Request("", "app")
	refresh.RefreshToken = known.Refresh.Text
	for name, call := range map[string]func() error{
		"issue":    func() error { _, err := e.Issue(ctx, oauthtest.Request("client_credentials", "app")); return err },
		"exchange": func() error { _, err := e.Issue(ctx, exchange(code.Text, "")); return err },
		"refresh":  func() error { _, err := e.Refresh(ctx, refresh); return err },
		"token":    func() error { _, err := e.Token(ctx, policy.AccessToken, known.Text); return err },
		"code":     func() error { _, err := e.Code(ctx, code.Text); return err },
		"client":   func() error { _, err := e.Client(ctx, "app-key"); return err },
		"approve":  func() error { return e.SetApproved(ctx, policy.AccessToken, known.Text, true, true) },
		"delete":   func() error { return e.DeleteToken(ctx, known.Text) },
		"revoke":   func() error { return e.Revoke(ctx, policy.Revocation{EndUser: "joe"}) },
		"set":      func() error { _, err := e.SetAttributes(ctx, known.Text, nil); return err },
	} {
		err := call()
		var te *policy.TokenError
		if !errors.As(err, &te) || te.Reason != policy.TokenUnavailable || te.Fault == nil || te.Fault.Status != 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
	e.Break(false)
	want(t, verify(t, e, known.Text), 0)
}

// A verified token costs no reads: at steady state fewer than 0.01 a call.
func TestReads(t *testing.T) {
	e := oauthtest.Memory(t)
	fixture(t, e)
	token := issue(t, e, oauthtest.Request("client_credentials", "app"))
	want(t, verify(t, e, token.Text), 0)
	before := e.Store.Counts()
	const calls = 10_000
	for i := range calls {
		e.Wait(time.Duration(i%4) * 50 * time.Millisecond) // 12.5 minutes in all
		want(t, verify(t, e, token.Text, "read"), 0)
	}
	if reads := e.Store.Counts().Reads - before.Reads; float64(reads) > 0.01*calls {
		t.Errorf("%d reads in %d calls", reads, calls)
	}
	before = e.Store.Counts()
	for range calls {
		want(t, verify(t, e, "no-such-token"), policy.UnknownToken)
	}
	if reads := e.Store.Counts().Reads - before.Reads; float64(reads) > 0.01*calls {
		t.Errorf("%d reads in %d calls with an unknown token", reads, calls)
	}
}

// A shorter <CacheExpiryInSeconds> looks the token up again; so does a write in
// another instance that no stamp tells of.
func TestCacheExpiry(t *testing.T) {
	e := oauthtest.Memory(t)
	fixture(t, e)
	token := issue(t, e, oauthtest.Request("client_credentials", "app"))
	call := oauthtest.Call("p", "GET", "/x")
	call.CacheExpiry = 10 * time.Second
	reads := func() int64 {
		before := e.Store.Counts().Reads
		if _, err := e.Verify(t.Context(), policy.TokenCheck{Text: token.Text, Call: call}); err != nil {
			t.Fatal(err)
		}
		return e.Store.Counts().Reads - before
	}
	if reads() == 0 {
		t.Error("the first look costs nothing")
	}
	e.Wait(10*time.Second - time.Millisecond)
	if n := reads(); n != 0 {
		t.Errorf("%d reads within the expiry", n)
	}
	e.Wait(time.Millisecond)
	if reads() == 0 {
		t.Error("not looked up again")
	}
	if _, err := e.Another().SetAttributes(t.Context(), token.Text, []policy.TokenAttribute{{Name: "a", Value: "b"}}); err != nil {
		t.Fatal(err)
	}
	e.Wait(10 * time.Second)
	g, err := e.Verify(t.Context(), policy.TokenCheck{Text: token.Text, Call: call})
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Variables.Variable("accesstoken.a").String(); got != "b" {
		t.Errorf("attribute %q", got)
	}
}

// Neither tokens nor codes nor secrets are in the file of the store.
func TestNothingReadable(t *testing.T) {
	dir := t.TempDir()
	d, err := embedded.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	e := oauthtest.New(t, d)
	fixture(t, e)
	r := oauthtest.Request("password", "app")
	r.EndUser, r.Attributes = "joe-the-end-user", []policy.TokenAttribute{{Name: "private-name", Value: "private-value"}}
	token := issue(t, e, r)
	code := authorize(t, e, &policy.CodeRequest{State: "secret-state", Challenge: strings.Repeat("c", 43), ChallengeMethod: "S256"})
	refresh := oauthtest.Request("", "app")
	refresh.RefreshToken = token.Refresh.Text
	next, err := e.Refresh(t.Context(), refresh)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Revoke(t.Context(), policy.Revocation{EndUser: "joe-the-end-user"}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	secrets := []string{
		token.Text, token.Refresh.Text, next.Text, next.Refresh.Text, code.Text, "secret-state", strings.Repeat("c", 43),
		"app-key", "app-secret", "other-secret", "joe-the-end-user", "private-name", "private-value",
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if len(data) > 0 {
			files++
		}
		for _, s := range secrets {
			if strings.Contains(string(data), s) {
				t.Errorf("%s holds %q", filepath.Base(path), s)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files read: %v", files, err)
	}
}

func TestInfo(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		fixture(t, e)
		r := oauthtest.Request("password", "app")
		r.Attributes = []policy.TokenAttribute{{Name: "a", Value: "1"}, {Name: "b", Value: "2", Hidden: true}}
		issued := issue(t, e, r)
		found, err := e.Token(t.Context(), policy.AccessToken, issued.Text)
		if err != nil {
			t.Fatal(err)
		}
		if found.Refresh == nil || found.Refresh.Text != issued.Refresh.Text || found.App != "app" || found.Left(e.Now()) != 1800 {
			t.Errorf("%+v", found)
		}
		_, err = e.Token(t.Context(), policy.RefreshToken, issued.Text)
		want(t, oauthtest.Reason(err), policy.UnknownRefreshToken)
		changed, err := e.SetAttributes(t.Context(), issued.Text, []policy.TokenAttribute{{Name: "b", Value: "3"}, {Name: "scope", Value: "admin"}})
		if err != nil {
			t.Fatal(err)
		}
		if v, _ := changed.Attribute("b"); v != "3" || len(changed.Attributes) != 3 || changed.Scope != "read write" {
			t.Errorf("%+v", changed)
		}
		c, err := e.Client(t.Context(), "app-key")
		if err != nil || c.Secret != "app-secret" || c.Variables.Variable("developer.email").String() != "ada@example.com" {
			t.Errorf("%+v %v", c, err)
		}
		_, err = e.Client(t.Context(), "nobody")
		want(t, oauthtest.Reason(err), policy.UnknownClient)
		e.Wait(30 * time.Minute)
		if found, err = e.Token(t.Context(), policy.AccessToken, issued.Text); err != nil || !found.Expired(e.Now()) {
			t.Errorf("%+v %v", found, err)
		}
		_, err = e.SetAttributes(t.Context(), issued.Text, nil)
		want(t, oauthtest.Reason(err), policy.TokenExpired)
		want(t, oauthtest.Reason(e.DeleteToken(t.Context(), "nothing")), policy.UnknownToken)
	})
}

func BenchmarkVerify(b *testing.B) {
	e := oauthtest.Memory(b)
	fixture(b, e)
	token := issue(b, e, oauthtest.Request("client_credentials", "app"))
	check := policy.TokenCheck{Text: token.Text, Call: oauthtest.Call("p", "GET", "/x"), Scopes: []string{"read"}}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Verify(ctx, check); err != nil {
			b.Fatal(err)
		}
	}
}
