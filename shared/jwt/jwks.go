package jwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/maypok86/otter/v2"

	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Bounds of key sets that are fetched.
const (
	setLifetime   = 300 * time.Second // how long a set is used, as on Apigee
	setGrace      = 300 * time.Second // how much longer if its source is down
	setInterval   = 10 * time.Second  // least time between fetches for unknown key ids
	setRetry      = 2 * time.Second   // least time between a fetch that failed and the next
	setTimeout    = 10 * time.Second  // of one fetch
	maxSet        = 1 << 20           // bytes
	maxSetKeys    = 1000
	maxRemoteSets = 500 // addresses that are remembered
)

// set is a JSON Web Key Set (RFC 7517): its public RSA and EC keys.
type set struct{ keys []setKey }

type setKey struct {
	kid, alg, use string
	ops           []string
	key           *Key
	err           error // why it cannot be used
}

// parseSet reads a key set, or a single key. Keys of other types are passed
// over, and one that is damaged does not disturb the others; a private key
// counts as its public half.
func parseSet(text string) (*set, error) {
	o, err := ParseObject(text)
	if err != nil {
		return nil, &Error{Name: "KeyParsingFailed", Cause: err}
	}
	s := &set{}
	if _, one := o.Get("kty"); one {
		s.add(text)
		return s, nil
	}
	raw, _ := o.Get("keys")
	if raw == "" || raw[0] != '[' {
		return nil, refuseFor("KeyParsingFailed", "the text is no JSON Web Key Set")
	}
	for key := range elements(raw) {
		if len(s.keys) == maxSetKeys {
			return nil, refuseFor("KeyParsingFailed", "the JSON Web Key Set has too many keys")
		}
		s.add(key)
	}
	return s, nil
}

// add adds the key in a JSON object.
func (s *set) add(text string) {
	o, err := ParseObject(text)
	if err != nil {
		return
	}
	kty, _ := o.Text("kty")
	if kty != "RSA" && kty != "EC" {
		return // secrets, other curves, and what is not invented yet
	}
	k := setKey{err: refuseFor("KeyParsingFailed", "the key of the set is damaged")}
	k.kid, _ = o.Text("kid")
	k.use, _ = o.Text("use")
	k.alg, _ = o.Text("alg")
	raw, _ := o.Get("key_ops")
	k.ops, _ = stringsOf(raw)
	if pub, ok := exportPublic(text); ok {
		k.key, k.err = publicKey(pub)
	}
	s.keys = append(s.keys, k)
}

// exportPublic is the public key in a JWK.
func exportPublic(text string) (pub any, ok bool) {
	k, err := jwk.ParseKey([]byte(text))
	if err != nil {
		return nil, false
	}
	if err := jwk.Export(k, &pub); err != nil {
		return nil, false
	}
	switch p := pub.(type) {
	case *rsa.PrivateKey:
		return &p.PublicKey, true
	case *ecdsa.PrivateKey:
		return &p.PublicKey, true
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return p, true
	}
	return nil, false
}

// purpose is what a key of a set is wanted for.
type purpose struct {
	kid string
	alg string
	use string   // "sig" or "enc"
	ops []string // any of them
	fit func(*Key) error
}

// find returns the one key that p fits; two would leave open which is meant.
func (s *set) find(p purpose) (*Key, error) {
	var found *Key
	reason := refuse("NoMatchingPublicKey")
	for i := range s.keys {
		k := &s.keys[i]
		if k.kid != p.kid {
			continue
		}
		if err := k.suits(p); err != nil {
			errors.As(err, &reason)
			continue
		}
		if found != nil {
			return nil, refuseFor("NoMatchingPublicKey", "two keys have the id of the token")
		}
		found = k.key
	}
	if found == nil {
		return nil, reason
	}
	return found, nil
}

func (k *setKey) suits(p purpose) error {
	switch {
	case k.use != "" && k.use != p.use,
		k.alg != "" && k.alg != p.alg,
		len(k.ops) > 0 && !slices.ContainsFunc(k.ops, func(op string) bool { return slices.Contains(p.ops, op) }):
		return refuseFor("NoMatchingPublicKey", "the key with the id of the token is for another use")
	case k.err != nil:
		return k.err
	}
	return p.fit(k.key)
}

// has reports whether a key with the id exists.
func (s *set) has(kid string) bool {
	return slices.ContainsFunc(s.keys, func(k setKey) bool { return k.kid == kid })
}

// remoteSet is a key set at an address. One request fetches at a time, and on
// its own time: nothing runs in the background.
type remoteSet struct {
	busy  chan struct{} // holds one token
	state atomic.Pointer[setState]
}

type setState struct {
	set   *set
	at    time.Time // of set
	tried time.Time // of the last fetch
	err   error     // of the last fetch
}

// remoteSets are the sets by environment and address.
var remoteSets = sync.OnceValue(func() *otter.Cache[string, *remoteSet] {
	return otter.Must(&otter.Options[string, *remoteSet]{MaximumSize: maxRemoteSets})
})

// fetcher fetches key sets for the policies of one environment.
type fetcher struct {
	callouts policy.Callouts
	scope    string
}

func (f *fetcher) at(url string) *remoteSet {
	id := f.scope + "\x00" + url
	if r, ok := remoteSets().GetIfPresent(id); ok {
		return r
	}
	r := &remoteSet{busy: make(chan struct{}, 1)}
	r.state.Store(&setState{})
	kept, _ := remoteSets().SetIfAbsent(id, r)
	return kept
}

// find returns a key of the set at url. An id that the set does not have makes
// it be fetched again, not too often.
func (f *fetcher) find(ctx context.Context, now time.Time, url string, p purpose) (*Key, error) {
	r := f.at(url)
	s, err := r.current(ctx, now, f, url)
	if err != nil {
		return nil, err
	}
	if !s.has(p.kid) {
		if newer, err := r.refresh(ctx, now, f, url); err == nil {
			s = newer
		}
	}
	return s.find(p)
}

// current returns the set, fetching it if there is none or it is too old.
func (r *remoteSet) current(ctx context.Context, now time.Time, f *fetcher, url string) (*set, error) {
	st := r.state.Load()
	if st.set != nil && within(now, st.at, setLifetime) {
		return st.set, nil
	}
	if st.set != nil && within(now, st.at, setLifetime+setGrace) && len(r.busy) > 0 {
		return st.set, nil // another caller asks
	}
	if err := r.lock(ctx); err != nil {
		return nil, err
	}
	defer r.unlock()
	st = r.state.Load()
	if st.set != nil && within(now, st.at, setLifetime) {
		return st.set, nil
	}
	if st.err == nil || !within(now, st.tried, setRetry) {
		st = r.fetch(ctx, now, f, url)
	}
	if st.set != nil && within(now, st.at, setLifetime+setGrace) {
		return st.set, nil
	}
	return nil, st.err
}

// refresh fetches the set again unless that was done a moment ago.
func (r *remoteSet) refresh(ctx context.Context, now time.Time, f *fetcher, url string) (*set, error) {
	if within(now, r.state.Load().tried, setInterval) {
		return r.state.Load().set, nil
	}
	if err := r.lock(ctx); err != nil {
		return nil, err
	}
	defer r.unlock()
	st := r.state.Load()
	if !within(now, st.tried, setInterval) {
		st = r.fetch(ctx, now, f, url)
	}
	return st.set, nil
}

// within reports whether less than d passed since at; a clock that went back
// does not make it so for ever.
func within(now, at time.Time, d time.Duration) bool {
	age := now.Sub(at)
	return age < d && age > -d
}

func (r *remoteSet) lock(ctx context.Context) error {
	select {
	case r.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &Error{Name: "KeyParsingFailed", Cause: fmt.Errorf("wait for the key set: %w", ctx.Err())}
	}
}

func (r *remoteSet) unlock() { <-r.busy }

// fetch replaces the set, or keeps it and notes the failure. That a caller gave
// up says nothing about the source.
func (r *remoteSet) fetch(ctx context.Context, now time.Time, f *fetcher, url string) *setState {
	s, err := f.fetch(ctx, url)
	old := r.state.Load()
	next := &setState{set: s, at: now, tried: now}
	if err != nil {
		next = &setState{set: old.set, at: old.at, tried: now, err: &Error{Name: "KeyParsingFailed", Cause: err}}
	}
	if err == nil || ctx.Err() == nil {
		r.state.Store(next)
	}
	return next
}

func (f *fetcher) fetch(ctx context.Context, url string) (*set, error) {
	if !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
		return nil, errors.New("the address of the key set is no URL")
	}
	ctx, cancel := context.WithTimeout(ctx, setTimeout)
	defer cancel()
	req := message.NewRequest()
	req.Header.Set("Accept", "application/json")
	resp, err := f.callouts.Do(ctx, url, req)
	if err != nil {
		return nil, fmt.Errorf("fetch the key set: %w", err)
	}
	defer resp.Release()
	if resp.Status != 200 {
		return nil, fmt.Errorf("fetch the key set: status %d", resp.Status)
	}
	resp.Limit = maxSet
	body, err := resp.Content()
	if err != nil {
		return nil, fmt.Errorf("fetch the key set: %w", err)
	}
	return parseSet(string(body))
}
