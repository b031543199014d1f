package oauth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/oauth"
	"github.com/perigee-gateway/perigee/shared/oauth/oauthtest"
	"github.com/perigee-gateway/perigee/shared/policy"
)

func TestPassword(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		fixture(t, e)
		r := oauthtest.Request("password", "app")
		r.Scope, r.EndUser = "write nothing read write", "joe"
		r.Attributes = []policy.TokenAttribute{{Name: "tier", Value: "gold"}, {Name: "hidden", Value: "x", Hidden: true}}
		token := issue(t, e, r)
		if token.Scope != "write read" || token.Refresh == nil || len(token.Refresh.Text) != 32 || token.EndUser != "joe" {
			t.Fatalf("%+v", token)
		}
		want(t, verify(t, e, token.Text, "write"), 0)
		want(t, verify(t, e, token.Refresh.Text), policy.UnknownToken) // it is no access token

		r = oauthtest.Request("password", "app")
		r.Scope = "nothing"
		_, err := e.Issue(t.Context(), r)
		want(t, oauthtest.Reason(err), policy.InvalidScope)

		refresh := oauthtest.Request("", "app")
		refresh.RefreshToken = token.Refresh.Text
		next, err := e.Refresh(t.Context(), refresh)
		if err != nil {
			t.Fatal(err)
		}
		if v, _ := next.Attribute("tier"); v != "gold" || next.RefreshCount != 1 || next.EndUser != "joe" || next.GrantType != "password" || next.Scope != "write read" {
			t.Errorf("refreshed %+v", next)
		}
		want(t, verify(t, e, next.Text), 0)
		want(t, verify(t, e, token.Text), 0) // good until it expires
		_, err = e.Refresh(t.Context(), refresh)
		want(t, oauthtest.Reason(err), policy.UnknownRefreshToken)

		// It narrows and never grows again: RFC 6749 section 6.
		refresh.RefreshToken, refresh.Scope = next.Refresh.Text, "read"
		if next, err = e.Refresh(t.Context(), refresh); err != nil || next.Scope != "read" || next.RefreshCount != 2 {
			t.Fatalf("%+v %v", next, err)
		}
		refresh.RefreshToken, refresh.Scope = next.Refresh.Text, "write"
		_, err = e.Refresh(t.Context(), refresh)
		want(t, oauthtest.Reason(err), policy.InvalidScope)

		// It is the client's only, and only with its secret.
		refresh.Scope, refresh.ClientID, refresh.ClientSecret = "", "other-key", "other-secret"
		_, err = e.Refresh(t.Context(), refresh)
		want(t, oauthtest.Reason(err), policy.UnknownRefreshToken)
		refresh.ClientID = "app-key"
		_, err = e.Refresh(t.Context(), refresh)
		want(t, oauthtest.Reason(err), policy.UnknownClient)
		refresh.ClientSecret = ""
		_, err = e.Refresh(t.Context(), refresh)
		want(t, oauthtest.Reason(err), policy.UnknownClient)
		refresh.ClientSecret = "app-secret"
		e.Wait(24*time.Hour - time.Millisecond)
		if next, err = e.Refresh(t.Context(), refresh); err != nil {
			t.Fatal(err)
		}
		refresh.RefreshToken = next.Refresh.Text
		e.Wait(24 * time.Hour)
		_, err = e.Refresh(t.Context(), refresh)
		want(t, oauthtest.Reason(err), policy.RefreshTokenExpired)
	})
}

func TestReuseRefreshToken(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		fixture(t, e)
		token := issue(t, e, oauthtest.Request("password", "app"))
		r := oauthtest.Request("", "app")
		r.RefreshToken, r.Reuse = token.Refresh.Text, true
		e.Wait(time.Hour)
		for i := 1; i <= 3; i++ {
			next, err := e.Refresh(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if next.Refresh.Text != token.Refresh.Text || next.RefreshCount != i || !next.Refresh.Expires.Equal(token.Refresh.Expires) {
				t.Errorf("%+v, refresh token %+v", next, next.Refresh)
			}
		}
		e.Wait(23 * time.Hour) // it does not live longer for being used
		_, err := e.Refresh(t.Context(), r)
		want(t, oauthtest.Reason(err), policy.RefreshTokenExpired)
	})
}

func authorize(t testing.TB, e *oauthtest.Env, r *policy.CodeRequest) *policy.Code {
	t.Helper()
	r.ClientID, r.Environment, r.Proxy = "app-key", "test", "oauth"
	code, err := e.Authorize(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func exchange(code, redirect string) *policy.TokenRequest {
	r := oauthtest.Request("authorization_code", "app")
	r.Code, r.RedirectURI = code, redirect
	return r
}

func TestAuthorizationCode(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		fixture(t, e)
		code := authorize(t, e, &policy.CodeRequest{
			RedirectURI: oauthtest.Callback, Scope: "write", State: "s", EndUser: "joe", Attributes: []policy.TokenAttribute{{Name: "a", Value: "1"}},
		})
		if code.RedirectURI != oauthtest.Callback || code.Scope != "write" || !code.Expires.Equal(e.Now().Add(oauth.CodeLife)) {
			t.Errorf("%+v", code)
		}
		found, err := e.Code(t.Context(), code.Text)
		if err != nil || found.Scope != "write" || found.ClientID != "app-key" || found.State != "s" || found.Attributes[0].Value != "1" {
			t.Errorf("%+v %v", found, err)
		}
		for _, c := range []struct {
			change func(r *policy.TokenRequest)
			reason policy.TokenReason
		}{
			{func(r *policy.TokenRequest) { r.Code = "x" }, policy.UnknownCode},
			{func(r *policy.TokenRequest) { r.RedirectURI = "" }, policy.MissingRedirect},
			{func(r *policy.TokenRequest) { r.RedirectURI = oauthtest.Callback + "/" }, policy.InvalidRedirect},
			{func(r *policy.TokenRequest) { r.ClientSecret = "x" }, policy.UnknownClient},
			{func(r *policy.TokenRequest) { r.ClientSecret = "" }, policy.UnknownClient},
			{func(r *policy.TokenRequest) { r.ClientID, r.ClientSecret = "other-key", "other-secret" }, policy.UnknownCode},
			{func(r *policy.TokenRequest) { r.CodeVerifier = strings.Repeat("v", 43) }, policy.InvalidVerifier}, // there was no challenge
		} {
			r := exchange(code.Text, oauthtest.Callback)
			c.change(r)
			_, err := e.Issue(t.Context(), r)
			want(t, oauthtest.Reason(err), c.reason)
		}
		token := issue(t, e, exchange(code.Text, oauthtest.Callback)) // the failures have not used it up
		if token.Scope != "write" || token.EndUser != "joe" || token.Attributes[0].Value != "1" || token.Refresh == nil {
			t.Errorf("%+v", token)
		}
		_, err = e.Issue(t.Context(), exchange(code.Text, oauthtest.Callback))
		want(t, oauthtest.Reason(err), policy.UnknownCode)
		_, err = e.Code(t.Context(), code.Text)
		want(t, oauthtest.Reason(err), policy.UnknownCode)

		code = authorize(t, e, &policy.CodeRequest{}) // the app has one callback URL
		if code.RedirectURI != oauthtest.Callback {
			t.Errorf("redirect URI %q", code.RedirectURI)
		}
		e.Wait(oauth.CodeLife - time.Millisecond)
		if _, err := e.Code(t.Context(), code.Text); err != nil {
			t.Error(err)
		}
		e.Wait(time.Millisecond)
		_, err = e.Code(t.Context(), code.Text)
		want(t, oauthtest.Reason(err), policy.CodeExpired)
		_, err = e.Issue(t.Context(), exchange(code.Text, ""))
		want(t, oauthtest.Reason(err), policy.CodeExpired)

		_, err = e.Authorize(t.Context(), &policy.CodeRequest{ClientID: "app-key", RedirectURI: "https://evil.example.com"})
		want(t, oauthtest.Reason(err), policy.InvalidRedirect)
		_, err = e.Authorize(t.Context(), &policy.CodeRequest{ClientID: "nobody", RedirectURI: oauthtest.Callback})
		want(t, oauthtest.Reason(err), policy.UnknownClient)
	})
}

// The example of RFC 7636 appendix B, and what goes wrong.
func TestPKCE(t *testing.T) {
	e := oauthtest.Memory(t)
	fixture(t, e)
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	for _, c := range []struct {
		name, method, challenge, verifier, secret string
		refused, reason                           policy.TokenReason
	}{
		{"S256", "S256", challenge, verifier, "app-secret", 0, 0},
		{"S256 of a public client", "S256", challenge, verifier, "", 0, 0},
		{"S256, wrong secret", "S256", challenge, verifier, "x", 0, policy.UnknownClient},
		{"S256, the challenge as verifier", "S256", challenge, challenge, "app-secret", 0, policy.InvalidVerifier},
		{"S256 without verifier", "S256", challenge, "", "app-secret", 0, policy.InvalidVerifier},
		{"plain", "plain", verifier, verifier, "app-secret", 0, 0},
		{"plain by default", "", verifier, verifier, "app-secret", 0, 0},
		{"plain of a public client", "plain", verifier, verifier, "", 0, policy.UnknownClient},
		{"plain, wrong", "plain", verifier, challenge, "app-secret", 0, policy.InvalidVerifier},
		{"a short verifier", "plain", "short", "short", "app-secret", policy.InvalidChallenge, 0},
		{"another method", "S512", challenge, verifier, "app-secret", policy.InvalidChallenge, 0},
		{"a method without challenge", "S256", "", verifier, "app-secret", policy.InvalidChallenge, 0},
		{"a challenge of the wrong length", "S256", challenge + "x", verifier, "app-secret", policy.InvalidChallenge, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, err := e.Authorize(t.Context(), &policy.CodeRequest{ClientID: "app-key", RedirectURI: oauthtest.Callback, Challenge: c.challenge, ChallengeMethod: c.method})
			if want(t, oauthtest.Reason(err), c.refused); err != nil {
				return
			}
			r := exchange(code.Text, oauthtest.Callback)
			r.ClientSecret, r.CodeVerifier = c.secret, c.verifier
			token, err := e.Issue(t.Context(), r)
			if want(t, oauthtest.Reason(err), c.reason); err != nil || c.secret != "" {
				return
			}
			// The public client refreshes without a secret, and always gets another
			// refresh token: RFC 9700 section 4.14.2.
			r = oauthtest.Request("", "app")
			r.ClientSecret, r.RefreshToken, r.Reuse = "", token.Refresh.Text, true
			next, err := e.Refresh(t.Context(), r)
			if err != nil || next.Refresh.Text == token.Refresh.Text {
				t.Errorf("refresh of a public client: %+v %v", next, err)
			}
			_, err = e.Refresh(t.Context(), r)
			want(t, oauthtest.Reason(err), policy.UnknownRefreshToken)
		})
	}
}

// FuzzPKCE: whatever the verifier, its own S256 challenge and no other admits it.
func FuzzPKCE(f *testing.F) {
	e := oauthtest.Memory(f)
	fixture(f, e)
	f.Add("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "x")
	f.Add(strings.Repeat("~", 128), strings.Repeat("~", 43))
	f.Fuzz(func(t *testing.T, verifier, other string) {
		sum := sha256.Sum256([]byte(verifier))
		code := authorize(t, e, &policy.CodeRequest{RedirectURI: oauthtest.Callback, Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), ChallengeMethod: "S256"})
		r := exchange(code.Text, oauthtest.Callback)
		if r.CodeVerifier = other; other != verifier {
			if _, err := e.Issue(t.Context(), r); oauthtest.Reason(err) != policy.InvalidVerifier {
				t.Errorf("verifier %q for %q: %v", other, verifier, err)
			}
		}
		r.CodeVerifier = verifier
		_, err := e.Issue(t.Context(), r)
		if valid := err == nil; valid != wellFormed(verifier) {
			t.Errorf("verifier %q: %v", verifier, err)
		}
	})
}

func wellFormed(verifier string) bool {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	return len(verifier) >= 43 && len(verifier) <= 128 && strings.Trim(verifier, unreserved) == ""
}

func TestImplicit(t *testing.T) {
	e := oauthtest.Memory(t)
	fixture(t, e)
	r := oauthtest.Request("implicit", "app")
	r.ClientSecret = ""
	token := issue(t, e, r)
	if token.Refresh != nil || r.RedirectURI != oauthtest.Callback {
		t.Errorf("%+v, redirect %q", token, r.RedirectURI)
	}
	want(t, verify(t, e, token.Text), 0)
	r.RedirectURI = "https://evil.example.com"
	_, err := e.Issue(t.Context(), r)
	want(t, oauthtest.Reason(err), policy.InvalidRedirect)
}

func TestExternal(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		fixture(t, e)
		want(t, verify(t, e, "made-elsewhere"), policy.UnknownToken)
		r := oauthtest.Request("client_credentials", "app")
		r.ClientSecret, r.Trusted, r.External, r.ExternalRefresh = "", true, "made-elsewhere", "fresh-elsewhere"
		token := issue(t, e, r)
		if token.Text != "made-elsewhere" || token.Refresh.Text != "fresh-elsewhere" {
			t.Errorf("%+v", token)
		}
		want(t, verify(t, e, "made-elsewhere"), 0)
		issue(t, e, r) // again: it is the client's own

		// Another client must not take it over.
		r.ClientID = "other-key"
		_, err := e.Issue(t.Context(), r)
		want(t, oauthtest.Reason(err), policy.UnknownToken)
		r.External = strings.Repeat("x", 2049)
		_, err = e.Issue(t.Context(), r)
		want(t, oauthtest.Reason(err), policy.TokenTooLong)

		r = oauthtest.Request("client_credentials", "app")
		r.Trusted, r.NoStore = true, true
		want(t, verify(t, e, issue(t, e, r).Text), policy.UnknownToken)

		// What the other server exchanged a refresh token for.
		r = oauthtest.Request("", "app")
		r.Trusted, r.External = true, "second-elsewhere"
		if _, err := e.Refresh(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		want(t, verify(t, e, "second-elsewhere"), 0)
	})
}

func TestAttributeLimits(t *testing.T) {
	e := oauthtest.Memory(t)
	fixture(t, e)
	many := make([]policy.TokenAttribute, 19)
	for i := range many {
		many[i].Name = string(rune('a' + i))
	}
	for _, list := range [][]policy.TokenAttribute{many, {{Name: strings.Repeat("n", 1025)}}, {{Name: "n", Value: strings.Repeat("v", 2049)}}} {
		r := oauthtest.Request("client_credentials", "app")
		r.Attributes = list
		_, err := e.Issue(t.Context(), r)
		want(t, oauthtest.Reason(err), policy.TokenTooLong)
	}
}

func TestNeverExpires(t *testing.T) {
	e := oauthtest.Memory(t)
	fixture(t, e)
	r := oauthtest.Request("password", "app")
	r.ExpiresIn, r.RefreshExpiresIn = policy.NeverExpires, policy.NeverExpires
	token := issue(t, e, r)
	e.Wait(20 * 365 * 24 * time.Hour)
	want(t, verify(t, e, token.Text), 0)
	refresh := oauthtest.Request("", "app")
	refresh.RefreshToken = token.Refresh.Text
	if _, err := e.Refresh(t.Context(), refresh); err != nil {
		t.Error(err)
	}
}
