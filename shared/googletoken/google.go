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
	"cloud.google.com/go/auth/credentials/idtoken"
	"cloud.google.com/go/auth/credentials/impersonate"
	"cloud.google.com/go/auth/httptransport"
	"cloud.google.com/go/compute/metadata"
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

func (g *google) idToken(ctx context.Context, account, audience string, includeEmail bool) (minted, error) {
	if audience == "" {
		return minted{}, errors.New("the audience is empty")
	}
	own, err := g.own(ctx, account)
	if err != nil {
		return minted{}, err
	}
	if own {
		format := idtoken.ComputeTokenFormatStandard
		if includeEmail {
			format = idtoken.ComputeTokenFormatFull
		}
		return mintWith(ctx)(idtoken.NewCredentials(&idtoken.Options{Audience: audience, ComputeTokenFormat: format, Client: g.plain()}))
	}
	base, iam, err := g.open()
	if err != nil {
		return minted{}, err
	}
	return mintWith(ctx)(impersonate.NewIDTokenCredentials(&impersonate.IDTokenOptions{
		Audience: audience, TargetPrincipal: account, IncludeEmail: includeEmail, Credentials: base, Client: iam,
	}))
}

func (g *google) accessToken(ctx context.Context, account string, scopes []string, lifetime time.Duration) (minted, error) {
	own, err := g.own(ctx, account)
	if err != nil {
		return minted{}, err
	}
	if own {
		return mintWith(ctx)(g.detect(scopes...))
	}
	base, iam, err := g.open()
	if err != nil {
		return minted{}, err
	}
	return mintWith(ctx)(impersonate.NewCredentials(&impersonate.CredentialsOptions{
		TargetPrincipal: account, Scopes: scopes, Lifetime: lifetime, Credentials: base, Client: iam,
	}))
}

// mintWith returns a function that gets one token from new credentials. The
// credentials are not kept: their own cache renews in the background, which a
// frozen instance cannot.
func mintWith(ctx context.Context) func(*auth.Credentials, error) (minted, error) {
	return func(c *auth.Credentials, err error) (minted, error) {
		if err != nil {
			return minted{}, err
		}
		t, err := c.Token(ctx)
		if err != nil {
			return minted{}, err
		}
		return minted{t.Value, t.Expiry}, nil
	}
}
