// Package auth authenticates callers of the Management API by what Google says
// of their bearer tokens: ID tokens, verified here with Google's published keys,
// and access tokens, which Google is asked about. What a caller may do comes from
// the roles granted in the store, not from the token.
//
// Nothing is opened before the first call. Roles are read with every call, so
// that one taken away is gone at once; tokens are verified once and then known
// until they expire.
//
// Sources: https://developers.google.com/identity/sign-in/web/backend-auth,
// https://cloud.google.com/docs/authentication/token-types
package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/management"
)

// maxToken bounds a token, in bytes: Google's are at most 2 KiB.
const maxToken = 16 << 10

// Options say whom to let in. Roles is required.
type Options struct {
	// Audiences are the values of aud that ID tokens may have: the URLs this API
	// is called at. Without one ID tokens are refused.
	Audiences []string
	// Clients are the OAuth clients whose access tokens are taken; empty is any.
	// What keeps tokens of strange clients out is the scope cloud-platform, which
	// a token must have in any case.
	Clients []string
	// Admins are members with the role admin everywhere, without a grant: who
	// makes the first organization and grants the first roles.
	Admins []string
	// Roles are the names of a member's roles by organization.
	Roles func(ctx context.Context, member string) (map[string]string, error)
	// Transport carries requests to Google; nil is http.DefaultTransport.
	Transport http.RoundTripper
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Google authenticates callers with Google's tokens. It is safe for concurrent
// use.
type Google struct {
	audiences, clients []string
	admins             map[string]bool
	roles              func(ctx context.Context, member string) (map[string]string, error)
	now                func() time.Time
	known              *known
	ids                *idTokens
	access             *accessTokens
}

var _ management.Authenticator = (*Google)(nil)

// New returns the authenticator. An admin that is no member name is an error.
func New(o Options) (*Google, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	g := &Google{
		audiences: slices.Clone(o.Audiences), clients: slices.Clone(o.Clients), admins: map[string]bool{},
		roles: o.Roles, now: o.Now, known: newKnown(o.Now),
		ids: newIDTokens(o.Transport, o.Now), access: newAccessTokens(o.Transport, o.Now),
	}
	for _, a := range o.Admins {
		name, err := entity.MemberName(a)
		if err != nil {
			return nil, fmt.Errorf("admin %q: %w", a, err)
		}
		g.admins[name] = true
	}
	return g, nil
}

// identity is what a verified token says.
type identity struct {
	member  string
	expires time.Time
}

// Authenticate implements management.Authenticator.
func (g *Google) Authenticate(r *http.Request) (management.Principal, error) {
	token, err := bearer(r)
	if err != nil {
		return management.Principal{}, err
	}
	id, err := g.known.identity(r.Context(), sha256.Sum256([]byte(token)), func(ctx context.Context) (identity, error) {
		return g.verify(ctx, token)
	})
	if err != nil {
		return management.Principal{}, err
	}
	return g.principal(r.Context(), id.member)
}

// bearer is the token of the Authorization header.
func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", errors.New("no Authorization header")
	}
	if len(values) > 1 {
		return "", errors.New("more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	token = strings.TrimSpace(token)
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", errors.New("the Authorization header has no bearer token")
	case token == "" || len(token) > maxToken || strings.ContainsAny(token, " \t,"):
		return "", errors.New("the bearer token is malformed")
	case strings.HasSuffix(token, ".SIGNATURE_REMOVED_BY_GOOGLE"):
		// https://cloud.google.com/run/docs/authenticating/service-to-service
		return "", errors.New("the ID token came without its signature, which Cloud Run takes off: send that for Cloud Run's own check in X-Serverless-Authorization")
	}
	return token, nil
}

// verify finds out what kind of token it is and verifies it.
func (g *Google) verify(ctx context.Context, token string) (identity, error) {
	if isJWT(token) {
		return g.ids.verify(ctx, token, g.audiences)
	}
	return g.access.verify(ctx, token, g.clients)
}

// isJWT reports whether a token's first part is a JSON object: access tokens may
// have dots, too.
func isJWT(token string) bool {
	first, _, ok := strings.Cut(token, ".")
	header, err := base64.RawURLEncoding.DecodeString(first)
	return ok && err == nil && len(header) > 0 && header[0] == '{'
}

// principal is the member with the roles granted now.
func (g *Google) principal(ctx context.Context, member string) (management.Principal, error) {
	p := management.Principal{Name: member, Roles: map[string]management.Role{}}
	if g.admins[member] {
		p.Roles[management.Everywhere] = management.Admin
		return p, nil // also when the store is down or empty
	}
	names, err := g.roles(ctx, member)
	if err != nil {
		return management.Principal{}, unavailable("read the roles of "+member, err)
	}
	for org, name := range names {
		if role, ok := management.ParseRole(name); ok {
			p.Roles[org] = role
		}
	}
	return p, nil
}

// unavailable is the error when it could not be found out who calls.
func unavailable(doing string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &entity.Error{Code: entity.Unavailable, Message: "The caller's credentials cannot be checked now.", Err: fmt.Errorf("%s: %w", doing, err)}
}
