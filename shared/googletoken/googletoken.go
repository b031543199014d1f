// Package googletoken mints Google access tokens and ID tokens for the service
// account a revision was deployed with: directly when that is the host's own
// account, through the IAM Credentials API otherwise. It implements
// policy.GoogleTokens.
//
// Nothing is opened before the first token is asked for, and a failure is not
// remembered. Tokens are kept until five minutes before they expire.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/security/google-auth/overview
package googletoken

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/perigee-gateway/perigee/shared/policy"
)

const (
	// early is how long before its expiry a token is replaced.
	early = 5 * time.Minute
	// mintTimeout bounds one attempt to get a token. It is not bound to the
	// call that started it: others wait for the same token.
	mintTimeout = 30 * time.Second
	// maxTokens bounds the cache: audiences may come from variables.
	maxTokens = 1000
)

// Options are what a Source is made of. The zero value is right outside of
// tests.
type Options struct {
	// Transport carries requests to Google; nil is a default one.
	Transport http.RoundTripper
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Source mints and keeps tokens. It is safe for concurrent use.
type Source struct {
	google google
	now    func() time.Time

	flights singleflight.Group
	mu      sync.Mutex
	tokens  map[string]token
}

// token is a minted token.
type token struct {
	value          string
	renew, expires time.Time // from renew on a new one is asked for
}

// New returns a Source. It opens nothing.
func New(opts Options) *Source {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Source{google: google{transport: opts.Transport}, now: opts.Now, tokens: map[string]token{}}
}

var _ policy.GoogleTokens = (*Source)(nil)

// IDToken returns an ID token of serviceAccount for audience; "" is the host's
// own account. The host's own ID tokens carry the e-mail address when
// includeEmail is set and where the metadata server mints them.
func (s *Source) IDToken(ctx context.Context, serviceAccount, audience string, includeEmail bool) (string, error) {
	key := strings.Join([]string{"id", serviceAccount, audience, strconv.FormatBool(includeEmail)}, "\x00")
	return s.token(ctx, key, func(ctx context.Context) (minted, error) {
		return s.google.idToken(ctx, serviceAccount, audience, includeEmail)
	})
}

// AccessToken returns an access token of serviceAccount with scopes. The
// lifetime counts for other accounts than the host's own, whose tokens live as
// long as the metadata server says, an hour at most.
func (s *Source) AccessToken(ctx context.Context, serviceAccount string, scopes []string, lifetime time.Duration) (string, error) {
	key := strings.Join([]string{"access", serviceAccount, strings.Join(scopes, " "), lifetime.String()}, "\x00")
	return s.token(ctx, key, func(ctx context.Context) (minted, error) {
		return s.google.accessToken(ctx, serviceAccount, scopes, lifetime)
	})
}

// minted is what Google answered.
type minted struct {
	value   string
	expires time.Time
}

func (s *Source) token(ctx context.Context, key string, mint func(context.Context) (minted, error)) (string, error) {
	now := s.now()
	have, ok := s.cached(key)
	if ok && now.Before(have.renew) {
		return have.value, nil
	}
	results := s.flights.DoChan(key, func() (any, error) { return s.mint(context.WithoutCancel(ctx), key, mint) })
	select {
	case r := <-results:
		if r.Err == nil {
			return r.Val.(string), nil
		}
		if ok && now.Before(have.expires) {
			return have.value, nil // the old one is still good
		}
		return "", fmt.Errorf("google token: %w", r.Err)
	case <-ctx.Done():
		return "", fmt.Errorf("google token: %w", context.Cause(ctx))
	}
}

func (s *Source) cached(key string) (token, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[key]
	return t, ok
}

func (s *Source) mint(ctx context.Context, key string, mint func(context.Context) (minted, error)) (string, error) {
	// Who looked before the last mint ended comes here after it.
	if t, ok := s.cached(key); ok && s.now().Before(t.renew) {
		return t.value, nil
	}
	ctx, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	m, err := mint(ctx)
	if err != nil {
		return "", err
	}
	now := s.now()
	life := m.expires.Sub(now)
	s.keep(key, token{value: m.value, expires: m.expires, renew: m.expires.Add(-min(early, life/2))}, now)
	return m.value, nil
}

// keep stores t. A full cache loses its expired tokens first, then any.
func (s *Source) keep(key string, t token, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) >= maxTokens {
		for k, old := range s.tokens {
			if !now.Before(old.expires) {
				delete(s.tokens, k)
			}
		}
	}
	for k := range s.tokens {
		if len(s.tokens) < maxTokens {
			break
		}
		delete(s.tokens, k)
	}
	s.tokens[key] = t
}
