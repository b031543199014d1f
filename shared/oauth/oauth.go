// Package oauth is the OAuth 2.0 token service of an organization: it issues,
// verifies, refreshes and revokes access tokens, refresh tokens and
// authorization codes. One grant is one file. What a policy says of it (the
// source of a parameter, the shape of an answer, a fault's code) is the policy's.
//
// The text of a token or code is never stored. The id of its document is the
// SHA-256 of the text; what belongs to the caller (consumer key, scope,
// attributes, end user) is sealed with a key derived from the text, so that only
// who has the token can have it read. What stays readable is what revocation and
// statistics need: status, times, app and developer ids, proxy.
//
// Expiry is checked to the instant at every use, by the service's own clock.
// Documents are kept for Retention longer, so that an expired token is told from
// an unknown one.
//
// Verified tokens are remembered for at most 180 s and never past their expiry;
// Drop forgets them. The data plane calls it when Stamp.Revoked changes, and
// everything here that takes validity away changes that.
package oauth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
)

const (
	// MaxAge is how long a verified token is remembered.
	MaxAge = 180 * time.Second
	// Retention is how long an expired token stays in the store, where lookups
	// find it as expired: 3 days.
	Retention = 72 * time.Hour
	// CodeLife is the lifetime of an authorization code that is given none:
	// 10 minutes, the most RFC 6749 section 4.1.2 recommends.
	CodeLife = 10 * time.Minute
	// readTimeout bounds how long a call waits for the store to tell what its token
	// is; it is refused after that.
	readTimeout = 10 * time.Second
	// cacheBytes bounds, roughly, the memory of verified tokens.
	cacheBytes = 32 << 20
	// unknownAge is how long it is remembered that there is no such token.
	unknownAge = 2 * time.Second
	// maxUnknown bounds the tokens that are remembered not to exist.
	maxUnknown = 10_000
)

// Limits of what is kept with a token.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/limits
const (
	MaxTokenBytes          = 2 << 10
	MaxAttributes          = 18
	MaxAttributeNameBytes  = 1 << 10
	MaxAttributeValueBytes = 2 << 10
)

// Service is the token service of one organization. It may be used
// concurrently; make one and share it, as it has the cache.
type Service struct {
	r       *registry.Registry
	store   *store.Store
	clients *credentials.Service
	org     string
	now     func() time.Time

	verified *otter.Cache[id, *verified]
	unknown  *otter.Cache[id, refusal]
	flight   singleflight.Group
	// generation changes with every Drop, version also with every Refresh.
	generation, version atomic.Int64
}

var _ policy.Tokens = (*Service)(nil)

// New returns the token service of an organization. It reads nothing. clients
// answers whose a consumer key is.
func New(r *registry.Registry, clients *credentials.Service, org string) *Service {
	return &Service{
		r: r, store: r.Store(), clients: clients, org: org, now: r.Now,
		verified: otter.Must(&otter.Options[id, *verified]{
			MaximumWeight: cacheBytes, Weigher: func(_ id, v *verified) uint32 { return v.weight() },
		}),
		unknown: otter.Must(&otter.Options[id, refusal]{MaximumSize: maxUnknown}),
	}
}

// Drop forgets every verified token; one being read is not remembered either.
// The data plane calls it when Stamp.Revoked changes.
func (s *Service) Drop() {
	s.generation.Add(1)
	s.version.Add(1)
}

// refused makes the error for a reason.
func refused(r policy.TokenReason) *policy.TokenError { return &policy.TokenError{Reason: r} }

// unavailable is the error for a store that cannot be asked.
func unavailable(err error) error {
	var known *policy.TokenError
	if errors.As(err, &known) {
		return known
	}
	var minting *fault.Fault // of TokenRequest.Mint
	if errors.As(err, &minting) {
		return minting
	}
	return &policy.TokenError{Reason: policy.TokenUnavailable, Fault: credentials.Unavailable(err), Cause: err}
}

// resolve finds the client of a consumer key, whatever its status.
func (s *Service) resolve(ctx context.Context, clientID string) (*credentials.Client, error) {
	c, err := s.clients.Resolve(ctx, clientID)
	if errors.Is(err, credentials.ErrUnknownKey) {
		return nil, refused(policy.UnknownClient)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return c, nil
}

// inForce refuses a client whose key, app or owner is not in force.
func (s *Service) inForce(c *credentials.Client) error {
	if f := c.Check(s.now()); f != nil {
		return &policy.TokenError{Reason: policy.ClientRefused, Fault: f}
	}
	return nil
}

// authenticate finds the client of a request and checks its secret: RFC 6749
// section 2.3.1. A client with the wrong secret is told no more than an unknown
// one.
func (s *Service) authenticate(ctx context.Context, r *policy.TokenRequest) (*credentials.Client, error) {
	c, err := s.resolve(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	if !r.Trusted && !c.CheckSecret(r.ClientSecret) {
		return nil, refused(policy.UnknownClient)
	}
	return c, s.inForce(c)
}
