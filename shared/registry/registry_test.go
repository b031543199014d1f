package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

// env is a registry with an organization acme and an environment test.
type env struct {
	*registry.Registry
	t      testing.TB
	driver store.Driver
	// fail is the number of commits that still succeed; negative is all.
	fail atomic.Int64
	now  atomic.Int64 // milliseconds
}

const org = "acme"

// engines runs a test on every engine there is.
func engines(t *testing.T, test func(*testing.T, *env)) {
	enginestest.Run(t, func(t *testing.T, d store.Driver) { test(t, newEnv(t, d)) })
}

func newEnv(t testing.TB, d store.Driver) *env {
	t.Helper()
	e := &env{t: t, driver: d}
	e.fail.Store(-1)
	e.now.Store(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	e.restart()
	t.Cleanup(func() { _ = d.Close() })
	e.ok(e.EnsureOrganization(t.Context(), org))
	e.ok(e.EnsureEnvironment(t.Context(), org, "test"))
	return e
}

// restart makes a new registry over what the last one left.
func (e *env) restart() {
	clock := func() time.Time { return time.UnixMilli(e.now.Load()) }
	st := store.New(failing{e.driver, &e.fail}, store.WithClock(clock))
	e.Registry = registry.New(st, xor{}, registry.WithClock(clock))
}

func (e *env) ok(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) wait(d time.Duration) { e.now.Add(d.Milliseconds()) }

func (e *env) stamp() *entity.Stamp {
	e.t.Helper()
	s, err := e.Stamp(e.t.Context(), org)
	e.ok(err)
	return s
}

// xor is a Cipher that shows whether it was used, and where.
type xor struct{}

func (xor) Seal(_ context.Context, plain, aad []byte) ([]byte, error) {
	return append(append(slices.Clone(aad), '|'), flip(plain)...), nil
}

func (xor) Open(_ context.Context, sealed, aad []byte) ([]byte, error) {
	data, ok := bytes.CutPrefix(sealed, append(slices.Clone(aad), '|'))
	if !ok {
		return nil, errors.New("sealed elsewhere")
	}
	return flip(data), nil
}

func flip(data []byte) []byte {
	out := make([]byte, len(data))
	for i, b := range data {
		out[i] = b ^ 0x55
	}
	return out
}

var errDied = errors.New("the process died here")

// failing is a Driver that dies after a number of commits.
type failing struct {
	store.Driver
	left *atomic.Int64
}

func (f failing) die() error {
	if f.left.Load() == 0 {
		return &store.Error{Code: store.Internal, Err: errDied}
	}
	if f.left.Load() > 0 {
		f.left.Add(-1)
	}
	return nil
}

func (f failing) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := f.die(); err != nil {
		return err
	}
	return f.Driver.Update(ctx, fn)
}

func (f failing) Write(ctx context.Context, writes []store.Write) error {
	if err := f.die(); err != nil {
		return err
	}
	if w, ok := f.Driver.(store.BatchWriter); ok {
		return w.Write(ctx, writes)
	}
	return f.Driver.Update(ctx, func(tx store.Tx) error {
		for _, w := range writes {
			var err error
			switch w.Op {
			case store.OpPut:
				err = tx.Put(w.Doc)
			case store.OpCreate:
				err = tx.Create(w.Doc)
			case store.OpDelete:
				err = tx.Delete(w.Doc.Key)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// code checks the code of an error and that its text has a part.
func (e *env) code(err error, code entity.Code, part string) {
	e.t.Helper()
	if entity.CodeOf(err) != code || !strings.Contains(err.Error(), part) {
		e.t.Fatalf("got %v (%s), want %s with %q", err, entity.CodeOf(err), code, part)
	}
}

// count is the number of documents of a collection.
func (e *env) count(collection string) int {
	e.t.Helper()
	docs, err := store.Collect(e.Store().Query(e.t.Context(), store.Query{Collection: collection, NoData: true}))
	e.ok(err)
	return len(docs)
}

func server(host string) *entity.TargetServer {
	ts := new(entity.TargetServer)
	ts.Host, ts.Port, ts.IsEnabled = host, 443, true
	return ts
}

func TestOrganization(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		e.ok(e.EnsureOrganization(ctx, org)) // again
		e.ok(e.EnsureGroup(ctx, org, "g", []string{"API.example.com"}, "test"))
		e.ok(e.EnsureGroup(ctx, org, "g", nil, "test"))
		s := e.stamp()
		if got := s.Hosts(); len(got) != 1 || !slices.Equal(got["api.example.com"], []string{"test"}) {
			t.Errorf("hosts %v", got)
		}
		if !slices.Equal(s.Environments, []string{"test"}) || s.Changed["test"] == 0 {
			t.Errorf("stamp %+v", s)
		}

		g := &apigee.GoogleCloudApigeeV1EnvironmentGroup{Hostnames: []string{"api.EXAMPLE.com"}}
		e.code(e.Groups.Create(ctx, g, org, "h"), entity.AlreadyExists, `hostname "api.EXAMPLE.com" already exists in environment group "g"`)
		g.Hostnames = []string{"a b"}
		e.code(e.Groups.Create(ctx, g, org, "h"), entity.InvalidArgument, "invalid")
		_, err := e.Attach(ctx, org, "g", "test")
		e.code(err, entity.AlreadyExists, "already attached")
		_, err = e.Attach(ctx, org, "g", "prod")
		e.code(err, entity.NotFound, `environment "prod" not found`)
		_, err = e.Attach(ctx, org, "no", "test")
		e.code(err, entity.NotFound, `environment group "no" not found`)
		_, err = e.Environments.Delete(ctx, org, "test")
		e.code(err, entity.FailedPrecondition, `attached to environment group "g"`)
		_, err = e.Groups.Delete(ctx, org, "g")
		e.code(err, entity.FailedPrecondition, "still has attachments")

		_, err = e.Groups.Update(ctx, func(g *apigee.GoogleCloudApigeeV1EnvironmentGroup) error {
			g.Hostnames = []string{"other.example.com"}
			return nil
		}, org, "g")
		e.ok(err)
		if got := e.stamp().Hosts(); got["other.example.com"] == nil || len(got) != 1 {
			t.Errorf("hosts after update: %v", got)
		}
		all, err := e.Attachments.All(ctx, org, "g")
		e.ok(err)
		if len(all) != 1 || all[0].Environment != "test" || all[0].EnvironmentGroupId != "g" {
			t.Fatalf("attachments %+v", all)
		}
		_, err = e.Detach(ctx, org, "g", all[0].Name)
		e.ok(err)
		_, err = e.Groups.Delete(ctx, org, "g")
		e.ok(err)
		_, err = e.Organizations.Delete(ctx, org)
		e.code(err, entity.FailedPrecondition, "still has environments: test")
		_, err = e.Environments.Delete(ctx, org, "test")
		e.ok(err)
		before := e.stamp().Version
		_, err = e.Organizations.Delete(ctx, org)
		e.ok(err)
		_, err = e.Stamp(ctx, org)
		e.code(err, entity.NotFound, `organization "acme" not found`)
		e.wait(time.Hour)
		e.ok(e.EnsureOrganization(ctx, org))
		if after := e.stamp().Version; after <= before {
			t.Errorf("version of the new organization %d, of the old %d", after, before)
		}
	})
}

func TestEnvironmentGone(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		e.ok(e.TargetServers.Create(ctx, server("a.example"), org, "test", "a"))
		_, err := e.CreateResource(ctx, org, "test", "jsc", "a.js", []byte("1"))
		e.ok(err)
		scope := entity.MapScope{Environment: "test"}
		e.ok(e.PutEntries(ctx, org, scope, "m", &apigee.GoogleCloudApigeeV1KeyValueEntry{Name: "k", Value: "v"}))
		e.ok(e.EnsureEnvironment(ctx, org, "test2")) // a name it is a prefix of
		e.ok(e.TargetServers.Create(ctx, server("b.example"), org, "test2", "b"))
		_, err = e.Environments.Delete(ctx, org, "test")
		e.ok(err)
		for c, want := range map[string]int{
			"targetservers": 1, "resourcefiles": 0, "archives": 0, "keyvaluemaps": 0, "kvmEntries": 0,
			"runtimeConfigs": 1, "jobs": 0, "environments": 1,
		} {
			if got := e.count(c); got != want {
				t.Errorf("%s: %d documents, want %d", c, got, want)
			}
		}
		e.code(e.TargetServers.Create(ctx, server("a.example"), org, "test", "a"), entity.NotFound, `environment "test" not found`)
		e.ok(e.EnsureEnvironment(ctx, org, "test"))
		c, err := e.Config(ctx, org, "test")
		e.ok(err)
		if len(c.Targets) != 0 || c.Environment.Name != "test" {
			t.Errorf("config of the new environment: %+v", c)
		}
	})
}

func TestKind(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		for _, name := range []string{"b", "a", "c d"} {
			e.ok(e.TargetServers.Create(ctx, server(name[:1]+".example"), org, "test", name))
		}
		e.code(e.TargetServers.Create(ctx, server("x"), org, "test", "a"), entity.AlreadyExists, `target server "a" already exists`)
		e.code(e.TargetServers.Create(ctx, server("x"), org, "test", "a/b"), entity.InvalidArgument, "not allowed")
		bad := server("x")
		bad.Port = 0
		e.code(e.TargetServers.Create(ctx, bad, org, "test", "d"), entity.InvalidArgument, "port 0")
		e.code(e.TargetServers.Replace(ctx, server("x"), org, "test", "d"), entity.NotFound, `target server "d" not found`)
		_, err := e.TargetServers.Get(ctx, org, "test", "d")
		e.code(err, entity.NotFound, `target server "d" not found`)

		names, err := e.TargetServers.Names(ctx, registry.Page{}, org, "test")
		e.ok(err)
		if !slices.Equal(names, []string{"a", "b", "c d"}) {
			t.Errorf("names %q", names)
		}
		names, err = e.TargetServers.Names(ctx, registry.Page{After: "a", Limit: 1}, org, "test")
		e.ok(err)
		if !slices.Equal(names, []string{"b"}) {
			t.Errorf("second page %q", names)
		}
		names, err = e.TargetServers.Names(ctx, registry.Page{}, org, "none")
		e.ok(err)
		if names == nil || len(names) != 0 {
			t.Errorf("empty list is %#v", names)
		}

		before := e.stamp()
		off, err := e.TargetServers.Update(ctx, func(v *entity.TargetServer) error { v.IsEnabled = false; return nil }, org, "test", "b")
		e.ok(err)
		got, err := e.TargetServers.Get(ctx, org, "test", "b")
		e.ok(err)
		if off.IsEnabled || got.IsEnabled || got.Protocol != "HTTP" || got.Name != "b" {
			t.Errorf("updated server %+v", got)
		}
		after := e.stamp()
		if after.Version <= before.Version || after.Changed["test"] != after.Version {
			t.Errorf("stamp %+v then %+v", before, after)
		}
		_, err = e.TargetServers.Delete(ctx, org, "test", "a")
		e.ok(err)
		c, err := e.Config(ctx, org, "test")
		e.ok(err)
		if len(c.Targets) != 2 || c.Targets["b"].IsEnabled || !c.Targets["c d"].IsEnabled || c.Targets["a"] != nil {
			t.Errorf("configuration has %v", c.Targets)
		}
	})
}

func TestConfiguration(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		ref := &apigee.GoogleCloudApigeeV1Reference{Refers: "ks", ResourceType: "KeyStore"}
		e.code(e.References.Create(ctx, ref, org, "test", "r"), entity.InvalidArgument, `keystore "ks" not found`)
		e.ok(e.Keystores.Create(ctx, new(apigee.GoogleCloudApigeeV1Keystore), org, "test", "ks"))
		e.ok(e.References.Create(ctx, ref, org, "test", "r"))
		hook := &apigee.GoogleCloudApigeeV1FlowHook{SharedFlow: "sf"}
		e.code(e.FlowHooks.Put(ctx, hook, org, "test", "PreFlow"), entity.InvalidArgument, "PreProxyFlowHook")
		e.ok(e.FlowHooks.Put(ctx, hook, org, "test", "PreProxyFlowHook"))
		e.ok(e.DebugMasks.Put(ctx, &apigee.GoogleCloudApigeeV1DebugMask{Variables: []string{"secret"}}, org, "test"))
		e.ok(e.DataCollectors.Create(ctx, &apigee.GoogleCloudApigeeV1DataCollector{Type: "STRING"}, org, "dc_a"))
		e.code(e.DataCollectors.Create(ctx, &apigee.GoogleCloudApigeeV1DataCollector{Type: "STRING"}, org, "a"), entity.InvalidArgument, "dc_")
		e.ok(e.EditConfig(ctx, org, "test", func(c *entity.Config) error {
			c.TraceConfig = &apigee.GoogleCloudApigeeV1TraceConfig{Exporter: "CLOUD_TRACE"}
			return nil
		}))
		c, err := e.Config(ctx, org, "test")
		e.ok(err)
		if c.References["r"].Refers != "ks" || c.FlowHooks["PreProxyFlowHook"].SharedFlow != "sf" ||
			c.DebugMask.Variables[0] != "secret" || c.TraceConfig.Exporter != "CLOUD_TRACE" {
			t.Errorf("configuration %+v", c)
		}
		c, err = e.Config(ctx, org, "")
		e.ok(err)
		if c.DataCollectors["dc_a"] != "STRING" || e.stamp().Changed[""] == 0 {
			t.Errorf("organization's configuration %+v, stamp %+v", c, e.stamp())
		}
		_, err = e.FlowHooks.Delete(ctx, org, "test", "PreProxyFlowHook")
		e.ok(err)
		c, err = e.Config(ctx, org, "test")
		e.ok(err)
		if len(c.FlowHooks) != 0 {
			t.Errorf("flow hooks %v", c.FlowHooks)
		}
	})
}

// A configuration of more than a document goes into several, and back.
func TestLargeConfiguration(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		set := []byte("a=" + strings.Repeat("x", entity.MaxPropertySetBytes-2))
		for i := range entity.MaxPropertySets {
			_, err := e.PutResource(ctx, org, "test", "properties", fmt.Sprintf("p%d", i), set)
			e.ok(err)
		}
		_, err := e.PutResource(ctx, org, "test", "properties", "more", set)
		e.code(err, entity.ResourceExhausted, "more are not allowed")
		s := e.stamp()
		if s.Parts["test"] != 2 || e.count("runtimeConfigs") != 2 {
			t.Errorf("parts %v, %d documents", s.Parts, e.count("runtimeConfigs"))
		}
		docs, err := e.Store().GetAll(ctx, registry.ConfigKeys(s, "test"))
		e.ok(err)
		c, err := registry.DecodeConfig(docs)
		e.ok(err)
		if len(c.PropertySets) != entity.MaxPropertySets || c.PropertySets["p3"] != string(set) {
			t.Errorf("%d property sets", len(c.PropertySets))
		}
		if _, err := registry.DecodeConfig(docs[:1]); !errors.Is(err, registry.ErrChanged) {
			t.Errorf("half a configuration: %v", err)
		}
		for i := range 5 {
			_, err := e.DeleteResource(ctx, org, "test", "properties", fmt.Sprintf("p%d", i))
			e.ok(err)
		}
		if s := e.stamp(); s.Parts["test"] != 0 || e.count("runtimeConfigs") != 1 {
			t.Errorf("afterwards: parts %v, %d documents", s.Parts, e.count("runtimeConfigs"))
		}
	})
}

func TestResources(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		big := bytes.Repeat([]byte("0123456789"), 250_000)
		_, err := e.CreateResource(ctx, org, "test", "jsc", "lib/a.js", big)
		e.ok(err)
		_, err = e.CreateResource(ctx, org, "test", "jsc", "lib/a.js", big)
		e.code(err, entity.AlreadyExists, "jsc://lib/a.js already exists")
		_, err = e.CreateResource(ctx, org, "test", "exe", "a", nil)
		e.code(err, entity.InvalidArgument, `"exe"`)
		_, err = e.CreateResource(ctx, org, "nowhere", "jsc", "a.js", nil)
		e.code(err, entity.NotFound, `environment "nowhere" not found`)
		_, err = e.CreateResource(ctx, org, "test", "properties", "p", []byte(`a=\u12`))
		e.code(err, entity.InvalidArgument, "line 1")
		_, err = e.ReplaceResource(ctx, org, "test", "jsc", "b.js", big)
		e.code(err, entity.NotFound, "jsc://b.js not found")
		data, err := e.Resource(ctx, org, "test", "jsc", "lib/a.js")
		e.ok(err)
		if !bytes.Equal(data, big) {
			t.Errorf("%d bytes, want %d", len(data), len(big))
		}
		_, err = e.ReplaceResource(ctx, org, "test", "jsc", "lib/a.js", []byte("2"))
		e.ok(err)
		_, err = e.CreateResource(ctx, org, "", "jsc", "org.js", []byte("3"))
		e.ok(err)
		_, err = e.CreateResource(ctx, org, "test", "properties", "p.properties", nil)
		e.ok(err)
		if n := e.count("archives"); n != 2 { // one chunk each, none for an empty file
			t.Errorf("%d documents of archives", n)
		}
		c, err := e.Config(ctx, org, "test")
		e.ok(err)
		o, err := e.Config(ctx, org, "")
		e.ok(err)
		if _, ok := c.PropertySets["p"]; !ok {
			t.Errorf("property sets %v", c.PropertySets)
		}
		for url, want := range map[string]bool{"jsc://lib/a.js": true, "jsc://org.js": true, "jsc://no.js": false} {
			if _, ok := registry.ResourceArchive(url, c, o); ok != want {
				t.Errorf("%s: %v", url, ok)
			}
		}
		_, err = e.DeleteResource(ctx, org, "test", "jsc", "lib/a.js")
		e.ok(err)
		_, err = e.Resource(ctx, org, "test", "jsc", "lib/a.js")
		e.code(err, entity.NotFound, "not found")
		if n := e.count("jobs"); n != 0 {
			t.Errorf("%d jobs left", n)
		}
	})
}

// Of many writers of one stamp none is lost.
func TestConcurrentWrites(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		const n = 6
		before := e.stamp().Version
		var wg sync.WaitGroup
		errs := make([]error, n)
		for i := range n {
			r := e.Registry
			if i%2 == 0 { // another process
				r = registry.New(store.New(e.driver), nil)
			}
			wg.Go(func() { errs[i] = r.TargetServers.Create(ctx, server("a.example"), org, "test", fmt.Sprint("s", i)) })
		}
		wg.Wait()
		e.ok(errors.Join(errs...))
		c, err := e.Config(ctx, org, "test")
		e.ok(err)
		if s := e.stamp(); len(c.Targets) != n || s.Version != before+n {
			t.Errorf("%d servers, %d versions", len(c.Targets), s.Version-before)
		}
	})
}

func TestSubscribe(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	var got []registry.Change
	cancel := e.Subscribe(func(c registry.Change) { got = append(got, c) })
	e.ok(e.TargetServers.Create(t.Context(), server("a.example"), org, "test", "a"))
	_, err := e.TargetServers.Get(t.Context(), org, "test", "a")
	e.ok(err)
	e.ok(e.Revoked(t.Context(), org))
	cancel()
	e.ok(e.Touch(t.Context(), org, "test"))
	if len(got) != 2 || !slices.Equal(got[0].Environments, []string{"test"}) || got[0].Revoked || !got[1].Revoked || got[1].Version != got[0].Version+1 {
		t.Errorf("got %+v", got)
	}
	s := e.stamp()
	if s.Revoked != got[1].Version || s.Changed["test"] != s.Version {
		t.Errorf("stamp %+v", s)
	}
}

func TestOperation(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	ctx := t.Context()
	op, err := e.Operation(ctx, org, "INSERT", "organizations/acme/environments/test", &apigee.GoogleCloudApigeeV1Environment{Name: "test"})
	e.ok(err)
	id := op.Name[strings.LastIndexByte(op.Name, '/')+1:]
	got, err := e.Operations.Get(ctx, org, id)
	e.ok(err)
	if !got.Done || !strings.Contains(string(got.Metadata), `"state":"FINISHED"`) || string(got.Response) != `{"name":"test"}` {
		t.Errorf("operation %+v", got)
	}
	e.wait(31 * 24 * time.Hour)
	_, err = e.Operations.Get(ctx, org, id)
	e.code(err, entity.NotFound, "operation")
}

func TestInstances(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	ctx := t.Context()
	i := new(entity.Instance)
	i.Location = "europe-west1"
	e.ok(e.Instances.Create(ctx, i, org, "eu"))
	a, err := e.AttachInstance(ctx, org, "eu", "test")
	e.ok(err)
	_, err = e.AttachInstance(ctx, org, "eu", "test")
	e.code(err, entity.AlreadyExists, "already attached")
	got, err := e.Instances.Get(ctx, org, "eu")
	e.ok(err)
	if got.Location != "europe-west1" || len(got.Attachments) != 1 || got.Attachments[0].Environment != "test" {
		t.Errorf("instance %+v", got)
	}
	_, err = e.Instances.Delete(ctx, org, "eu")
	e.code(err, entity.FailedPrecondition, "still has attachments")
	_, err = e.Environments.Delete(ctx, org, "test")
	e.code(err, entity.FailedPrecondition, `attached to instance "eu"`)
	e.ok(e.DetachInstance(ctx, org, "eu", a.Name))
	e.code(e.DetachInstance(ctx, org, "eu", a.Name), entity.NotFound, "not found")
	_, err = e.Instances.Delete(ctx, org, "eu")
	e.ok(err)
}

// Whatever the commit a process dies at, what a deleted environment held does
// not come back, and nothing stays behind.
func TestDeathInDelete(t *testing.T) {
	for died := int64(0); ; died++ {
		e := newEnv(t, enginestest.Memory(t))
		ctx := t.Context()
		scope := entity.MapScope{Environment: "test"}
		for i := range 3 {
			e.ok(e.PutEntries(ctx, org, scope, fmt.Sprint("m", i), &apigee.GoogleCloudApigeeV1KeyValueEntry{Name: "k", Value: "v"}))
		}
		_, err := e.CreateResource(ctx, org, "test", "jsc", "a.js", []byte("1"))
		e.ok(err)
		e.fail.Store(died)
		_, err = e.Environments.Delete(ctx, org, "test")
		done := e.fail.Load() > 0
		if err != nil && died > 0 {
			t.Errorf("death after %d commits: %v, but the environment is gone", died, err)
		}
		e.fail.Store(-1)
		e.restart()
		if died == 0 {
			if !e.stamp().HasEnvironment("test") || e.count("kvmEntries") != 3 {
				t.Error("half deleted")
			}
			continue
		}
		if e.count("jobs") > 0 { // another instance may be at it
			e.code(e.EnsureEnvironment(ctx, org, "test"), entity.Aborted, "still being deleted")
		}
		e.ok(e.FinishJobs(ctx, org, false))
		e.wait(2 * time.Minute)
		e.ok(e.EnsureEnvironment(ctx, org, "test"))
		e.ok(e.FinishJobs(ctx, org, false))
		for _, c := range []string{"keyvaluemaps", "kvmEntries", "resourcefiles", "jobs"} {
			if n := e.count(c); n != 0 {
				t.Errorf("death after %d commits: %d documents of %s left", died, n, c)
			}
		}
		if done {
			return
		}
	}
}

// A file whose upload died is not referred to, and its record is removed.
func TestDeathInUpload(t *testing.T) {
	for died := int64(0); ; died++ {
		e := newEnv(t, enginestest.Memory(t))
		ctx := t.Context()
		e.fail.Store(died)
		_, err := e.CreateResource(ctx, org, "test", "jsc", "a.js", []byte("1"))
		done := e.fail.Load() > 0
		e.fail.Store(-1)
		e.restart()
		data, got := e.Resource(ctx, org, "test", "jsc", "a.js")
		if (got == nil) != (err == nil) || err == nil && string(data) != "1" {
			t.Errorf("death after %d commits: %v, then %q, %v", died, err, data, got)
		}
		e.ok(e.FinishJobs(ctx, org, true))
		if n := e.count("jobs"); n != 0 {
			t.Errorf("death after %d commits: %d jobs left", died, n)
		}
		if done {
			return
		}
	}
}
