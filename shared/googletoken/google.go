package googletoken

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	"cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2"
	"google.golang.org/api/idtoken"
	"google.golang.org/api/impersonate"
	"google.golang.org/api/option"
)

// cloudPlatform is the scope that the IAM Credentials API wants.
const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

// google talks to Google with the Application Default Credentials. They are
// found on first use; when that fails the next call tries again.
type google struct {
	transport http.RoundTripper

	mu    sync.Mutex
	base  *auth.Credentials
	iam   *http.Client // authenticated with base
	email string       // of base, once known
}

// open returns the base credentials and a client that sends their token.
func (g *google) open() (*auth.Credentials, *http.Client, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.base != nil {
		return g.base, g.iam, nil
	}
	base, err := g.detect(cloudPlatform)
	if err != nil {
		return nil, nil, err
	}
	iam, err := httptransport.NewClient(&httptransport.Options{
		Credentials: base, BaseRoundTripper: g.transport,
		InternalOptions: &httptransport.InternalOptions{SkipUniverseDomainValidation: true},
	})
	if err != nil {
		return nil, nil, err
	}
	g.base, g.iam = base, iam
	return base, iam, nil
}

func (g *google) detect(scopes ...string) (*auth.Credentials, error) {
	return credentials.DetectDefault(&credentials.DetectOptions{
		Scopes: scopes, UseSelfSignedJWT: true, DisableAsyncRefresh: true, Client: g.plain(),
	})
}

// plain is a client without authentication.
func (g *google) plain() *http.Client {
	if g.transport == nil {
		return nil
	}
	return &http.Client{Transport: g.transport}
}

// own reports whether account is the one that this process runs as. Its tokens
// come without IAM, where it would need the right to impersonate itself.
func (g *google) own(ctx context.Context, account string) (bool, error) {
	if account == "" {
		return true, nil
	}
	base, _, err := g.open()
	if err != nil {
		return false, err
	}
	g.mu.Lock()
	email := g.email
	g.mu.Unlock()
	if email == "" {
		email = emailOf(ctx, base)
		g.mu.Lock()
		g.email = email
		g.mu.Unlock()
	}
	return strings.EqualFold(email, strings.TrimPrefix(account, "projects/-/serviceAccounts/")), nil
}

// emailOf returns the address of credentials, "" if they do not say.
func emailOf(ctx context.Context, base *auth.Credentials) string {
	if file := base.JSON(); len(file) > 0 {
		var key struct {
			Type  string `json:"type"`
			Email string `json:"client_email"`
		}
		if json.Unmarshal(file, &key) != nil || key.Type != "service_account" {
			return ""
		}
		return key.Email
	}
	email, err := metadata.EmailWithContext(ctx, "default")
	if err != nil {
		return ""
	}
	return email
}

// idToken mints an ID token. The host's own always carry the e-mail address:
// that is the format idtoken asks the metadata server for.
func (g *google) idToken(ctx context.Context, account, audience string, includeEmail bool) (minted, error) {
	if audience == "" {
		return minted{}, errors.New("the audience is empty")
	}
	own, err := g.own(ctx, account)
	if err != nil {
		return minted{}, err
	}
	if own {
		return mint(ctx, func(ctx context.Context) (oauth2.TokenSource, error) {
			return idtoken.NewTokenSource(g.client(ctx), audience)
		})
	}
	_, iam, err := g.open()
	if err != nil {
		return minted{}, err
	}
	return mint(ctx, func(ctx context.Context) (oauth2.TokenSource, error) {
		return impersonate.IDTokenSource(ctx, impersonate.IDTokenConfig{
			Audience: audience, TargetPrincipal: account, IncludeEmail: includeEmail,
		}, option.WithHTTPClient(iam))
	})
}

func (g *google) accessToken(ctx context.Context, account string, scopes []string, lifetime time.Duration) (minted, error) {
	own, err := g.own(ctx, account)
	if err != nil {
		return minted{}, err
	}
	if own {
		return g.ownAccessToken(ctx, scopes)
	}
	_, iam, err := g.open()
	if err != nil {
		return minted{}, err
	}
	return mint(ctx, func(ctx context.Context) (oauth2.TokenSource, error) {
		return impersonate.CredentialsTokenSource(ctx, impersonate.CredentialsConfig{
			TargetPrincipal: account, Scopes: scopes, Lifetime: lifetime,
		}, option.WithHTTPClient(iam))
	})
}

func (g *google) ownAccessToken(ctx context.Context, scopes []string) (minted, error) {
	c, err := g.detect(scopes...)
	if err != nil {
		return minted{}, err
	}
	t, err := c.Token(ctx)
	if err != nil {
		return minted{}, err
	}
	return minted{t.Value, t.Expiry}, nil
}

// client is ctx with the client that idtoken sends token requests with.
func (g *google) client(ctx context.Context) context.Context {
	if c := g.plain(); c != nil {
		return context.WithValue(ctx, oauth2.HTTPClient, c)
	}
	return ctx
}

// mint gets one token from a new source, under the deadline of ctx. The source
// is not kept: its own cache knows nothing of ours. Sources take no context, so
// one that outlives ctx ends with its own time-out and its token is dropped.
func mint(ctx context.Context, source func(context.Context) (oauth2.TokenSource, error)) (minted, error) {
	type result struct {
		m   minted
		err error
	}
	done := make(chan result, 1)
	go func() {
		m, err := fetch(source(context.WithoutCancel(ctx)))
		done <- result{m, err}
	}()
	select {
	case r := <-done:
		return r.m, r.err
	case <-ctx.Done():
		return minted{}, ctx.Err()
	}
}

func fetch(ts oauth2.TokenSource, err error) (minted, error) {
	if err != nil {
		return minted{}, err
	}
	t, err := ts.Token()
	if err != nil {
		return minted{}, err
	}
	return minted{t.AccessToken, t.Expiry}, nil
}
