package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/keystore/memory"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
	"github.com/perigee-gateway/perigee/shared/vault"
)

const org = "acme"

// env is an organization with a service over it.
type env struct {
	*registry.Registry
	*credentials.Service
	t   testing.TB
	now atomic.Int64 // milliseconds
	// down makes every exchange with the store fail.
	down atomic.Bool
}

func newEnv(t testing.TB, d store.Driver) *env {
	t.Helper()
	e := &env{t: t}
	e.now.Store(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	clock := func() time.Time { return time.UnixMilli(e.now.Load()).UTC() }
	e.Registry = registry.New(store.New(failing{d, &e.down}, store.WithClock(clock)), vault.New(memory.New()), registry.WithClock(clock))
	e.Service = credentials.New(e.Registry, org)
	t.Cleanup(func() { _ = d.Close() })
	e.ok(e.EnsureOrganization(t.Context(), org))
	e.ok(e.EnsureEnvironment(t.Context(), org, "test"))
	return e
}

// failing is a Driver that can be made to fail.
type failing struct {
	store.Driver
	down *atomic.Bool
}

var errDown = &store.Error{Code: store.Internal, Err: errors.New("the store is down")}

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

// engines runs a test on every engine there is.
func engines(t *testing.T, test func(*testing.T, *env)) {
	enginestest.Run(t, func(t *testing.T, d store.Driver) { test(t, newEnv(t, d)) })
}

func (e *env) ok(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) wait(d time.Duration) { e.now.Add(d.Milliseconds()) }

// product makes an API product.
func (e *env) product(p *apigee.GoogleCloudApigeeV1ApiProduct) {
	e.t.Helper()
	e.ok(e.Products.Create(e.t.Context(), p, org, p.Name))
}

// developer makes a developer and returns its id.
func (e *env) developer(email string) string {
	e.t.Helper()
	d := &apigee.GoogleCloudApigeeV1Developer{Email: email, FirstName: "Ada", LastName: "L", UserName: "ada", Attributes: attributes("tier", "1", "id", "no")}
	e.ok(e.CreateDeveloper(e.t.Context(), org, d))
	return d.DeveloperId
}

func attributes(pairs ...string) []*apigee.GoogleCloudApigeeV1Attribute {
	var list []*apigee.GoogleCloudApigeeV1Attribute
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, &apigee.GoogleCloudApigeeV1Attribute{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

// app makes an app with a key for products, each approved or "NAME=STATUS".
func (e *env) app(o registry.Owner, name, key string, products ...string) *entity.App {
	e.t.Helper()
	public := &apigee.GoogleCloudApigeeV1Credential{ExpiresAt: entity.Never, IssuedAt: e.now.Load(), Attributes: attributes("batch", "7")}
	for _, p := range products {
		name, status, ok := strings.Cut(p, "=")
		if !ok {
			status = entity.Approved
		}
		public.ApiProducts = append(public.ApiProducts, &apigee.GoogleCloudApigeeV1ApiProductRef{Apiproduct: name, Status: status})
	}
	c, err := e.NewCredential(e.t.Context(), org, entity.KeyPair{Key: key, Secret: "secret-of-" + key}, public)
	e.ok(err)
	a := &entity.App{Credentials: []*entity.Credential{c}, Profile: &apigee.GoogleCloudApigeeV1App{
		Name: name, DeveloperId: o.Developer, AppGroup: o.Group, CallbackUrl: "https://app.example.com/cb",
		Attributes: attributes("DisplayName", "The App", "color", "red", "client_id", "forged", "failed", "x", "apiproduct.name", "forged"),
	}}
	e.ok(e.CreateApp(e.t.Context(), org, a))
	return a
}

// gold is the product of most tests.
func gold() *apigee.GoogleCloudApigeeV1ApiProduct {
	return &apigee.GoogleCloudApigeeV1ApiProduct{
		Name: "gold", Environments: []string{"test"}, Proxies: []string{"hello"}, ApiResources: []string{"/a/**"}, Scopes: []string{"read"},
		Quota: "10", QuotaInterval: "2", QuotaTimeUnit: "hour", Attributes: attributes("margin", "3", "operation.resource", "forged"),
	}
}

var call = policy.APICall{Environment: "test", Proxy: "hello", Path: "/a/b", BasePath: "/v1", Method: "GET"}

// verdict is the code of the fault of a check, "" if the call is let through.
func (e *env) verdict(key string, c policy.APICall) string {
	e.t.Helper()
	g, err := e.VerifyKey(e.t.Context(), key, c)
	if err == nil && g == nil {
		e.t.Fatal("neither grant nor fault")
	}
	if err == nil {
		return ""
	}
	var f *fault.Fault
	if !errors.As(err, &f) || g != nil {
		e.t.Fatalf("%v is no fault, or comes with a grant", err)
	}
	return fmt.Sprintf("%d %s: %s", f.Status, f.Code, f.Text)
}

func (e *env) want(key string, c policy.APICall, verdict string) {
	e.t.Helper()
	if got := e.verdict(key, c); got != verdict {
		e.t.Errorf("%s on %s %s: %q, want %q", key, c.Proxy, c.Path, got, verdict)
	}
}

const (
	invalid      = "401 oauth.v2.InvalidApiKey: Invalid ApiKey"
	notForThis   = "401 oauth.v2.InvalidApiKeyForGivenResource: Invalid ApiKey for given resource"
	notApproved  = "401 oauth.v2.ApiKeyNotApproved: ApiKey not approved"
	expired      = "401 keymanagement.service.consumer_key_expired: Key Expired"
	appRevoked   = "401 keymanagement.service.invalid_client-app_not_approved: App not Approved"
	inactive     = "401 keymanagement.service.DeveloperStatusNotActive: Developer Status is not Active"
	groupAsleep  = "401 keymanagement.service.CompanyStatusNotActive: Company Status is not Active"
	noProducts   = "400 keymanagement.service.consumer_key_missing_api_product_association: Consumer key is missing an API product association"
	notAvailable = "500 datastore.ErrorWhileAccessingDataStore: Error while accessing datastore;Please retry later"
)

// Every check that can refuse a key, alone; and the keys that others are let
// through with keep working.
func TestVerifyKey(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		e.product(gold())
		e.product(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "any"})
		dev := registry.Owner{Developer: e.developer("ada@example.com")}
		e.app(dev, "app", "key", "gold")
		e.want("key", call, "")
		e.want("unknown", call, invalid)
		e.want("", call, invalid)
		e.want(strings.Repeat("k", 2049), call, invalid)
		e.want("key\xff", call, invalid)

		e.app(dev, "bare", "bare-key")
		e.want("bare-key", call, noProducts)
		e.app(dev, "pending", "pending-key", "gold=pending", "any=revoked")
		e.want("pending-key", call, notForThis)
		e.app(dev, "lost", "lost-key", "deleted", "any")
		e.want("lost-key", call, "")

		for _, c := range []policy.APICall{
			{Environment: "prod", Proxy: "hello", Path: "/a/b", Method: "GET"},
			{Environment: "test", Proxy: "other", Path: "/a/b", Method: "GET"},
			{Environment: "test", Proxy: "hello", Path: "/b", Method: "GET"},
		} {
			e.want("key", c, notForThis)
			e.want("lost-key", c, "")
		}

		status := func(s string) func(c *entity.Credential) (*entity.Credential, error) {
			return func(c *entity.Credential) (*entity.Credential, error) {
				c.Public.Status = s
				return c, nil
			}
		}
		edit := func(s, verdict string) {
			t.Helper()
			_, _, err := e.EditCredential(ctx, org, dev, "app", "key", status(s))
			e.ok(err)
			e.Drop()
			e.want("key", call, verdict)
			e.want("lost-key", call, "")
		}
		edit(entity.Revoked, notApproved)
		edit(entity.Pending, notForThis)
		edit(entity.Approved, "")

		app := func(s, verdict string) {
			t.Helper()
			_, err := e.EditApp(ctx, org, dev, "app", func(a *entity.App) error {
				a.Profile.Status = s
				return nil
			})
			e.ok(err)
			e.Drop()
			e.want("key", call, verdict)
			e.want("lost-key", call, "")
		}
		app(entity.Revoked, appRevoked)
		app(entity.Approved, "")

		developer := func(s, verdict string) {
			t.Helper()
			_, err := e.Developers.Update(ctx, func(d *apigee.GoogleCloudApigeeV1Developer) error {
				d.Status = s
				return nil
			}, org, dev.Developer)
			e.ok(err)
			e.Drop()
			e.want("key", call, verdict)
		}
		developer(entity.Inactive, inactive)
		developer(entity.Active, "")

		// Expiry counts from its very moment, also for what is cached.
		_, _, err := e.EditCredential(ctx, org, dev, "app", "key", func(c *entity.Credential) (*entity.Credential, error) {
			c.Public.ExpiresAt = e.now.Load() + 1000
			return c, nil
		})
		e.ok(err)
		e.Drop()
		e.wait(999 * time.Millisecond)
		e.want("key", call, "")
		e.wait(time.Millisecond)
		e.want("key", call, expired)

		_, err = e.Developers.Delete(ctx, org, dev.Developer)
		e.ok(err)
		e.Drop()
		e.want("key", call, invalid)
		e.want("lost-key", call, invalid)
	})
}

func TestVerifyGroupKey(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		e.product(gold())
		e.ok(e.AppGroups.Create(ctx, &apigee.GoogleCloudApigeeV1AppGroup{DisplayName: "The Group", ChannelId: "c", Attributes: attributes("region", "eu")}, org, "group"))
		o := registry.Owner{Group: "group"}
		e.app(o, "app", "key", "gold")
		e.want("key", call, "")
		g, err := e.VerifyKey(ctx, "key", call)
		e.ok(err)
		for name, want := range map[string]string{"app.appType": "AppGroup", "appgroup_name": "group", "company.displayName": "The Group", "appgroup.region": "eu", "developer.email": "", "appgroup.channelId": "c"} {
			if v := g.Variables.Variable(name); v.String() != want || v.IsNull() != (want == "") {
				t.Errorf("%s is %q, want %q", name, v, want)
			}
		}
		if g.Caller.AppGroup != "group" || g.Caller.Developer != "" {
			t.Errorf("caller %+v", g.Caller)
		}
		_, err = e.AppGroups.Update(ctx, func(g *apigee.GoogleCloudApigeeV1AppGroup) error {
			g.Status = entity.Inactive
			return nil
		}, org, "group")
		e.ok(err)
		e.Drop()
		e.want("key", call, groupAsleep)
		_, err = e.AppGroups.Delete(ctx, org, "group")
		e.ok(err)
		e.Drop()
		e.want("key", call, invalid)
	})
}

// The store is asked twice for a key, then not for 180 s; nobody is let in when
// it cannot be asked.
func TestCache(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		e.product(gold())
		dev := registry.Owner{Developer: e.developer("ada@example.com")}
		e.app(dev, "one", "key", "gold")
		e.app(dev, "two", "key2", "gold")
		cost := func(what string, reads, trips int64, f func()) {
			t.Helper()
			before := e.Store().Counts()
			f()
			after := e.Store().Counts()
			if r, n := after.Reads-before.Reads, after.RoundTrips-before.RoundTrips; r != reads || n != trips {
				t.Errorf("%s: %d reads in %d round trips, want %d in %d", what, r, n, reads, trips)
			}
		}
		check := func(key, verdict string) func() { return func() { t.Helper(); e.want(key, call, verdict) } }
		cost("cold", 4, 2, check("key", "")) // reference; app, developer, product
		cost("warm", 0, 0, func() {
			for range 1000 {
				e.want("key", call, "")
			}
		})
		cost("another key of the product", 3, 2, check("key2", ""))
		e.wait(179 * time.Second)
		cost("179 s later", 0, 0, check("key", ""))
		e.wait(time.Second)
		cost("180 s later", 4, 2, check("key", ""))

		short := call
		short.CacheExpiry = 10 * time.Second
		e.wait(9 * time.Second)
		cost("within CacheExpiry", 0, 0, func() { e.want("key", short, "") })
		e.wait(2 * time.Second)
		cost("behind CacheExpiry", 4, 2, func() { e.want("key", short, "") })

		cost("unknown", 1, 1, check("nobody", invalid))
		cost("unknown again", 0, 0, check("nobody", invalid))
		e.app(dev, "three", "nobody", "gold")
		e.Refresh()
		cost("known now", 3, 2, check("nobody", ""))
		cost("unknown", 1, 1, check("never", invalid))
		e.wait(5 * time.Second)
		cost("unknown after 5 s", 1, 1, check("never", invalid))

		e.down.Store(true)
		cost("the store is down, known", 0, 0, check("key", ""))
		e.want("key2", call, notAvailable)
		e.want("who", call, notAvailable)
		e.Drop()
		e.want("key", call, notAvailable)
		e.down.Store(false)
		e.want("key", call, "")
	})
}

// Concurrent first uses of a key cost one read.
func TestSingleFlight(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	e.product(gold())
	e.app(registry.Owner{Developer: e.developer("ada@example.com")}, "one", "key", "gold")
	before := e.Store().Counts().Reads
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 64 {
		wg.Go(func() {
			<-start
			if g, err := e.VerifyKey(t.Context(), "key", call); err != nil || g == nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	if n := e.Store().Counts().Reads - before; n > 3*4 {
		t.Errorf("%d reads for 64 concurrent uses", n)
	}
}

// A caller that gives up does not fail the others that wait for the same key.
func TestImpatientCaller(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	e.product(gold())
	e.app(registry.Owner{Developer: e.developer("ada@example.com")}, "one", "key", "gold")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			ctx := t.Context()
			if i%2 == 0 {
				ctx = gone
			}
			if _, err := e.VerifyKey(ctx, "key", call); err != nil && i%2 == 1 {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// No key is accepted once its revocation has been answered and the data plane
// has learned of it, however many are being verified meanwhile.
func TestRevocations(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		const keys = 100
		ctx := t.Context()
		e.product(gold())
		dev := registry.Owner{Developer: e.developer("ada@example.com")}
		for i := range keys {
			e.app(dev, fmt.Sprintf("app %d", i), fmt.Sprintf("key-%d", i), "gold")
		}
		// As the host does, when the stamp it reads says so.
		var seen atomic.Int64
		refresh := func() {
			s, err := e.Stamp(ctx, org)
			if err != nil {
				t.Error(err)
				return
			}
			if old := seen.Swap(s.Revoked); old != s.Revoked {
				e.Drop()
			}
		}
		refresh()
		var revoked [keys]atomic.Bool
		stop := make(chan struct{})
		var verifiers, revokers sync.WaitGroup
		var accepted atomic.Int64
		for w := range 4 {
			verifiers.Go(func() {
				for i := w; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					n := i * 7 % keys
					over := revoked[n].Load()
					g, err := e.VerifyKey(ctx, fmt.Sprintf("key-%d", n), call)
					if over && err == nil {
						t.Errorf("key %d was accepted after its revocation", n)
					}
					if g != nil {
						accepted.Add(1)
					}
				}
			})
		}
		for i := range keys {
			revokers.Go(func() {
				_, _, err := e.EditCredential(ctx, org, dev, fmt.Sprintf("app %d", i), fmt.Sprintf("key-%d", i), func(c *entity.Credential) (*entity.Credential, error) {
					c.Public.Status = entity.Revoked
					return c, nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				refresh()
				revoked[i].Store(true)
			})
		}
		revokers.Wait()
		close(stop)
		verifiers.Wait()
		for i := range keys {
			e.want(fmt.Sprintf("key-%d", i), call, notApproved)
		}
		t.Logf("%d calls were let through before", accepted.Load())
	})
}

func TestVariables(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	p := gold()
	p.Proxies, p.ApiResources = nil, nil
	p.LlmQuota, p.LlmQuotaInterval, p.LlmQuotaTimeUnit = "1000", "1", "day"
	p.OperationGroup = &apigee.GoogleCloudApigeeV1OperationGroup{OperationConfigs: []*apigee.GoogleCloudApigeeV1OperationConfig{{
		ApiSource: "hello", Operations: []*apigee.GoogleCloudApigeeV1Operation{{Resource: "/a/*", Methods: []string{"get", "PUT"}}},
		Quota:      &apigee.GoogleCloudApigeeV1Quota{Limit: "5", Interval: "1", TimeUnit: "minute"},
		Attributes: attributes("weight", "2"),
	}}}
	e.product(p)
	id := e.developer("ada@example.com")
	a := e.app(registry.Owner{Developer: id}, "app", "key", "gold")
	e.app(registry.Owner{Developer: id}, "another", "key2")
	g, err := e.VerifyKey(t.Context(), "key", call)
	e.ok(err)
	now := "1775044800000"
	want := map[string]string{
		"client_id": "key", "client_secret": "secret-of-key", "redirection_uris": "https://app.example.com/cb", "DisplayName": "The App",
		"developer.app.id": a.Profile.AppId, "developer.app.name": "app", "developer.app.color": "red",
		"app.name": "app", "app.id": a.Profile.AppId, "app.accessType": "", "app.callbackUrl": "https://app.example.com/cb", "app.DisplayName": "The App",
		"app.status": "approved", "app.apiproducts": "[gold]", "app.appFamily": "default", "app.appParentStatus": "active", "app.appType": "Developer",
		"app.appParentId": "acme@@@" + id, "app.created_at": now, "app.created_by": "", "app.last_modified_at": now, "app.last_modified_by": "", "app.color": "red", "app.scopes": "[]",
		"developer.id": "acme@@@" + id, "developer.userName": "ada", "developer.firstName": "Ada", "developer.lastName": "L", "developer.email": "ada@example.com",
		"developer.status": "active", "developer.apps": "[another, app]", "developer.created_at": now, "developer.created_by": "", "developer.last_modified_at": now,
		"developer.last_modified_by": "", "developer.tier": "1", "color": "red", "batch": "7",
		"apiproduct.name": "gold", "apiproduct.margin": "3",
		"apiproduct.developer.quota.limit": "10", "apiproduct.developer.quota.interval": "2", "apiproduct.developer.quota.timeunit": "hour",
		"apiproduct.developer.llmQuota.limit": "1000", "apiproduct.developer.llmQuota.interval": "1", "apiproduct.developer.llmQuota.timeunit": "day",
		"apiproduct.operation": "/a/*", "apiproduct.operation.resource": "/a/*", "apiproduct.operation.methods": "[GET, PUT]",
		"apiproduct.operation.quota.limit": "5", "apiproduct.operation.quota.interval": "1", "apiproduct.operation.quota.timeunit": "minute", "apiproduct.operation.attributes.weight": "2",
	}
	all := maps.Collect(g.Variables.Variables())
	for name, text := range want {
		if v := g.Variables.Variable(name); v.String() != text || v.IsNull() {
			t.Errorf("%s is %q (null %t), want %q", name, v, v.IsNull(), text)
		}
		if v, ok := all[name]; !ok || v.String() != text {
			t.Errorf("%s is not among all", name)
		}
	}
	for name, v := range all {
		if v.String() == "forged" && !strings.HasPrefix(name, "app.") && !strings.HasPrefix(name, "developer.app.") || name == "failed" {
			t.Errorf("an attribute made %s %q", name, v)
		}
	}
	var op []string
	for name := range g.Operation.Variables() {
		op = append(op, name)
	}
	slices.Sort(op)
	if !slices.Equal(op, []string{"apiproduct.operation", "apiproduct.operation.attributes.weight", "apiproduct.operation.methods", "apiproduct.operation.quota.interval",
		"apiproduct.operation.quota.limit", "apiproduct.operation.quota.timeunit", "apiproduct.operation.resource"}) {
		t.Errorf("variables of the operation: %v", op)
	}
	if v := g.Operation.Variable("apiproduct.name"); !v.IsNull() {
		t.Error("a variable of the product without its prefix")
	}
	if want := (flow.Caller{ClientID: "key", App: "app", AppID: a.Profile.AppId, Developer: id, Email: "ada@example.com", Product: "gold"}); *g.Caller != want {
		t.Errorf("caller %+v", *g.Caller)
	}
	again, err := e.VerifyKey(t.Context(), "key", call)
	if err != nil || again != g {
		t.Error("a grant is made for every call")
	}
}

func TestClient(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	p := gold()
	p.Scopes = []string{"read", "write"}
	e.product(p)
	e.product(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "any", Scopes: []string{"write", "all"}})
	e.product(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "later", Scopes: []string{"later"}})
	e.app(registry.Owner{Developer: e.developer("ada@example.com")}, "app", "key", "gold", "any", "later=pending")
	if _, err := e.Resolve(t.Context(), "nobody"); !errors.Is(err, credentials.ErrUnknownKey) {
		t.Errorf("unknown key: %v", err)
	}
	c, err := e.Resolve(t.Context(), "key")
	e.ok(err)
	for secret, ok := range map[string]bool{"secret-of-key": true, "secret-of-ke": false, "secret-of-key ": false, "": false} {
		if c.CheckSecret(secret) != ok {
			t.Errorf("secret %q", secret)
		}
	}
	if got := c.Scopes(); !slices.Equal(got, []string{"read", "write", "all"}) {
		t.Errorf("scopes %v", got)
	}
	if got := c.ProductNames(); !slices.Equal(got, []string{"gold", "any"}) {
		t.Errorf("products %v", got)
	}
	if got := c.CallbackURLs(); !slices.Equal(got, []string{"https://app.example.com/cb"}) || c.DeveloperEmail() != "ada@example.com" {
		t.Errorf("callback URLs %v", got)
	}
	if m, ok := c.MatchAmong(&call, []string{"any", "later"}); !ok || m.Product.Name() != "any" {
		t.Errorf("match among any: %v", m)
	}
	if _, ok := c.MatchAmong(&call, []string{"later"}); ok {
		t.Error("a pending product matches")
	}
	m, f := c.Match(&call)
	if f != nil || m.Quota() != (credentials.Quota{Limit: "10", Interval: "2", TimeUnit: "hour"}) {
		t.Errorf("match %v, %v", m, f)
	}
}

// What is stored does not show keys and secrets.
func TestStoredSecrets(t *testing.T) {
	dir := t.TempDir()
	d, err := embedded.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	e := newEnv(t, d)
	e.product(gold())
	dev := registry.Owner{Developer: e.developer("ada@example.com")}
	const key, secret = "visible-consumer-key", "secret-of-visible-consumer-key"
	e.app(dev, "visible-app", key, "gold")
	made, err := e.NewCredential(t.Context(), org, entity.KeyPair{}, &apigee.GoogleCloudApigeeV1Credential{})
	e.ok(err)
	pair, err := e.OpenCredential(t.Context(), org, made)
	e.ok(err)
	_, err = e.EditApp(t.Context(), org, dev, "visible-app", func(a *entity.App) error {
		a.Credentials = append(a.Credentials, made)
		return nil
	})
	e.ok(err)
	e.want(key, call, "")
	_, _, err = e.Entity(t.Context(), policy.EntityQuery{Kind: "app", Primary: policy.Identifier{Type: "consumerkey", Value: key}})
	e.ok(err)
	e.ok(d.Close())
	files, shown := 0, false
	e.ok(filepath.WalkDir(dir, func(path string, f os.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, s := range []string{key, secret, pair.Key, pair.Secret} {
			if strings.Contains(string(data), s) {
				t.Errorf("%s holds %q", path, s)
			}
		}
		files, shown = files+1, shown || strings.Contains(string(data), "visible-app")
		return err
	}))
	if files == 0 || !shown {
		t.Errorf("%d files, app in clear %t: the test looks at the wrong place", files, shown)
	}
}

func BenchmarkVerifyKey(b *testing.B) {
	e := newEnv(b, enginestest.Memory(b))
	p := gold()
	p.Proxies, p.ApiResources = nil, nil
	p.OperationGroup = &apigee.GoogleCloudApigeeV1OperationGroup{}
	for i := range 20 {
		p.OperationGroup.OperationConfigs = append(p.OperationGroup.OperationConfigs, &apigee.GoogleCloudApigeeV1OperationConfig{
			ApiSource: "hello", Operations: []*apigee.GoogleCloudApigeeV1Operation{{Resource: fmt.Sprintf("/x%d/*", i), Methods: []string{"GET"}}},
		})
	}
	e.product(p)
	e.app(registry.Owner{Developer: e.developer("ada@example.com")}, "app", "key", "gold")
	c := call
	c.Path = "/x19/7"
	before := e.Store().Counts().Reads
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.VerifyKey(b.Context(), "key", c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(e.Store().Counts().Reads-before)/float64(b.N), "reads/op")
}
