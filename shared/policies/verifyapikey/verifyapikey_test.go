package verifyapikey_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/keystore/memory"
	"github.com/perigee-gateway/perigee/shared/oauth/oauthtest"
	"github.com/perigee-gateway/perigee/shared/policies/verifyapikey"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
	"github.com/perigee-gateway/perigee/shared/vault"
)

func TestCases(t *testing.T) {
	policytest.Run(t, verifyapikey.Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		switch {
		case strings.HasSuffix(t.Name(), "/no_service"):
			return policy.Services{}
		case strings.HasSuffix(t.Name(), "/store_away"):
			return policy.Services{Credentials: credentials.New(registry.New(store.New(away{}), nil), "org")}
		}
		return policy.Services{Credentials: fixture().service}
	}), policytest.WithMask(oauthtest.Mask))
}

// away is a store that cannot be asked.
type away struct{ store.Driver }

func (away) Get(context.Context, store.Key) (store.Doc, error) {
	return store.Doc{}, &store.Error{Code: store.Internal, Err: errors.New("away")}
}

// world holds the keys that the cases use; see fixture.
type world struct {
	store   *store.Store
	service *credentials.Service
}

var fixture = sync.OnceValue(func() world {
	driver, err := embedded.Memory()
	check(err)
	clock := func() time.Time { return policytest.Now }
	w := world{store: store.New(driver, store.WithClock(clock))}
	r := registry.New(w.store, vault.New(memory.New()), registry.WithClock(clock))
	w.service = credentials.New(r, "org")
	ctx := context.Background()
	check(r.EnsureOrganization(ctx, "org"))
	product := func(p *apigee.GoogleCloudApigeeV1ApiProduct) { check(r.Products.Create(ctx, p, "org", p.Name)) }
	product(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "pets", Proxies: []string{"proxy"}, Environments: []string{"test"}, ApiResources: []string{"/pets/**"}, Quota: "7"})
	product(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "elsewhere", Environments: []string{"prod"}})
	product(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "operations", Quota: "9", QuotaInterval: "2", QuotaTimeUnit: "day", OperationGroup: &apigee.GoogleCloudApigeeV1OperationGroup{
		OperationConfigs: []*apigee.GoogleCloudApigeeV1OperationConfig{{
			ApiSource: "proxy", Operations: []*apigee.GoogleCloudApigeeV1Operation{{Resource: "/shops", Methods: []string{"GET"}}},
			Quota: &apigee.GoogleCloudApigeeV1Quota{Limit: "3", Interval: "1", TimeUnit: "hour"},
		}},
	}})
	dev := func(email, status string) registry.Owner {
		d := &apigee.GoogleCloudApigeeV1Developer{Email: email, FirstName: "Ada", LastName: "L", UserName: "ada", Status: status}
		check(r.CreateDeveloper(ctx, "org", d))
		return registry.Owner{Developer: d.DeveloperId}
	}
	app := func(o registry.Owner, key string, change func(*entity.App, *apigee.GoogleCloudApigeeV1Credential), products ...string) {
		public := &apigee.GoogleCloudApigeeV1Credential{ExpiresAt: entity.Never}
		for _, p := range products {
			public.ApiProducts = append(public.ApiProducts, &apigee.GoogleCloudApigeeV1ApiProductRef{Apiproduct: p, Status: entity.Approved})
		}
		a := &entity.App{Profile: &apigee.GoogleCloudApigeeV1App{Name: "app-" + key, DeveloperId: o.Developer, AppGroup: o.Group}}
		change(a, public)
		c, err := r.NewCredential(ctx, "org", entity.KeyPair{Key: key, Secret: "s3cret"}, public)
		check(err)
		a.Credentials = []*entity.Credential{c}
		check(r.CreateApp(ctx, "org", a))
	}
	as := func(*entity.App, *apigee.GoogleCloudApigeeV1Credential) {}
	ada, idle := dev("ada@example.com", entity.Active), dev("idle@example.com", entity.Inactive)
	check(r.AppGroups.Create(ctx, &apigee.GoogleCloudApigeeV1AppGroup{Status: entity.Inactive}, "org", "asleep"))
	app(ada, "good", as, "pets", "operations")
	app(ada, "no-product", as)
	app(ada, "only-prod", as, "elsewhere")
	app(ada, "pending", func(_ *entity.App, c *apigee.GoogleCloudApigeeV1Credential) { c.ApiProducts[0].Status = entity.Pending }, "pets")
	app(ada, "revoked", func(_ *entity.App, c *apigee.GoogleCloudApigeeV1Credential) { c.Status = entity.Revoked }, "pets")
	app(ada, "expired", func(_ *entity.App, c *apigee.GoogleCloudApigeeV1Credential) { c.ExpiresAt = policytest.Now.UnixMilli() }, "pets")
	app(ada, "app-revoked", func(a *entity.App, _ *apigee.GoogleCloudApigeeV1Credential) { a.Profile.Status = entity.Revoked }, "pets")
	app(idle, "idle", as, "pets")
	app(registry.Owner{Group: "asleep"}, "asleep", as, "pets")
	return w
})

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// The bodies that clients see.
func TestBodies(t *testing.T) {
	p := policytest.Compile(t, verifyapikey.Kind, `<VerifyAPIKey name="VA-1"><APIKey ref="request.queryparam.apikey"/></VerifyAPIKey>`, policy.Services{Credentials: fixture().service})
	for query, want := range map[string]string{
		"":                   `{"fault":{"faultstring":"Failed to resolve API Key variable request.queryparam.apikey","detail":{"errorcode":"steps.oauth.v2.FailedToResolveAPIKey"}}}`,
		"?apikey=":           `{"fault":{"faultstring":"Invalid ApiKey","detail":{"errorcode":"oauth.v2.InvalidApiKey"}}}`,
		"?apikey=nobody":     `{"fault":{"faultstring":"Invalid ApiKey","detail":{"errorcode":"oauth.v2.InvalidApiKey"}}}`,
		"?apikey=only-prod":  `{"fault":{"faultstring":"Invalid ApiKey for given resource","detail":{"errorcode":"oauth.v2.InvalidApiKeyForGivenResource"}}}`,
		"?apikey=idle":       `{"fault":{"faultstring":"Developer Status is not Active","detail":{"errorcode":"keymanagement.service.DeveloperStatusNotActive"}}}`,
		"?apikey=no-product": `{"fault":{"faultstring":"Consumer key is missing an API product association","detail":{"errorcode":"keymanagement.service.consumer_key_missing_api_product_association"}}}`,
	} {
		fc := policytest.Context(t, map[string][]byte{"request": []byte("GET /v1/pets/1" + query + "\n")})
		var f *fault.Fault
		if err := p.Run(t.Context(), fc); !errors.As(err, &f) {
			t.Errorf("%s: %v", query, err)
		} else if got := string(f.JSON()); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// A checked key costs no read of the store, and what it sets is not copied.
func BenchmarkRun(b *testing.B) {
	w := fixture()
	p := policytest.Compile(b, verifyapikey.Kind, `<VerifyAPIKey name="VA-1"><APIKey ref="request.header.x-apikey"/></VerifyAPIKey>`, policy.Services{Credentials: w.service})
	fc := policytest.Context(b, map[string][]byte{"request": []byte("GET /v1/pets/1\nX-APIKey: good\n")})
	before := w.store.Counts().Reads
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Run(b.Context(), fc); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(w.store.Counts().Reads-before)/float64(b.N), "reads/op")
}

// The budget of store reads, held: see DESIGN, "Budgets".
func TestSteadyState(t *testing.T) {
	w := fixture()
	p := policytest.Compile(t, verifyapikey.Kind, `<VerifyAPIKey name="VA-1"><APIKey ref="request.header.x-apikey"/></VerifyAPIKey>`, policy.Services{Credentials: w.service})
	fc := policytest.Context(t, map[string][]byte{"request": []byte("GET /v1/pets/1\nX-APIKey: good\n")})
	w.service.Drop()
	const calls = 1000
	before := w.store.Counts().Reads
	for range calls {
		if err := p.Run(t.Context(), fc); err != nil {
			t.Fatal(err)
		}
	}
	if reads := w.store.Counts().Reads - before; float64(reads)/calls > 0.01 {
		t.Errorf("%d reads for %d calls", reads, calls)
	}
	if n := testing.AllocsPerRun(100, func() { _ = p.Run(t.Context(), fc) }); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}
