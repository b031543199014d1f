package registry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

func kv(name, value string) *apigee.GoogleCloudApigeeV1KeyValueEntry {
	return &apigee.GoogleCloudApigeeV1KeyValueEntry{Name: name, Value: value}
}

var inTest = entity.MapScope{Environment: "test"}

func (e *env) makeMap(scope entity.MapScope, name string) {
	e.t.Helper()
	e.ok(e.Maps.Create(e.t.Context(), new(apigee.GoogleCloudApigeeV1KeyValueMap), append(scope.Parts(org), name)...))
}

func TestEntries(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		e.makeMap(inTest, "m")
		e.code(e.CreateEntry(ctx, org, inTest, "no", kv("a", "1")), entity.NotFound, `key value map "no" not found`)
		before := e.stamp().KeyValueMaps
		e.ok(e.CreateEntry(ctx, org, inTest, "m", kv("a", "1")))
		if e.stamp().KeyValueMaps <= before {
			t.Error("the stamp does not tell of the entry")
		}
		e.code(e.CreateEntry(ctx, org, inTest, "m", kv("a", "1")), entity.AlreadyExists, `key value entry "a" already exists`)
		e.code(e.UpdateEntry(ctx, org, inTest, "m", kv("b", "1")), entity.NotFound, `key value entry "b" not found`)
		e.code(e.CreateEntry(ctx, org, inTest, "m", kv("", "1")), entity.InvalidArgument, "missing")
		e.code(e.CreateEntry(ctx, org, inTest, "m", kv("b", strings.Repeat("x", 10241))), entity.InvalidArgument, "10241 bytes")
		e.ok(e.UpdateEntry(ctx, org, inTest, "m", kv("a", "2")))
		long := strings.Repeat("k", entity.MaxMapKeyBytes)
		e.ok(e.PutEntries(ctx, org, inTest, "m", kv(long, "long"), kv("/migrated", "3"), kv("ü", "x"), kv("ü", "4")))
		for name, want := range map[string]string{"a": "2", long: "long", "/migrated": "3", "ü": "4"} {
			got, err := e.Entry(ctx, org, inTest, "m", name)
			e.ok(err)
			if got.Name != name || got.Value != want {
				t.Errorf("%.9s is %q, want %q", name, got.Value, want)
			}
		}
		var names []string
		for after := ""; ; {
			n := 0
			for item, err := range e.Entries(ctx, org, inTest, "m", registry.Page{After: after, Limit: 2}) {
				e.ok(err)
				names = append(names, item.Name)
				after = item.Token
				n++
			}
			if n < 2 {
				break
			}
		}
		if !slices.Equal(names, []string{"/migrated", "a", long, "ü"}) {
			t.Errorf("%d entries", len(names))
		}
		gone, err := e.DeleteEntry(ctx, org, inTest, "m", "a")
		e.ok(err)
		if gone.Value != "2" {
			t.Errorf("deleted %+v", gone)
		}
		_, err = e.DeleteEntry(ctx, org, inTest, "m", "a")
		e.code(err, entity.NotFound, "not found")
	})
}

func TestMapScopes(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	ctx := t.Context()
	err := e.Maps.Create(ctx, new(apigee.GoogleCloudApigeeV1KeyValueMap), append(entity.MapScope{Proxy: "p"}.Parts(org), "m")...)
	e.code(err, entity.NotFound, `API proxy "p" not found`)
	err = e.Maps.Create(ctx, new(apigee.GoogleCloudApigeeV1KeyValueMap), append(entity.MapScope{Environment: "no"}.Parts(org), "m")...)
	e.code(err, entity.NotFound, `environment "no" not found`)
	e.ok(e.APIs.Create(ctx, &entity.Proxy{Name: "p"}, org, "p"))
	for i, s := range []entity.MapScope{{}, {Proxy: "p"}, inTest} {
		e.ok(e.PutEntries(ctx, org, s, "m", kv("k", fmt.Sprint(i))))
	}
	m, err := e.Maps.Get(ctx, append(inTest.Parts(org), "m")...)
	e.ok(err)
	if !m.Encrypted || m.Name != "m" {
		t.Errorf("map %+v", m)
	}
	c := e.MapCache(org, "test")
	for i, s := range []policy.MapScope{{Level: "organization"}, {Level: "apiproxy", Proxy: "p"}, {Level: "environment"}} {
		got, found, err := c.Get(ctx, s, "m", "k", 0)
		e.ok(err)
		if !found || got != fmt.Sprint(i) {
			t.Errorf("%s: %q, %v", s.Level, got, found)
		}
	}
}

// At rest there is neither the value nor, under another id, anything to open.
func TestEntriesAreSealed(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	ctx := t.Context()
	e.ok(e.PutEntries(ctx, org, inTest, "m", kv("a", "the secret"), kv("b", "other")))
	docs, err := store.Collect(e.Store().Query(ctx, store.Query{Collection: "kvmEntries"}))
	e.ok(err)
	for _, d := range docs {
		if strings.Contains(string(d.Data), "secret") {
			t.Errorf("%s is %q", d.Key, d.Data)
		}
	}
	docs[0].Key, docs[1].Key = docs[1].Key, docs[0].Key
	e.ok(e.Store().Put(ctx, docs[0]))
	if _, err := e.Entry(ctx, org, inTest, "m", "b"); err == nil {
		t.Error("an entry moved to another key was opened")
	}
	none := registry.New(e.Store(), nil)
	err = none.PutEntries(ctx, org, inTest, "m", kv("a", "1"))
	e.code(err, entity.FailedPrecondition, "encryption key")
}

// A map that is made again has none of the old entries, whatever commit the
// process died at when it was deleted.
func TestDeathInMapDelete(t *testing.T) {
	for died := int64(0); ; died++ {
		e := newEnv(t, enginestest.Memory(t))
		ctx := t.Context()
		var entries []*apigee.GoogleCloudApigeeV1KeyValueEntry
		for i := range 900 { // more than a commit removes
			entries = append(entries, kv(fmt.Sprint("k", i), "old"))
		}
		e.ok(e.PutEntries(ctx, org, inTest, "m", entries...))
		e.fail.Store(died)
		_, _ = e.Maps.Delete(ctx, append(inTest.Parts(org), "m")...)
		done := e.fail.Load() > 0
		e.fail.Store(-1)
		e.restart()
		e.wait(2 * time.Minute)
		c := e.MapCache(org, "test")
		got, found, err := c.Get(ctx, policy.MapScope{Level: "environment"}, "m", "k899", 0)
		if err != nil || found != (died == 0) {
			t.Errorf("death after %d commits: %q, %v, %v", died, got, found, err)
		}
		e.ok(c.Put(ctx, policy.MapScope{Level: "environment"}, "m", "new", "1", true)) // makes the map
		if died > 0 {
			if n := e.count("kvmEntries"); n != 1 {
				t.Errorf("death after %d commits: %d entries in the new map", died, n)
			}
		}
		if done {
			return
		}
	}
}

func TestMapCache(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		env := policy.MapScope{Level: "environment"}
		here, there := e.MapCache(org, "test"), e.MapCache(org, "test")
		e.Subscribe(func(c registry.Change) {
			if c.KeyValueMaps {
				there.Drop()
			}
		})
		get := func(c *registry.MapCache, age time.Duration, want string) {
			t.Helper()
			got, found, err := c.Get(ctx, env, "m", "k", age)
			e.ok(err)
			if got != want || found != (want != "") {
				t.Errorf("got %q, %v, want %q", got, found, want)
			}
		}
		get(here, 0, "")
		e.ok(here.Put(ctx, env, "m", "k", "1", false))
		get(here, 0, "1") // a policy sees its own write
		get(there, 0, "1")
		e.ok(here.Put(ctx, env, "m", "k", "2", false))
		get(here, 0, "1") // no override
		e.ok(here.Put(ctx, env, "m", "k", "3", true))
		get(here, 0, "3")
		get(there, 0, "1")
		get(there, -1, "3") // reads through

		before := e.Store().Counts().Reads
		get(there, 0, "3")
		if n := e.Store().Counts().Reads - before; n != 0 {
			t.Errorf("%d reads of a cached entry", n)
		}
		e.ok(e.UpdateEntry(ctx, org, inTest, "m", kv("k", "4")))
		get(there, 0, "4") // the management API's writes at once
		get(here, 0, "3")  // here nobody said so
		e.wait(299 * time.Second)
		get(here, 0, "3")
		get(here, 10*time.Second, "4") // the policy allows 10 s
		e.ok(e.UpdateEntry(ctx, org, inTest, "m", kv("k", "5")))
		e.wait(300 * time.Second)
		get(here, 0, "5")

		e.ok(here.Delete(ctx, env, "m", "k"))
		get(here, 0, "")
		e.ok(there.Put(ctx, env, "m", "k", "6", true))
		get(here, 0, "") // absence is remembered too, for 10 s
		e.wait(10 * time.Second)
		get(here, 0, "6")
		if _, found, err := here.Get(ctx, env, "", "k", 0); found || err != nil {
			t.Errorf("a map without a name: %v, %v", found, err)
		}
	})
}

func TestMapCacheConcurrently(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	ctx := t.Context()
	e.ok(e.PutEntries(ctx, org, inTest, "m", kv("k", "v")))
	c := e.MapCache(org, "test")
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if i%10 == 0 {
				c.Drop()
			}
			if v, found, err := c.Get(context.Background(), policy.MapScope{Level: "environment"}, "m", "k", 0); v != "v" || !found || err != nil {
				t.Errorf("got %q, %v, %v", v, found, err)
			}
		})
	}
	wg.Wait()
}

func BenchmarkMapCacheGet(b *testing.B) {
	e := newEnv(b, enginestest.Memory(b))
	ctx := b.Context()
	if err := e.PutEntries(ctx, org, inTest, "m", kv("k", "v")); err != nil {
		b.Fatal(err)
	}
	c := e.MapCache(org, "test")
	b.ReportAllocs()
	for b.Loop() {
		if _, found, _ := c.Get(ctx, policy.MapScope{Level: "environment"}, "m", "k", 0); !found {
			b.Fatal("not found")
		}
	}
}
