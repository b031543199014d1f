// Package registry reads and writes what an organization consists of: typed
// documents over store.Store, with the checks that need other documents, and
// with the version stamp by which data planes learn of changes.
//
// Every write a data plane must notice happens in a transaction of Update,
// which also writes the stamp and, where they are concerned, the configurations
// of environments (entity.Config). So there is no moment at which one is written
// and the other is not.
//
// What takes more than one transaction (the entries of a deleted key value map,
// say) is recorded as a job in the first and finished by whoever comes by after
// a crash; see FinishJobs.
//
// For the data plane the package implements what policies see of it: key value
// maps, resource files, property sets.
package registry

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/archive"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Cipher encrypts the entries of key value maps; *vault.Cipher is one. The
// additional data bind a ciphertext to its place.
type Cipher interface {
	Seal(ctx context.Context, plaintext, aad []byte) ([]byte, error)
	Open(ctx context.Context, ciphertext, aad []byte) ([]byte, error)
}

// Registry is the registry of all organizations of a store. It is safe for
// concurrent use.
type Registry struct {
	store    *store.Store
	cipher   Cipher
	archives Archives
	now      func() time.Time
	jobs     map[string]Job
	// turns are taken by transactions; an organization's is found by its hash.
	turns [64]chan struct{}
	seed  maphash.Seed

	mu        sync.Mutex
	listeners map[int]func(Change)
	listener  int // number of the last one

	Organizations  *Kind[apigee.GoogleCloudApigeeV1Organization]               // org
	Environments   *Kind[apigee.GoogleCloudApigeeV1Environment]                // org, environment
	Groups         *Kind[apigee.GoogleCloudApigeeV1EnvironmentGroup]           // org, group
	Attachments    *Kind[apigee.GoogleCloudApigeeV1EnvironmentGroupAttachment] // org, group, attachment; made by Attach
	Instances      *Kind[entity.Instance]                                      // org, instance
	Operations     *Kind[apigee.GoogleLongrunningOperation]                    // org, id; made by Operation
	APIs           *Kind[entity.Proxy]                                         // org, api
	SharedFlows    *Kind[entity.Proxy]                                         // org, sharedflow
	Revisions      *Kind[entity.Revision]                                      // org, kind, name, revision
	Deployments    *Kind[entity.Deployment]                                    // org, environment, kind, name
	TargetServers  *Kind[entity.TargetServer]                                  // org, environment, name
	References     *Kind[apigee.GoogleCloudApigeeV1Reference]                  // org, environment, name
	Keystores      *Kind[apigee.GoogleCloudApigeeV1Keystore]                   // org, environment, name
	FlowHooks      *Kind[apigee.GoogleCloudApigeeV1FlowHook]                   // org, environment, flow hook point
	DebugMasks     *Kind[apigee.GoogleCloudApigeeV1DebugMask]                  // org, environment
	DebugSessions  *Kind[apigee.GoogleCloudApigeeV1DebugSession]               // org, environment, api, revision, session
	Transactions   *Kind[apigee.GoogleCloudApigeeV1DebugSessionTransaction]    // org, environment, api, revision, session, transaction
	Caches         *Kind[entity.Cache]                                         // org, environment, name
	ResourceFiles  *Kind[entity.ResourceFile]                                  // org, environment, type, name; written by PutResource
	DataCollectors *Kind[apigee.GoogleCloudApigeeV1DataCollector]              // org, name
	Maps           *Kind[apigee.GoogleCloudApigeeV1KeyValueMap]                // MapScope.Parts, name
	Developers     *Kind[apigee.GoogleCloudApigeeV1Developer]                  // org, developer id; made by CreateDeveloper
	AppGroups      *Kind[apigee.GoogleCloudApigeeV1AppGroup]                   // org, name
	Apps           *Kind[entity.App]                                           // org, app id; made by CreateApp
	Products       *Kind[apigee.GoogleCloudApigeeV1ApiProduct]                 // org, name
	RatePlans      *Kind[apigee.GoogleCloudApigeeV1RatePlan]                   // org, product, name
	Subscriptions  *Kind[Subscription]                                         // PayerID, name
	Accounts       *Kind[entity.Account]                                       // PayerID; written by EditAccount
	Members        *Kind[entity.Member]                                        // org or Everywhere, member; written by Grant
	AuditLog       *Kind[entity.AuditEntry]                                    // org, time backwards, random; written by Audit
}

// Option configures a Registry.
type Option func(*Registry)

// WithClock sets the clock of creation times; time.Now is the default.
func WithClock(now func() time.Time) Option { return func(r *Registry) { r.now = now } }

// New returns the Registry of a store. It reads nothing. Without a cipher
// entries of key value maps can be neither read nor written.
func New(st *store.Store, cipher Cipher, opts ...Option) *Registry {
	r := &Registry{store: st, cipher: cipher, archives: Archives{archive.New(st)}, now: time.Now, jobs: map[string]Job{}, seed: maphash.MakeSeed(), listeners: map[int]func(Change){}}
	for i := range r.turns {
		r.turns[i] = make(chan struct{}, 1)
	}
	for _, o := range opts {
		o(r)
	}
	r.kinds()
	return r
}

// Store is the store under the registry.
func (r *Registry) Store() *store.Store { return r.store }

// Archives is where resource files and bundles are kept.
func (r *Registry) Archives() Archives { return r.archives }

// Now is the time by the registry's clock.
func (r *Registry) Now() time.Time { return r.now() }

// Change tells a listener in the same process what a committed transaction
// changed. Other processes learn it from the stamp.
type Change struct {
	Organization string
	Version      int64
	// Environments are those whose Stamp.Changed changed; "" is the
	// organization.
	Environments          []string
	KeyValueMaps, Revoked bool
}

// Subscribe has f called after every commit that changes a stamp, before the
// call that made it returns, until cancel is called. f must be quick.
func (r *Registry) Subscribe(f func(Change)) (cancel func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener++
	n := r.listener
	r.listeners[n] = f
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.listeners, n)
	}
}

func (r *Registry) notify(c Change) {
	r.mu.Lock()
	all := make([]func(Change), 0, len(r.listeners))
	for _, f := range r.listeners {
		all = append(all, f)
	}
	r.mu.Unlock()
	for _, f := range all {
		f(c)
	}
}
