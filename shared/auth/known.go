package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/perigee-gateway/perigee/shared/entity"
)

const (
	// maxKnown bounds the tokens that are remembered.
	maxKnown = 10_000
	// refusedFor is how long a token that Google refused is refused again without
	// asking.
	refusedFor = 10 * time.Second
	// verifyTimeout bounds one verification. It is not bound to the call that
	// started it: others wait for the same token.
	verifyTimeout = 10 * time.Second
)

// digest is the SHA-256 of a token: tokens themselves are not kept.
type digest = [sha256.Size]byte

// known remembers what verified and refused tokens said, and verifies each token
// once at a time.
type known struct {
	now     func() time.Time
	flights singleflight.Group

	mu     sync.Mutex
	tokens map[digest]verdict
}

// verdict is the outcome of a verification, good until a time.
type verdict struct {
	identity
	err   error
	until time.Time
}

func newKnown(now func() time.Time) *known {
	return &known{now: now, tokens: map[digest]verdict{}}
}

// identity is what the token of the digest says, by verify if it is not known.
func (k *known) identity(ctx context.Context, token digest, verify func(context.Context) (identity, error)) (identity, error) {
	if v, ok := k.get(token); ok {
		return v.identity, v.err
	}
	results := k.flights.DoChan(string(token[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verifyTimeout)
		defer cancel()
		return k.verify(ctx, token, verify)
	})
	select {
	case r := <-results:
		id, _ := r.Val.(identity)
		return id, r.Err
	case <-ctx.Done():
		return identity{}, fmt.Errorf("verify the token: %w", context.Cause(ctx))
	}
}

// verify remembers what was found out; not that it could not be.
func (k *known) verify(ctx context.Context, token digest, verify func(context.Context) (identity, error)) (identity, error) {
	id, err := verify(ctx)
	switch {
	case err == nil:
		k.keep(token, verdict{identity: id, until: id.expires})
	case entity.CodeOf(err) == entity.Unavailable:
		return identity{}, err
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return identity{}, unavailable("verify the token", errors.New("Google did not answer in time"))
	default:
		k.keep(token, verdict{err: err, until: k.now().Add(refusedFor)})
	}
	return id, err
}

func (k *known) get(token digest) (verdict, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.tokens[token]
	if ok && !k.now().Before(v.until) {
		delete(k.tokens, token)
		return verdict{}, false
	}
	return v, ok
}

// keep stores a verdict. When it is full those that are over go first, then
// refusals, then any.
func (k *known) keep(token digest, v verdict) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.tokens) >= maxKnown {
		k.drop(func(old verdict) bool { return !k.now().Before(old.until) }, maxKnown)
		k.drop(func(old verdict) bool { return old.err != nil }, maxKnown*9/10)
		k.drop(func(verdict) bool { return true }, maxKnown*9/10)
	}
	k.tokens[token] = v
}

// drop removes the verdicts that may go until there are fewer than enough.
func (k *known) drop(may func(verdict) bool, enough int) {
	for token, v := range k.tokens {
		if len(k.tokens) < enough {
			return
		}
		if may(v) {
			delete(k.tokens, token)
		}
	}
}
