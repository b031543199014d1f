// Package oauthtest is a token service with its registry on an engine of choice,
// under a clock that tests move, with a store that they can break. It is for the
// tests of package oauth and of the policies that use it.
package oauthtest

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/keystore/memory"
	"github.com/perigee-gateway/perigee/shared/oauth"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
	"github.com/perigee-gateway/perigee/shared/vault"
)

// Org is the organization; it has the environment test. Keys made by App begin
// with the app's name.
const Org = "org"

// Start is the time at which the clock begins.
var Start = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)

// Env is a token service to test with.
type Env struct {
	*oauth.Service
	Registry    *registry.Registry
	Credentials *credentials.Service
	Store       *store.Store

	t    testing.TB
	now  atomic.Int64 // milliseconds
	down atomic.Bool
}

// New makes an Env on an engine.
func New(t testing.TB, d store.Driver) *Env {
	t.Helper()
	e := &Env{t: t}
	e.now.Store(Start.UnixMilli())
	e.Store = store.New(failing{d, &e.down}, store.WithClock(e.Now))
	e.Registry = registry.New(e.Store, vault.New(memory.New()), registry.WithClock(e.Now))
	e.Credentials = credentials.New(e.Registry, Org)
	e.Service = oauth.New(e.Registry, e.Credentials, Org)
	t.Cleanup(func() { _ = d.Close() })
	e.ok(e.Registry.EnsureOrganization(t.Context(), Org))
	e.ok(e.Registry.EnsureEnvironment(t.Context(), Org, "test"))
	return e
}

// Memory makes an Env in memory.
func Memory(t testing.TB) *Env {
	t.Helper()
	return New(t, enginestest.Memory(t))
}

// Engines runs a test on every engine there is.
func Engines(t *testing.T, test func(*testing.T, *Env)) {
	enginestest.Run(t, func(t *testing.T, d store.Driver) { test(t, New(t, d)) })
}

// Another is a second instance over the same store: its caches are its own.
func (e *Env) Another() *oauth.Service {
	return oauth.New(e.Registry, credentials.New(e.Registry, Org), Org)
}

func (e *Env) ok(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// Now is the time by the clock.
func (e *Env) Now() time.Time { return time.UnixMilli(e.now.Load()).UTC() }

// Wait moves the clock, in milliseconds.
func (e *Env) Wait(d time.Duration) { e.now.Add(d.Milliseconds()) }

// Break makes every exchange with the store fail, or work again.
func (e *Env) Break(down bool) { e.down.Store(down) }

// Changed is what a gateway does when it sees that the stamp's Revoked changed.
func (e *Env) Changed() {
	e.Credentials.Drop()
	e.Drop()
}

// Services are those of policies.
func (e *Env) Services() policy.Services {
	return policy.Services{Now: e.Now, Credentials: e.Credentials, Tokens: e.Service}
}

// Product makes an API product of all proxies with the given scopes.
func (e *Env) Product(name string, scopes ...string) {
	e.t.Helper()
	e.ProductOf(&apigee.GoogleCloudApigeeV1ApiProduct{Name: name, DisplayName: name, Scopes: scopes})
}

// ProductOf makes an API product.
func (e *Env) ProductOf(p *apigee.GoogleCloudApigeeV1ApiProduct) {
	e.t.Helper()
	e.ok(e.Registry.Products.Create(e.t.Context(), p, Org, p.Name))
}

// Callback is the callback URL of every app.
const Callback = "https://app.example.com/cb"

// App makes an app of the developer ada@example.com, with a key for the given
// products. The consumer key is NAME-key and the secret NAME-secret.
func (e *Env) App(name string, products ...string) *entity.App {
	e.t.Helper()
	return e.AppOf("ada@example.com", name, products...)
}

// AppOf is App of another developer, who is made if need be.
func (e *Env) AppOf(email, name string, products ...string) *entity.App {
	e.t.Helper()
	ctx := e.t.Context()
	dev, err := e.Registry.Developer(ctx, Org, email)
	if entity.IsNotFound(err) {
		user, _, _ := strings.Cut(email, "@")
		dev = &apigee.GoogleCloudApigeeV1Developer{Email: email, FirstName: "Ada", LastName: "L", UserName: user}
		err = e.Registry.CreateDeveloper(ctx, Org, dev)
	}
	e.ok(err)
	public := &apigee.GoogleCloudApigeeV1Credential{ExpiresAt: entity.Never, IssuedAt: Start.UnixMilli()}
	for _, p := range products {
		public.ApiProducts = append(public.ApiProducts, &apigee.GoogleCloudApigeeV1ApiProductRef{Apiproduct: p, Status: entity.Approved})
	}
	c, err := e.Registry.NewCredential(ctx, Org, entity.KeyPair{Key: name + "-key", Secret: name + "-secret"}, public)
	e.ok(err)
	a := &entity.App{
		Profile:     &apigee.GoogleCloudApigeeV1App{Name: name, DeveloperId: dev.DeveloperId, CallbackUrl: Callback},
		Credentials: []*entity.Credential{c},
	}
	e.ok(e.Registry.CreateApp(ctx, Org, a))
	return a
}

// Call is a call of the environment test.
func Call(proxy, method, path string) policy.APICall {
	return policy.APICall{Environment: "test", Proxy: proxy, Method: method, Path: path, BasePath: "/v1"}
}

// Request is a token request of an app made by App.
func Request(grant, app string) *policy.TokenRequest {
	return &policy.TokenRequest{
		GrantType: grant, Environment: "test", Proxy: "oauth", ClientID: app + "-key", ClientSecret: app + "-secret",
		ExpiresIn: 30 * time.Minute, RefreshExpiresIn: 24 * time.Hour,
	}
}

// Reason is the reason of an error, 0 if it has none.
func Reason(err error) policy.TokenReason {
	var e *policy.TokenError
	if errors.As(err, &e) {
		return e.Reason
	}
	return 0
}

// failing is a Driver that can be made to fail.
type failing struct {
	store.Driver
	down *atomic.Bool
}

var errDown = &store.Error{Code: store.Internal, Err: errors.New("the store is down")}

// UseClock implements store.ClockUser, so that the engine drops what has expired
// by the clock of the test.
func (f failing) UseClock(now func() time.Time) {
	if u, ok := f.Driver.(store.ClockUser); ok {
		u.UseClock(now)
	}
}

func (f failing) Get(ctx context.Context, key store.Key) (store.Doc, error) {
	if f.down.Load() {
		return store.Doc{}, errDown
	}
	return f.Driver.Get(ctx, key)
}

func (f failing) GetAll(ctx context.Context, keys []store.Key) ([]store.Doc, error) {
	if f.down.Load() {
		return nil, errDown
	}
	return f.Driver.GetAll(ctx, keys)
}

func (f failing) Query(ctx context.Context, q store.Query) iter.Seq2[store.Doc, error] {
	if f.down.Load() {
		return func(yield func(store.Doc, error) bool) { yield(store.Doc{}, errDown) }
	}
	return f.Driver.Query(ctx, q)
}

func (f failing) Update(ctx context.Context, fn func(store.Tx) error) error {
	if f.down.Load() {
		return errDown
	}
	return f.Driver.Update(ctx, fn)
}
