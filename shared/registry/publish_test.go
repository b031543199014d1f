package registry_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
)

func (e *env) developer(email string) *apigee.GoogleCloudApigeeV1Developer {
	e.t.Helper()
	d := &apigee.GoogleCloudApigeeV1Developer{Email: email, FirstName: "A", LastName: "B", UserName: "c"}
	e.ok(e.CreateDeveloper(e.t.Context(), org, d))
	return d
}

func (e *env) credential(key string, products ...string) *entity.Credential {
	e.t.Helper()
	public := &apigee.GoogleCloudApigeeV1Credential{ExpiresAt: entity.Never}
	for _, p := range products {
		public.ApiProducts = append(public.ApiProducts, &apigee.GoogleCloudApigeeV1ApiProductRef{Apiproduct: p, Status: entity.Approved})
	}
	c, err := e.NewCredential(e.t.Context(), org, entity.KeyPair{Key: key}, public)
	e.ok(err)
	return c
}

func newApp(o registry.Owner, name string, credentials ...*entity.Credential) *entity.App {
	return &entity.App{Credentials: credentials, Profile: &apigee.GoogleCloudApigeeV1App{Name: name, DeveloperId: o.Developer, AppGroup: o.Group}}
}

func TestDevelopers(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		d := e.developer("Ada@Example.com")
		for _, name := range []string{"ada@example.com", "ADA@example.com", d.DeveloperId} {
			if got, err := e.Developer(ctx, org, name); err != nil || got.DeveloperId != d.DeveloperId {
				t.Errorf("%s: %v %v", name, got, err)
			}
		}
		_, err := e.Developer(ctx, org, "none@example.com")
		e.code(err, entity.NotFound, `developer "none@example.com" not found`)
		err = e.CreateDeveloper(ctx, org, &apigee.GoogleCloudApigeeV1Developer{Email: "ada@example.com", FirstName: "A", LastName: "B", UserName: "c"})
		e.code(err, entity.AlreadyExists, `developer "ada@example.com" already exists`)

		// A new address, and the old one again.
		before := e.stamp().Revoked
		_, err = e.Developers.Update(ctx, func(d *apigee.GoogleCloudApigeeV1Developer) error { d.Email = "new@example.com"; return nil }, org, d.DeveloperId)
		e.ok(err)
		if e.stamp().Revoked == before {
			t.Error("a developer changed and nobody is told")
		}
		e.developer("ada@example.com")
		emails, err := e.DeveloperEmails(ctx, org, "", 0)
		e.ok(err)
		if !slices.Equal(emails, []string{"ada@example.com", "new@example.com"}) {
			t.Errorf("addresses %v", emails)
		}
		_, err = e.Developers.Delete(ctx, org, d.DeveloperId)
		e.ok(err)
		_, err = e.Developer(ctx, org, "new@example.com")
		e.code(err, entity.NotFound, "not found")
		if n := e.count("developerEmails"); n != 1 {
			t.Errorf("%d addresses", n)
		}
	})
}

func TestApps(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		dev := registry.Owner{Developer: e.developer("ada@example.com").DeveloperId}
		other := registry.Owner{Developer: e.developer("bob@example.com").DeveloperId}
		e.ok(e.Products.Create(ctx, new(apigee.GoogleCloudApigeeV1ApiProduct), org, "gold"))
		e.ok(e.CreateApp(ctx, org, newApp(dev, "app", e.credential("key", "gold"))))
		e.code(e.CreateApp(ctx, org, newApp(dev, "app")), entity.AlreadyExists, `app "app" already exists`)
		e.code(e.CreateApp(ctx, org, newApp(other, "app", e.credential("key"))), entity.AlreadyExists, "consumer key already exists")
		e.ok(e.CreateApp(ctx, org, newApp(other, "app", e.credential("other"))))
		e.code(e.CreateApp(ctx, org, newApp(registry.Owner{Developer: "nobody"}, "x")), entity.NotFound, `developer "nobody" not found`)
		e.code(e.CreateApp(ctx, org, newApp(registry.Owner{Group: "nobody"}, "x")), entity.NotFound, `app group "nobody" not found`)
		e.code(e.CreateApp(ctx, org, newApp(dev, "a/b")), entity.InvalidArgument, "app name")

		h, err := e.Holder(ctx, org, "key", nil)
		e.ok(err)
		if h == nil || h.App.Profile.Name != "app" || h.Developer.Email != "ada@example.com" || h.Pair.Key != "key" || len(h.Pair.Secret) != 64 || h.Products["gold"] == nil {
			t.Fatalf("holder %+v", h)
		}
		if h, err = e.Holder(ctx, org, "none", nil); h != nil || err != nil {
			t.Errorf("holder of no key %v, %v", h, err)
		}

		// A key of another app cannot be taken, and every change is told.
		before := e.stamp().Revoked
		_, err = e.EditApp(ctx, org, dev, "app", func(a *entity.App) error {
			a.Credentials = append(a.Credentials, e.credential("other"))
			return nil
		})
		e.code(err, entity.AlreadyExists, "consumer key already exists")
		if e.stamp().Revoked != before {
			t.Error("a change that failed was told")
		}
		_, k, err := e.EditCredential(ctx, org, dev, "app", "key", func(c *entity.Credential) (*entity.Credential, error) {
			c.Public.Status = entity.Revoked
			return c, nil
		})
		e.ok(err)
		if k.Public.Status != entity.Revoked || e.stamp().Revoked == before {
			t.Errorf("key %+v", k.Public)
		}
		_, _, err = e.EditCredential(ctx, org, dev, "app", "other", nil)
		e.code(err, entity.NotFound, "consumer key not found")
		_, _, err = e.EditCredential(ctx, org, dev, "app", "key", func(*entity.Credential) (*entity.Credential, error) { return nil, nil })
		e.ok(err)
		if h, err = e.Holder(ctx, org, "key", nil); h != nil || err != nil {
			t.Errorf("a removed key has holder %v, %v", h, err)
		}
		_, err = e.AppOfKey(ctx, org, "key")
		e.code(err, entity.NotFound, "")

		d, err := e.Developer(ctx, org, "ada@example.com")
		e.ok(err)
		if !slices.Equal(d.Apps, []string{"app"}) {
			t.Errorf("apps %v", d.Apps)
		}
		before = e.stamp().Revoked
		_, err = e.DeleteApp(ctx, org, dev, "app")
		e.ok(err)
		if e.stamp().Revoked == before {
			t.Error("an app was deleted and nobody is told")
		}
		_, err = e.App(ctx, org, dev, "app")
		e.code(err, entity.NotFound, `app "app" not found`)
		if d, err = e.Developer(ctx, org, "ada@example.com"); err != nil || len(d.Apps) != 0 {
			t.Errorf("apps %v, %v", d.Apps, err)
		}
	})
}

// Of many that create the same at once, one does.
func TestUniqueNames(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		race := func(what string, create func(i int) error) {
			t.Helper()
			var wg sync.WaitGroup
			var made, refused atomic.Int64
			for i := range 10 {
				wg.Go(func() {
					switch err := create(i); entity.CodeOf(err) {
					case "":
						made.Add(1)
					case entity.AlreadyExists:
						refused.Add(1)
					default:
						t.Errorf("%s: %v", what, err)
					}
				})
			}
			wg.Wait()
			if made.Load() != 1 || refused.Load() != 9 {
				t.Errorf("%s: %d made, %d refused", what, made.Load(), refused.Load())
			}
		}
		race("developer", func(int) error {
			return e.CreateDeveloper(ctx, org, &apigee.GoogleCloudApigeeV1Developer{Email: "a@example.com", FirstName: "A", LastName: "B", UserName: "c"})
		})
		d, err := e.Developer(ctx, org, "a@example.com")
		e.ok(err)
		dev := registry.Owner{Developer: d.DeveloperId}
		race("app", func(int) error { return e.CreateApp(ctx, org, newApp(dev, "app")) })
		race("key", func(i int) error {
			return e.CreateApp(ctx, org, newApp(dev, fmt.Sprintf("app %d", i), e.credential("one")))
		})
	})
}

// A developer is gone with the first commit, whatever comes after; apps and keys
// follow, if need be after a restart. The same for app groups, whose names can
// be used again only then.
func TestDeleteOwners(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		for commits := range int64(6) {
			email := fmt.Sprintf("d%d@example.com", commits)
			dev := registry.Owner{Developer: e.developer(email).DeveloperId}
			e.ok(e.AppGroups.Create(ctx, new(apigee.GoogleCloudApigeeV1AppGroup), org, "group"))
			group := registry.Owner{Group: "group"}
			for i := range 3 {
				e.ok(e.CreateApp(ctx, org, newApp(dev, fmt.Sprintf("app %d", i), e.credential(fmt.Sprintf("key-%d", i)), e.credential(fmt.Sprintf("more-%d", i)))))
			}
			e.ok(e.CreateApp(ctx, org, newApp(group, "app", e.credential("group-key"))))

			remove := func(what string, f func() error) {
				t.Helper()
				e.fail.Store(commits)
				err := f()
				e.fail.Store(-1)
				if (err == nil) != (commits > 0) {
					t.Fatalf("%s: the first of %d commits: %v", what, commits, err)
				}
				if err == nil {
					return
				}
				e.ok(f())
			}
			remove("developer", func() error { _, err := e.Developers.Delete(ctx, org, dev.Developer); return err })
			if h, err := e.Holder(ctx, org, "key-0", nil); err != nil || h != nil && h.Developer != nil {
				t.Fatalf("after the deletion, key-0 has holder %+v, %v", h, err)
			}
			remove("app group", func() error { _, err := e.AppGroups.Delete(ctx, org, "group"); return err })

			e.restart()
			e.wait(2 * time.Minute)
			if commits%2 == 0 {
				e.ok(e.FinishJobs(ctx, org, false))
			} else {
				// Who makes a namesake finishes first; developers have none.
				e.ok(e.AppGroups.Create(ctx, new(apigee.GoogleCloudApigeeV1AppGroup), org, "group"))
				_, err := e.AppGroups.Delete(ctx, org, "group")
				e.ok(err)
				e.ok(e.FinishJobs(ctx, org, true))
			}
			for _, c := range []string{"apps", "credentials", "developers", "developerEmails", "appgroups", "jobs"} {
				if n := e.count(c); n != 0 {
					t.Errorf("%d commits: %d documents are left of %s", commits, n, c)
				}
			}
		}
	})
}

func TestProducts(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		told := func(what string, f func() error) {
			t.Helper()
			before := e.stamp().Revoked
			e.ok(f())
			if e.stamp().Revoked == before {
				t.Errorf("%s is not told", what)
			}
		}
		told("a new product", func() error { return e.Products.Create(ctx, new(apigee.GoogleCloudApigeeV1ApiProduct), org, "gold") })
		told("a change", func() error {
			_, err := e.Products.Update(ctx, func(p *apigee.GoogleCloudApigeeV1ApiProduct) error { p.ApprovalType = "manual"; return nil }, org, "gold")
			return err
		})
		plan := &apigee.GoogleCloudApigeeV1RatePlan{State: "PUBLISHED", StartTime: 10, EndTime: 20}
		e.ok(e.RatePlans.Create(ctx, plan, org, "gold", "one"))
		for _, p := range []struct {
			start, end int64
			ok         bool
		}{{20, 0, true}, {0, 10, true}, {0, 11, false}, {19, 0, false}, {15, 16, false}} {
			err := e.RatePlans.Create(ctx, &apigee.GoogleCloudApigeeV1RatePlan{State: "PUBLISHED", StartTime: p.start, EndTime: p.end}, org, "gold", "two")
			if (err == nil) != p.ok {
				t.Errorf("a plan from %d to %d: %v", p.start, p.end, err)
			}
			if err == nil {
				_, err = e.RatePlans.Delete(ctx, org, "gold", "two")
				e.ok(err)
			}
		}
		e.code(e.RatePlans.Create(ctx, new(apigee.GoogleCloudApigeeV1RatePlan), org, "none", "x"), entity.NotFound, `API product "none" not found`)
		told("a deletion", func() error { _, err := e.Products.Delete(ctx, org, "gold"); return err })
		if n := e.count("rateplans"); n != 0 {
			t.Errorf("%d rate plans of no product", n)
		}
	})
}

// What an organization published goes with it.
func TestDeletePublished(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		dev := registry.Owner{Developer: e.developer("ada@example.com").DeveloperId}
		e.ok(e.CreateApp(ctx, org, newApp(dev, "app", e.credential("key"))))
		_, err := e.Environments.Delete(ctx, org, "test")
		e.ok(err)
		_, err = e.Organizations.Delete(ctx, org)
		e.ok(err)
		for _, c := range []string{"apps", "credentials", "developers", "developerEmails"} {
			docs, err := store.Collect(e.Store().Query(ctx, store.Query{Collection: c, NoData: true}))
			if e.ok(err); len(docs) > 0 {
				t.Errorf("%d of %s are left", len(docs), c)
			}
		}
	})
}
