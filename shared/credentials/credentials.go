// Package credentials answers who a consumer key belongs to and what it may
// call: for VerifyAPIKey, for the OAuth service, for AccessEntity.
//
// A Service resolves a key to a Client: the key, its app, the developer or app
// group, and the products, compiled. Clients are kept for 180 s, as on Apigee,
// and dropped at once when the version stamp says that something verified may no
// longer be valid (Drop). The verdict itself is never kept: status, expiry and
// products are looked at for every call. A key that does not exist is remembered
// for a few seconds, so that guessing keys does not become load on the store.
//
// Callers other than VerifyAPIKey use it like this:
//
//	client, err := service.Resolve(ctx, clientID) // ErrUnknownKey, or the store's error
//	if !client.CheckSecret(secret) { ... }
//	if f := client.Check(now); f != nil { ... }   // key, app, developer in force
//	match, ok := client.MatchAmong(&call, names)  // product and operation of a call
//	grant := client.Grant(match)                  // flow variables
//
// Source: policies reference, "VerifyAPIKey"; management reference, "Products,
// keys, matching"
package credentials

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
)

const (
	// MaxAge is how long a Client is kept.
	MaxAge = 180 * time.Second
	// readTimeout bounds how long a call waits for the store to tell whose its key
	// is; it is refused after that.
	readTimeout = 10 * time.Second
	// unknownAge is how long it is remembered that there is no such key.
	unknownAge = 5 * time.Second
	// maxUnknown bounds the keys that are remembered not to exist.
	maxUnknown = 10_000
	// cacheBytes bounds, roughly, the memory of each of the other caches.
	cacheBytes = 32 << 20
)

// ErrUnknownKey is the error of Resolve for a key that does not exist.
var ErrUnknownKey = errors.New("no such consumer key")

// Service resolves the consumer keys of one organization. It may be used
// concurrently; make one and share it, as it has the caches.
type Service struct {
	r   *registry.Registry
	org string

	clients  *otter.Cache[string, *entry]
	unknown  *otter.Cache[[sha256.Size]byte, refusal]
	products *otter.Cache[string, productEntry]
	profiles *otter.Cache[policy.EntityQuery, profile]
	flight   singleflight.Group

	// generation changes with every Drop, version also with every Refresh.
	generation, version atomic.Int64
}

var (
	_ policy.Credentials = (*Service)(nil)
	_ policy.Entities    = (*Service)(nil)
)

// entry is a Client and when it was read.
type entry struct {
	client     *Client
	read       time.Time
	generation int64
}

// refusal is when a key was found not to exist.
type refusal struct {
	read    time.Time
	version int64
}

type productEntry struct {
	*Product
	read       time.Time
	generation int64
}

// New returns the service of an organization. It reads nothing.
func New(r *registry.Registry, org string) *Service {
	return &Service{
		r: r, org: org,
		clients: otter.Must(&otter.Options[string, *entry]{
			MaximumWeight: cacheBytes, Weigher: func(key string, e *entry) uint32 { return e.client.weight() },
		}),
		unknown: otter.Must(&otter.Options[[sha256.Size]byte, refusal]{MaximumSize: maxUnknown}),
		products: otter.Must(&otter.Options[string, productEntry]{
			MaximumWeight: cacheBytes, Weigher: func(_ string, p productEntry) uint32 { return p.weight() },
		}),
		profiles: otter.Must(&otter.Options[policy.EntityQuery, profile]{
			MaximumWeight: cacheBytes, Weigher: func(q policy.EntityQuery, p profile) uint32 { return uint32(200 + len(p.data)) },
		}),
	}
}

// Drop forgets everything: something verified may no longer be valid. A read
// under way is not kept either. The data plane calls it when Stamp.Revoked
// changes.
func (s *Service) Drop() {
	s.generation.Add(1)
	s.version.Add(1)
}

// Refresh forgets what was not found. The data plane calls it whenever the
// version stamp changes: what was not there may be now.
func (s *Service) Refresh() { s.version.Add(1) }

// Resolve finds the Client of a consumer key, at most MaxAge old. The error is
// ErrUnknownKey if there is none; any other says that it could not be asked.
func (s *Service) Resolve(ctx context.Context, key string) (*Client, error) {
	return s.resolve(ctx, key, MaxAge)
}

func (s *Service) resolve(ctx context.Context, key string, maxAge time.Duration) (*Client, error) {
	if e, ok := s.clients.GetIfPresent(key); ok && s.fresh(e, maxAge) {
		return e.client, nil
	}
	if key == "" || len(key) > entity.MaxConsumerKeyBytes {
		return nil, ErrUnknownKey
	}
	sum := sha256.Sum256([]byte(key))
	if u, ok := s.unknown.GetIfPresent(sum); ok && u.version == s.version.Load() && s.r.Now().Sub(u.read) < unknownAge {
		return nil, ErrUnknownKey
	}
	return s.load(ctx, strings.Clone(key), sum, maxAge)
}

func (s *Service) fresh(e *entry, maxAge time.Duration) bool {
	return e.generation == s.generation.Load() && s.r.Now().Sub(e.read) < maxAge
}

// load reads a Client, once for all that want it at this moment. What another
// began to read before a Drop, or read with older products, does not count.
func (s *Service) load(ctx context.Context, key string, sum [sha256.Size]byte, maxAge time.Duration) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	generation := s.generation.Load()
	for range 3 {
		v, err, shared := s.flight.Do(key, func() (any, error) {
			if e, ok := s.clients.GetIfPresent(key); ok && s.fresh(e, maxAge) {
				return e, nil // read between the look before and this flight
			}
			return s.read(ctx, key, sum, maxAge)
		})
		e, _ := v.(*entry)
		switch {
		case !shared:
			return e.result(err)
		case err != nil && ctx.Err() == nil && !errors.Is(err, ErrUnknownKey):
			continue // perhaps another's deadline
		case e != nil && (e.generation < generation || s.r.Now().Sub(e.read) >= maxAge):
			continue
		}
		return e.result(err)
	}
	e, err := s.read(ctx, key, sum, maxAge)
	return e.result(err)
}

func (e *entry) result(err error) (*Client, error) {
	if err != nil {
		return nil, err
	}
	return e.client, nil
}

// read reads a Client. Products another key had read are taken if they are
// less than half of maxAge old.
func (s *Service) read(ctx context.Context, key string, sum [sha256.Size]byte, maxAge time.Duration) (*entry, error) {
	now, version := s.r.Now(), s.version.Load()
	e := &entry{read: now, generation: s.generation.Load()}
	known := map[string]productEntry{}
	h, err := s.r.Holder(ctx, s.org, key, func(name string) bool {
		p, ok := s.products.GetIfPresent(name)
		if ok = ok && p.generation == e.generation && now.Sub(p.read) < maxAge/2; ok {
			known[name] = p
		}
		return ok
	})
	if err != nil {
		return nil, err
	}
	if h == nil {
		s.unknown.Set(sum, refusal{now, version})
		return nil, ErrUnknownKey
	}
	e.client = newClient(s.org, h, func(name string) *Product {
		if p, ok := known[name]; ok {
			e.read = earlier(e.read, p.read)
			return p.Product
		}
		return s.compile(h.Products[name], now, e.generation)
	})
	s.clients.Set(key, e)
	return e, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// compile makes a product ready and keeps it; nil if there is none.
func (s *Service) compile(api *apigee.GoogleCloudApigeeV1ApiProduct, now time.Time, generation int64) *Product {
	if api == nil {
		return nil
	}
	p := Compile(api)
	s.products.Set(api.Name, productEntry{p, now, generation})
	return p
}

// VerifyKey implements policy.Credentials.
func (s *Service) VerifyKey(ctx context.Context, key string, call policy.APICall) (*policy.Grant, error) {
	age := MaxAge
	if call.CacheExpiry > 0 {
		age = min(age, call.CacheExpiry)
	}
	client, err := s.resolve(ctx, key, age)
	if errors.Is(err, ErrUnknownKey) {
		return nil, invalidKey()
	}
	if err != nil {
		return nil, Unavailable(err)
	}
	if f := client.Check(s.r.Now()); f != nil {
		return nil, f
	}
	m, f := client.Match(&call)
	if f != nil {
		return nil, f
	}
	return client.Grant(m), nil
}

// weight is roughly the memory of a Client once its variables have been read.
func (c *Client) weight() uint32 {
	n := 4<<10 + len(c.ID) + len(c.secret) + len(c.App.CallbackUrl) + 16*len(c.grants)
	for _, list := range [][]*apigee.GoogleCloudApigeeV1Attribute{c.App.Attributes, c.Credential.Attributes} {
		for _, a := range list {
			n += 3 * (len(a.Name) + len(a.Value) + 100)
		}
	}
	if c.Developer != nil {
		for _, a := range c.Developer.Attributes {
			n += 2 * (len(a.Name) + len(a.Value) + 100)
		}
		n += 50 * len(c.Developer.Apps)
	}
	return uint32(n)
}

func (p *Product) weight() uint32 {
	n := 2<<10 + 500*len(p.operations) + 200*len(p.resources)
	for _, a := range p.API.Attributes {
		n += 2 * (len(a.Name) + len(a.Value) + 100)
	}
	return uint32(n)
}
