package deployment_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

const org = "acme"

// env is an organization with the environments test and prod, in one group, and
// other, in none.
type env struct {
	*deployment.Deployments
	*deployment.Source
	reg    *registry.Registry
	t      testing.TB
	driver store.Driver
	// fail is the number of commits that still succeed; negative is all.
	fail atomic.Int64
}

// engines runs a test on every engine there is.
func engines(t *testing.T, test func(*testing.T, *env)) {
	enginestest.Run(t, func(t *testing.T, d store.Driver) { test(t, newEnv(t, d)) })
}

func newEnv(t testing.TB, d store.Driver) *env {
	t.Helper()
	e := &env{t: t, driver: d}
	e.fail.Store(-1)
	e.restart()
	t.Cleanup(func() { _ = d.Close() })
	ctx := t.Context()
	e.ok(e.reg.EnsureOrganization(ctx, org))
	for _, name := range []string{"test", "prod", "other"} {
		e.ok(e.reg.EnsureEnvironment(ctx, org, name))
	}
	e.ok(e.reg.EnsureGroup(ctx, org, "group", []string{"api.example.com"}, "test", "prod"))
	return e
}

// restart makes everything anew over what is stored.
func (e *env) restart() {
	e.reg = registry.New(store.New(failing{e.driver, &e.fail}), nil)
	e.Deployments, e.Source = deployment.New(e.reg), deployment.NewSource(e.reg)
}

// others are n more processes on the same store.
func (e *env) others(n int) []*deployment.Deployments {
	list := make([]*deployment.Deployments, n)
	for i := range list {
		list[i] = deployment.New(registry.New(store.New(e.driver), nil))
	}
	return list
}

func (e *env) ok(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// code checks the code of an error and that its text has a part.
func (e *env) code(err error, code entity.Code, part string) {
	e.t.Helper()
	if entity.CodeOf(err) != code || !strings.Contains(err.Error(), part) {
		e.t.Fatalf("got %v (%s), want %s with %q", err, entity.CodeOf(err), code, part)
	}
}

func (e *env) count(collection string) int {
	e.t.Helper()
	docs, err := store.Collect(e.reg.Store().Query(e.t.Context(), store.Query{Collection: collection, NoData: true}))
	e.ok(err)
	return len(docs)
}

var errDied = errors.New("the process died here")

// failing is a Driver that dies after a number of commits.
type failing struct {
	store.Driver
	left *atomic.Int64
}

func (f failing) Update(ctx context.Context, fn func(store.Tx) error) error {
	if f.left.Load() == 0 {
		return &store.Error{Code: store.Internal, Err: errDied}
	}
	if f.left.Load() > 0 {
		f.left.Add(-1)
	}
	return f.Driver.Update(ctx, fn)
}

// pack makes a zip of files.
func pack(files map[string]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range files {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// proxy is a bundle with an endpoint for each base path; extra are more files.
func proxy(extra map[string]string, paths ...string) []byte {
	files := map[string]string{"apiproxy/p.xml": `<APIProxy name="p"/>`}
	for i, p := range paths {
		files[fmt.Sprintf("apiproxy/proxies/e%d.xml", i)] = fmt.Sprintf(
			`<ProxyEndpoint name="e%d"><HTTPProxyConnection><BasePath>%s</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`, i, p)
	}
	for name, text := range extra {
		files["apiproxy/"+name] = text
	}
	return pack(files)
}

// flow is a shared flow bundle that calls others.
func flow(calls ...string) []byte {
	files := map[string]string{
		"sharedflowbundle/f.xml": `<SharedFlowBundle name="f"/>`,
	}
	steps := ""
	for _, c := range calls {
		files["sharedflowbundle/policies/FC-"+c+".xml"] = callout(c)
		steps += `<Step><Name>FC-` + c + `</Name></Step>`
	}
	files["sharedflowbundle/sharedflows/default.xml"] = `<SharedFlow name="default">` + steps + `</SharedFlow>`
	return pack(files)
}

func callout(flow string) string {
	return `<FlowCallout name="FC-` + flow + `"><SharedFlowBundle>` + flow + `</SharedFlowBundle></FlowCallout>`
}

func (e *env) imported(kind entity.Kind, name string, zip []byte) string {
	e.t.Helper()
	rev, err := e.Import(e.t.Context(), deployment.Upload{Organization: org, Kind: kind, Name: name, Zip: zip})
	e.ok(err)
	return rev.Revision
}

func request(env string, kind entity.Kind, name, revision string) deployment.Request {
	return deployment.Request{Organization: org, Environment: env, Kind: kind, Name: name, Revision: revision}
}

// deployed imports a proxy and deploys it in the environment.
func (e *env) deployed(env, name string, paths ...string) {
	e.t.Helper()
	rev := e.imported(entity.API, name, proxy(nil, paths...))
	_, err := e.Deploy(e.t.Context(), request(env, entity.API, name, rev))
	e.ok(err)
}

// find is the proxy, revision and endpoint a path leads to, and the base path in
// it; read with nothing known before.
func (e *env) find(path string, envs ...string) string {
	e.t.Helper()
	stamp, err := e.Stamp(e.t.Context(), org)
	e.ok(err)
	var indexes []*deployment.Index
	for _, env := range envs {
		indexes = append(indexes, deployment.NewIndex(stamp, env))
	}
	return e.findIn(path, indexes...)
}

func (e *env) findIn(path string, indexes ...*deployment.Index) string {
	e.t.Helper()
	for range 3 {
		m, known := deployment.Find(path, indexes...)
		if !known {
			e.ok(e.Fill(e.t.Context(), path, indexes...))
			continue
		}
		if m.Route == nil {
			return ""
		}
		return fmt.Sprintf("%s %s %s %s", m.Route.Environment, m.Route.Proxy, m.Route.Endpoint, m.Base)
	}
	e.t.Fatalf("%s is still not known", path)
	return ""
}

func TestImport(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		extra := map[string]string{
			"policies/FC-a.xml":    callout("a"),
			"policies/JS-1.xml":    `<Javascript name="JS-1"><ResourceURL>jsc://own.js</ResourceURL><IncludeURL>jsc://env.js</IncludeURL></Javascript>`,
			"resources/jsc/own.js": "1",
			"targets/local.xml":    `<TargetEndpoint name="local"><LocalTargetConnection><APIProxy>inner</APIProxy><ProxyEndpoint>default</ProxyEndpoint></LocalTargetConnection></TargetEndpoint>`,
			"targets/lb.xml":       `<TargetEndpoint name="lb"><HTTPTargetConnection><LoadBalancer><Server name="ts"/></LoadBalancer></HTTPTargetConnection></TargetEndpoint>`,
		}
		zip := proxy(extra, "/a", "/b/")
		u := deployment.Upload{Organization: org, Kind: entity.API, Name: "p", Zip: zip}
		rev, err := e.Import(ctx, u)
		e.ok(err)
		api := rev.Proxy
		if rev.Revision != "1" || api.Revision != "1" || api.Name != "p" || api.CreatedAt == 0 || api.Type != "Application" ||
			api.ContextInfo != "Revision 1 of application p, in organization acme" || api.ConfigurationVersion.MajorVersion != 4 ||
			!slices.Equal(api.Basepaths, []string{"/a", "/b"}) || !slices.Equal(api.ProxyEndpoints, []string{"e0", "e1"}) ||
			!slices.Equal(api.Policies, []string{"FC-a", "JS-1"}) || !slices.Equal(api.Resources, []string{"jsc://own.js"}) ||
			!slices.Equal(api.TargetEndpoints, []string{"lb", "local"}) || !slices.Equal(api.TargetServers, []string{"ts"}) ||
			!slices.Equal(api.SharedFlows, []string{"a"}) || !api.HasExtensiblePolicy {
			t.Errorf("revision %+v", api)
		}
		if !slices.Equal(rev.Uses.SharedFlows, []string{"a"}) || !slices.Equal(rev.Uses.Resources, []string{"jsc://env.js"}) || !slices.Equal(rev.Uses.Proxies, []string{"inner"}) {
			t.Errorf("uses %+v", rev.Uses)
		}
		got, err := e.Bundle(ctx, org, entity.API, "p", "1")
		e.ok(err)
		if !bytes.Equal(got, zip) {
			t.Error("the bundle is not what was imported")
		}

		rev, err = e.Import(ctx, u)
		e.ok(err)
		if rev.Revision != "2" {
			t.Errorf("second revision is %s", rev.Revision)
		}
		_, err = e.DeleteRevision(ctx, org, entity.API, "p", "2")
		e.ok(err)
		rev, err = e.Import(ctx, u)
		e.ok(err)
		p, err := e.reg.APIs.Get(ctx, org, "p")
		e.ok(err)
		if shown := p.APIProxy(); rev.Revision != "3" || !slices.Equal(shown.Revision, []string{"1", "3"}) || shown.LatestRevisionId != "3" || shown.MetaData.SubType != "Proxy" {
			t.Errorf("a number was given twice: %s, %+v", rev.Revision, p)
		}

		// Refusals.
		for _, bad := range []struct {
			deployment.Upload
			part string
		}{
			{deployment.Upload{Organization: org, Kind: entity.API, Name: "a/b", Zip: zip}, "not allowed"},
			{deployment.Upload{Organization: org, Kind: entity.SharedFlow, Name: "p", Zip: zip}, "APIProxy"},
			{deployment.Upload{Organization: org, Kind: entity.API, Name: "p", Zip: []byte("no zip")}, "bundle contains errors"},
			{deployment.Upload{Organization: org, Kind: entity.API, Name: "p", Zip: proxy(nil, "/a", "/a/")}, "also in"},
		} {
			_, err := e.Import(ctx, bad.Upload)
			e.code(err, entity.InvalidArgument, bad.part)
		}
		u.Organization = "none"
		_, err = e.Import(ctx, u)
		e.code(err, entity.NotFound, `organization "none" not found`)
		if n := e.count("jobs"); n != 0 {
			t.Errorf("%d jobs left", n)
		}
	})
}

// Concurrent imports, of several processes, get the numbers 1 to 20.
func TestConcurrentImports(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		zip, processes := proxy(nil, "/a"), e.others(3)
		var wg sync.WaitGroup
		got, errs := make([]string, 20), make([]error, 20)
		for i := range got {
			wg.Go(func() {
				rev, err := processes[i%3].Import(t.Context(), deployment.Upload{Organization: org, Kind: entity.API, Name: "p", Zip: zip})
				if errs[i] = err; err == nil {
					got[i] = rev.Revision
				}
			})
		}
		wg.Wait()
		e.ok(errors.Join(errs...))
		slices.SortFunc(got, func(a, b string) int { return atoi(a) - atoi(b) })
		for i, r := range got {
			if atoi(r) != i+1 {
				t.Fatalf("revisions %v", got)
			}
		}
		p, err := e.reg.APIs.Get(t.Context(), org, "p")
		e.ok(err)
		if len(p.Revisions) != 20 || e.count("revisions") != 20 {
			t.Errorf("%v, %d documents", p.Revisions, e.count("revisions"))
		}
	})
}

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

// Of concurrent deployments with one base path, in environments of one group,
// exactly one wins.
func TestConcurrentConflicts(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		const n = 8
		for i := range n {
			e.imported(entity.API, fmt.Sprint("p", i), proxy(nil, "/own"+fmt.Sprint(i), "/same/path"))
		}
		var wg sync.WaitGroup
		errs, processes := make([]error, n), e.others(n/2)
		for i := range n {
			wg.Go(func() {
				_, errs[i] = processes[i/2].Deploy(t.Context(), request([]string{"test", "prod"}[i%2], entity.API, fmt.Sprint("p", i), "1"))
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			e.code(err, entity.FailedPrecondition, "contains conflicting base paths")
		}
		if won != 1 || e.count("deployments") != 1 {
			t.Errorf("%d won, %d deployments", won, e.count("deployments"))
		}
	})
}

func TestDeploy(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		e.deployed("test", "p", "/a", "/a/b")
		for path, want := range map[string]string{
			"/a": "test p e0 /a", "/a/": "test p e0 /a", "/a/x": "test p e0 /a", "/a/b": "test p e1 /a/b", "/a/b/c": "test p e1 /a/b",
			"/a/bc": "test p e0 /a", "/ab": "", "/": "", "/A": "", "": "",
		} {
			if got := e.find(path, "test", "prod"); got != want {
				t.Errorf("%s leads to %q, want %q", path, got, want)
			}
		}
		dep, err := e.Get(ctx, org, "test", entity.API, "p")
		e.ok(err)
		status, err := e.Status(ctx, org, dep)
		e.ok(err)
		if status.State != "READY" || status.Revision != "1" || status.ApiProxy != "p" || len(status.Instances[0].DeployedRoutes) != 2 || status.Instances[0].DeployedRoutes[0].Envgroup != "group" {
			t.Errorf("status %+v", status)
		}

		// Another revision replaces it only if that is asked for.
		e.imported(entity.API, "p", proxy(nil, "/a/b", "/c"))
		_, err = e.Deploy(ctx, request("test", entity.API, "p", "2"))
		e.code(err, entity.FailedPrecondition, "already deployed")
		q := request("test", entity.API, "p", "2")
		q.Override, q.ServiceAccount = true, "sa@p.iam.gserviceaccount.com"
		dep, err = e.Deploy(ctx, q)
		e.ok(err)
		if dep.ServiceAccount != q.ServiceAccount {
			t.Errorf("deployment %+v", dep)
		}
		for path, want := range map[string]string{"/a": "", "/a/b": "test p e0 /a/b", "/c/d": "test p e1 /c"} {
			if got := e.find(path, "test"); got != want {
				t.Errorf("override: %s leads to %q, want %q", path, got, want)
			}
		}
		if n := e.count("deployments"); n != 1 {
			t.Errorf("%d deployments", n)
		}
		_, err = e.Deploy(ctx, request("test", entity.API, "p", "2")) // again
		e.ok(err)

		// What was deployed is immutable, what is deployed cannot be removed.
		u := deployment.Upload{Organization: org, Kind: entity.API, Name: "p", Zip: proxy(nil, "/z")}
		_, err = e.Replace(ctx, u, "1")
		e.code(err, entity.FailedPrecondition, "has been deployed and cannot be changed")
		_, err = e.DeleteRevision(ctx, org, entity.API, "p", "2")
		e.code(err, entity.FailedPrecondition, "undeploy it first")
		_, err = e.Delete(ctx, org, entity.API, "p")
		e.code(err, entity.FailedPrecondition, "undeploy it first")
		_, err = e.reg.Environments.Delete(ctx, org, "other")
		e.ok(err)
		_, err = e.DeleteRevision(ctx, org, entity.API, "p", "1")
		e.ok(err)
		e.imported(entity.API, "p", proxy(nil, "/y"))
		rev, err := e.Replace(ctx, u, "3")
		e.ok(err)
		if rev.Revision != "3" || rev.Proxy.Basepaths[0] != "/z" {
			t.Errorf("replaced revision %+v", rev.Proxy)
		}

		_, err = e.Deploy(ctx, request("test", entity.API, "p", "9"))
		e.code(err, entity.NotFound, `revision 9 of API proxy "p" not found`)
		_, err = e.Deploy(ctx, request("none", entity.API, "p", "3"))
		e.code(err, entity.NotFound, `environment "none" not found`)

		e.code(e.Undeploy(ctx, org, "test", entity.API, "p", "1"), entity.NotFound, "is not deployed")
		e.ok(e.Undeploy(ctx, org, "test", entity.API, "p", "2"))
		e.code(e.Undeploy(ctx, org, "test", entity.API, "p", "2"), entity.NotFound, "is not deployed")
		if n := e.count("routes"); n != 0 {
			t.Errorf("%d nodes of an empty index", n)
		}
		_, err = e.Delete(ctx, org, entity.API, "p")
		e.ok(err)
		for _, c := range []string{"apis", "revisions", "archives", "jobs"} {
			if n := e.count(c); n != 0 {
				t.Errorf("%d documents of %s left", n, c)
			}
		}
		if rev := e.imported(entity.API, "p", proxy(nil, "/a")); rev != "1" {
			t.Errorf("revision of the new proxy is %s", rev)
		}
	})
}

func TestConflicts(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		e.deployed("test", "p", "/a/*/b")
		e.imported(entity.API, "q", proxy(nil, "/a/*/b", "/q"))
		for _, env := range []string{"test", "prod"} {
			_, err := e.Deploy(ctx, request(env, entity.API, "q", "1"))
			e.code(err, entity.FailedPrecondition, `Existing deployment of "p" contains conflicting base paths: base path /a/*/b is that of revision 1 in environment "test".`)
		}
		report, err := e.Report(ctx, request("prod", entity.API, "q", "1"))
		e.ok(err)
		if len(report.RoutingConflicts) != 1 || report.RoutingConflicts[0].ConflictingDeployment.ApiProxy != "p" || report.RoutingConflicts[0].EnvironmentGroup != "group" {
			t.Errorf("report %+v", report)
		}
		_, err = e.Deploy(ctx, request("other", entity.API, "q", "1")) // shares no group
		e.ok(err)
		_, err = e.reg.Attach(ctx, org, "group", "other")
		e.code(err, entity.FailedPrecondition, "base path /a/*/b")
		e.ok(e.Undeploy(ctx, org, "test", entity.API, "p", "1"))
		_, err = e.reg.Attach(ctx, org, "group", "other")
		e.ok(err)
		_, err = e.Deploy(ctx, request("test", entity.API, "p", "1"))
		e.code(err, entity.FailedPrecondition, `Existing deployment of "q"`)

		// One proxy in two environments of a group conflicts with itself.
		e.deployed("test", "r", "/r")
		_, err = e.Deploy(ctx, request("prod", entity.API, "r", "1"))
		e.code(err, entity.FailedPrecondition, `Existing deployment of "r"`)

		report, err = e.Report(ctx, request("test", entity.API, "r", "1"))
		e.ok(err)
		if len(report.RoutingConflicts) != 0 || len(report.RoutingChanges) != 1 || report.RoutingChanges[0].FromDeployment.Revision != "1" {
			t.Errorf("report %+v", report)
		}
		report, err = e.UndeployReport(ctx, request("test", entity.API, "r", "1"))
		e.ok(err)
		if len(report.RoutingChanges) != 1 || report.RoutingChanges[0].ToDeployment != nil {
			t.Errorf("report %+v", report)
		}
	})
}

func TestServiceAccount(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	e.imported(entity.API, "p", proxy(map[string]string{
		"targets/t.xml": `<TargetEndpoint name="t"><HTTPTargetConnection><URL>https://run.app</URL><Authentication><GoogleIDToken><Audience>a</Audience></GoogleIDToken></Authentication></HTTPTargetConnection></TargetEndpoint>`,
	}, "/p"))
	q := request("test", entity.API, "p", "1")
	_, err := e.Deploy(t.Context(), q)
	e.code(err, entity.FailedPrecondition, `Deployment of "organizations/acme/apis/p/revisions/1" requires a service account identity, but one was not provided with the request.`)
	q.HostIdentity = true
	_, err = e.Deploy(t.Context(), q)
	e.ok(err)
}

func TestSharedFlows(t *testing.T) {
	engines(t, func(t *testing.T, e *env) {
		ctx := t.Context()
		for name, calls := range map[string][]string{"a": {"b"}, "b": {"c", "a", "absent"}, "c": nil, "hook": nil, "unused": nil} {
			rev := e.imported(entity.SharedFlow, name, flow(calls...))
			_, err := e.Deploy(ctx, request("test", entity.SharedFlow, name, rev))
			e.ok(err)
		}
		e.ok(e.reg.EditConfig(ctx, org, "test", func(*entity.Config) error { return nil }))
		hook := []byte(`{"sharedFlow":"hook"}`)
		e.ok(e.putHook(ctx, hook))
		c, err := e.reg.Config(ctx, org, "test")
		e.ok(err)
		if got := deployment.Needs(c, entity.Uses{SharedFlows: []string{"a"}}); !slices.Equal(got, []string{"a", "hook", "b", "c"}) {
			t.Errorf("needs %v", got)
		}
		ref := c.SharedFlows["b"]
		data, err := e.Load(ctx, ref.Archive, c.SharedFlows["c"].Archive)
		e.ok(err)
		b, err := bundle.LoadZip(data[0], bundle.Limits{})
		e.ok(err)
		if ref.Revision != "1" || b.Kind != bundle.KindSharedFlow || len(b.Policies) != 3 {
			t.Errorf("%+v, %d policies", ref, len(b.Policies))
		}
		all, err := e.InEnvironment(ctx, org, "test", entity.SharedFlow)
		e.ok(err)
		of, err := e.Of(ctx, org, entity.SharedFlow, "a")
		e.ok(err)
		every, err := e.All(ctx, org, entity.SharedFlow)
		e.ok(err)
		if len(all) != 5 || all[0].Name != "a" || len(of) != 1 || len(every) != 5 || of[0].API().ApiProxy != "a" {
			t.Errorf("%d in the environment, %d of a, %d in all", len(all), len(of), len(every))
		}
		rev, err := e.Revision(ctx, org, entity.SharedFlow, "a", "1")
		e.ok(err)
		if rev.Flow == nil || rev.Flow.Name != "a" || !slices.Equal(rev.Flow.SharedFlows, []string{"default"}) {
			t.Errorf("revision %+v", rev.Flow)
		}
		e.ok(e.Undeploy(ctx, org, "test", entity.SharedFlow, "a", "1"))
		c, err = e.reg.Config(ctx, org, "test")
		e.ok(err)
		if _, ok := c.SharedFlows["a"]; ok || len(c.SharedFlows) != 4 {
			t.Errorf("shared flows %v", c.SharedFlows)
		}
	})
}

func (e *env) putHook(ctx context.Context, data []byte) error {
	d := store.Doc{Data: data}
	hook, err := registry.Decode[apigee.GoogleCloudApigeeV1FlowHook](d)
	if err != nil {
		return err
	}
	return e.reg.FlowHooks.Put(ctx, hook, org, "test", "PreProxyFlowHook")
}

// From nothing to the bundle of a proxy and its shared flow it takes three
// exchanges, whether one proxy is deployed or thousands.
func TestRoundTrips(t *testing.T) {
	for name, test := range map[string]struct {
		n    int
		path func(i int) string
	}{
		"first segments": {2000, func(i int) string { return fmt.Sprintf("/p%d", i) }},
		"one segment":    {500, func(i int) string { return fmt.Sprintf("/api/p%d/v1", i) }},
		"deep":           {500, func(i int) string { return fmt.Sprintf("/company/api/v1/p%d", i) }},
		"wildcards":      {500, func(i int) string { return fmt.Sprintf("/t/%d/*/p", i) }},
	} {
		t.Run(name, func(t *testing.T) {
			path := test.path
			e := newEnv(t, enginestest.Memory(t))
			ctx := t.Context()
			rev := e.imported(entity.SharedFlow, "a", flow())
			_, err := e.Deploy(ctx, request("test", entity.SharedFlow, "a", rev))
			e.ok(err)
			extra := map[string]string{"policies/FC-a.xml": callout("a")}
			for i := range test.n {
				name := fmt.Sprint("p", i)
				e.imported(entity.API, name, proxy(extra, path(i)))
				_, err := e.Deploy(ctx, request("test", entity.API, name, "1"))
				e.ok(err)
				if i == 0 || i == test.n-1 {
					e.cold(strings.ReplaceAll(path(i), "*", "x")+"/more", name)
				}
			}
		})
	}
}

// cold reads all that a call to path needs, and counts.
func (e *env) cold(path, proxy string) {
	e.t.Helper()
	ctx := e.t.Context()
	before := e.reg.Store().Counts()
	stamp, err := e.Stamp(ctx, org)
	e.ok(err)
	var indexes []*deployment.Index
	for _, env := range stamp.Hosts()["api.example.com"] {
		indexes = append(indexes, deployment.NewIndex(stamp, env))
	}
	e.ok(e.Fill(ctx, path, indexes...))
	m, known := deployment.Find(path, indexes...)
	if !known || m.Route == nil || m.Route.Proxy != proxy || path[len(m.Base):] != "/more" {
		e.t.Fatalf("%s leads to %+v, %v", path, m, known)
	}
	archives := []entity.Archive{m.Route.Archive}
	config := indexes[slices.IndexFunc(indexes, func(x *deployment.Index) bool { return x.Environment() == m.Route.Environment })].Config()
	for _, name := range deployment.Needs(config, m.Route.Uses) {
		archives = append(archives, config.SharedFlows[name].Archive)
	}
	data, err := e.Load(ctx, archives...)
	e.ok(err)
	if len(data) != 2 {
		e.t.Fatalf("%d bundles", len(data))
	}
	got := e.reg.Store().Counts()
	if n := got.RoundTrips - before.RoundTrips; n != 3 {
		e.t.Errorf("%s: %d round trips, want 3", path, n)
	}
	if n := got.Reads - before.Reads; n > 20 {
		e.t.Errorf("%s: %d documents read", path, n)
	}

	// What is known is not read again, nor what is known not to exist.
	before = e.reg.Store().Counts()
	for _, p := range []string{path, "/nowhere/at/all", "/", path[:strings.LastIndexByte(path, '/')]} {
		if _, known := deployment.Find(p, indexes...); !known {
			e.t.Errorf("%s is not known", p)
		}
		e.ok(e.Fill(ctx, p, indexes...))
	}
	if got := e.reg.Store().Counts(); got != before {
		e.t.Errorf("reads of what is known: %+v, then %+v", before, got)
	}
}

// Indexes built by any sequence of deployments lead where a search of all base
// paths would, from nothing known and with what is known growing.
func TestIndexAgainstSearch(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			e := newEnv(t, enginestest.Memory(t))
			ctx := t.Context()
			r := rand.New(rand.NewPCG(seed, 1))
			segment := func() string { return []string{"a", "b", "c", "d", "*", fmt.Sprint(r.IntN(300))}[r.IntN(6)] }
			path := func() string {
				p := ""
				for i := range r.IntN(5) {
					s := segment()
					if i == 0 && s == "*" {
						s = "a"
					}
					p += "/" + s
				}
				return entity.BasePath(p)
			}
			model := map[string]string{} // base path -> proxy
			owner := map[string][]string{}
			for i := range 700 {
				if len(owner) > 0 && r.IntN(4) == 0 { // undeploy one
					for name, paths := range owner {
						e.ok(e.Undeploy(ctx, org, "test", entity.API, name, ""))
						for _, p := range paths {
							delete(model, p)
						}
						delete(owner, name)
						break
					}
					continue
				}
				name := fmt.Sprint("p", i)
				paths := []string{path()}
				if p := path(); p != paths[0] {
					paths = append(paths, p)
				}
				e.imported(entity.API, name, proxy(nil, paths...))
				_, err := e.Deploy(ctx, request("test", entity.API, name, "1"))
				if slices.ContainsFunc(paths, func(p string) bool { return model[p] != "" }) {
					e.code(err, entity.FailedPrecondition, "conflicting")
					continue
				}
				e.ok(err)
				owner[name] = paths
				for _, p := range paths {
					model[p] = name
				}
			}
			stamp, err := e.Stamp(ctx, org)
			e.ok(err)
			warm := deployment.NewIndex(stamp, "test")
			for range 500 {
				p := strings.ReplaceAll(path(), "*", "x") + []string{"", "/", "/z", "//"}[r.IntN(4)]
				want := search(model, p)
				if got := proxyOf(e.findIn(p, warm)); got != want {
					t.Errorf("warm: %s leads to %q, want %q", p, got, want)
				}
				if got := proxyOf(e.find(p, "test")); got != want {
					t.Errorf("cold: %s leads to %q, want %q", p, got, want)
				}
			}
			for name := range owner {
				e.ok(e.Undeploy(ctx, org, "test", entity.API, name, ""))
			}
			stamp, err = e.Stamp(ctx, org)
			e.ok(err)
			if n := e.count("routes"); n != 0 || len(stamp.Split) != 0 {
				t.Errorf("%d nodes left, split %v", n, stamp.Split)
			}
		})
	}
}

func proxyOf(found string) string {
	_, found, _ = strings.Cut(found, " ")
	found, _, _ = strings.Cut(found, " ")
	return found
}

// search finds the most specific of all base paths.
func search(model map[string]string, path string) string {
	best, bestRank := "", ""
	for base, proxy := range model {
		want, have := entity.Segments(base), strings.Split(path, "/")[1:]
		if len(want) > len(have) {
			continue
		}
		rank := fmt.Sprintf("%03d", len(want))
		ok := true
		for i, s := range want {
			switch {
			case s == have[i]:
				rank += "1"
			case s == "*" && have[i] != "":
				rank += "0"
			default:
				ok = false
			}
		}
		if ok && (bestRank == "" || rank > bestRank) {
			best, bestRank = proxy, rank
		}
	}
	return best
}

// Whatever the commit a process dies at, a deployment is there as a whole or not
// at all.
func TestDeath(t *testing.T) {
	steps := []func(e *env, ctx context.Context) error{
		func(e *env, ctx context.Context) error {
			_, err := e.Import(ctx, deployment.Upload{Organization: org, Kind: entity.API, Name: "p", Zip: proxy(nil, "/new", "/kept")})
			return err
		},
		func(e *env, ctx context.Context) error {
			q := request("test", entity.API, "p", "2")
			q.Override = true
			_, err := e.Deploy(ctx, q)
			return err
		},
		func(e *env, ctx context.Context) error { return e.Undeploy(ctx, org, "test", entity.API, "p", "2") },
		func(e *env, ctx context.Context) error { _, err := e.Delete(ctx, org, entity.API, "p"); return err },
	}
	for died := int64(0); ; died++ {
		e := newEnv(t, enginestest.Memory(t))
		ctx := t.Context()
		e.deployed("test", "p", "/old", "/kept")
		e.fail.Store(died)
		for _, step := range steps {
			if step(e, ctx) != nil {
				break
			}
		}
		done := e.fail.Load() > 0
		e.fail.Store(-1)
		e.restart()
		e.consistent(died)
		e.ok(e.reg.FinishJobs(ctx, org, true))
		e.consistent(died)
		if n := e.count("jobs"); n != 0 {
			t.Errorf("death after %d commits: %d jobs left", died, n)
		}
		if done {
			if e.count("apis")+e.count("revisions")+e.count("archives")+e.count("routes") != 0 {
				t.Error("something is left of a deleted proxy")
			}
			return
		}
	}
}

// consistent checks that deployment, index, revision and archive agree.
func (e *env) consistent(died int64) {
	e.t.Helper()
	ctx := e.t.Context()
	want := map[string]string{"/old": "", "/new": "", "/kept": ""}
	dep, err := e.Get(ctx, org, "test", entity.API, "p")
	if err == nil {
		for _, end := range dep.Endpoints {
			want[end.BasePath] = fmt.Sprintf("test p %s %s", end.Name, end.BasePath)
		}
		if _, err := e.Load(ctx, dep.Archive); err != nil {
			e.t.Errorf("death after %d commits: the deployed bundle: %v", died, err)
		}
		rev, err := e.Revision(ctx, org, entity.API, "p", dep.Revision)
		if err != nil || !rev.Deployed {
			e.t.Errorf("death after %d commits: the deployed revision: %+v, %v", died, rev, err)
		}
	} else if !entity.IsNotFound(err) {
		e.t.Fatal(err)
	}
	for path, to := range want {
		if got := e.find(path, "test"); got != to {
			e.t.Errorf("death after %d commits: %s leads to %q, want %q", died, path, got, to)
		}
	}
	p, err := e.reg.APIs.Get(ctx, org, "p")
	if entity.IsNotFound(err) {
		return
	}
	e.ok(err)
	for _, n := range p.Revisions {
		if _, err := e.Bundle(ctx, org, entity.API, "p", strconv.Itoa(n)); err != nil {
			e.t.Errorf("death after %d commits: revision %d: %v", died, n, err)
		}
	}
}

func TestRevisionLimit(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	e.deployed("test", "p", "/a") // revision 1 stays, as it is deployed
	zip := proxy(nil, "/a")
	for range entity.MaxRevisions + 1 {
		e.imported(entity.API, "p", zip)
	}
	p, err := e.reg.APIs.Get(t.Context(), org, "p")
	e.ok(err)
	if len(p.Revisions) != entity.MaxRevisions || p.Revisions[0] != 1 || p.Revisions[1] != 4 || p.Last != 252 || e.count("revisions") != entity.MaxRevisions {
		t.Errorf("%d revisions, %v...", len(p.Revisions), p.Revisions[:3])
	}
}

// What a caller sends as a path must not make an invalid key.
func TestHostilePaths(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	e.deployed("test", "root", "/")
	for i := range 300 {
		e.deployed("test", fmt.Sprint("p", i), fmt.Sprintf("/s/%d", i))
	}
	for _, p := range []string{
		"/\xff\xfe", "/" + strings.Repeat("x", 5000), "/s/" + strings.Repeat("y", 5000), "//", "/*", "/s/*", "/s/../x", "/s/\x00",
		strings.Repeat("/s", 3000), "no slash",
	} {
		if got := e.find(p, "test"); got != "test root e0 " {
			t.Errorf("%.20q leads to %q", p, got)
		}
	}
}

// The stamp tells which environments to look at anew.
func TestChanged(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	ctx := t.Context()
	e.deployed("prod", "p", "/p")
	before, err := e.Stamp(ctx, org)
	e.ok(err)
	e.imported(entity.API, "q", proxy(nil, "/q"))
	after, err := e.Stamp(ctx, org)
	e.ok(err)
	if after.Version != before.Version {
		t.Error("an import changes what is deployed")
	}
	_, err = e.Deploy(ctx, request("test", entity.API, "q", "1"))
	e.ok(err)
	after, err = e.Stamp(ctx, org)
	e.ok(err)
	if after.Changed["prod"] != before.Changed["prod"] || after.Changed["test"] <= before.Changed["test"] || after.Version != after.Changed["test"] {
		t.Errorf("stamps %+v, %+v", before, after)
	}
	if x := deployment.NewIndex(after, "test"); x.Version() != after.Changed["test"] {
		t.Errorf("version of the index %d", x.Version())
	}
}

func TestCreateEmpty(t *testing.T) {
	e := newEnv(t, enginestest.Memory(t))
	ctx := t.Context()
	p, err := e.Create(ctx, org, entity.API, "p", "space")
	e.ok(err)
	if shown := p.APIProxy(); shown.Space != "space" || len(shown.Revision) != 0 || shown.LatestRevisionId != "" {
		t.Errorf("proxy %+v", shown)
	}
	_, err = e.Create(ctx, org, entity.API, "p", "")
	e.code(err, entity.AlreadyExists, `API proxy "p" already exists`)
	if rev := e.imported(entity.API, "p", proxy(nil, "/p")); rev != "1" {
		t.Errorf("revision %s", rev)
	}
	if got, err := e.reg.APIs.Get(ctx, org, "p"); err != nil || got.Space != "space" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestNodeJSON(t *testing.T) {
	data, err := json.Marshal(entity.Node{Routes: []entity.Route{{BasePath: "/a", Proxy: "p", Environment: "not stored"}}})
	if err != nil || strings.Contains(string(data), "not stored") {
		t.Errorf("%s, %v", data, err)
	}
}

func BenchmarkFind(b *testing.B) {
	e := newEnv(b, enginestest.Memory(b))
	for i := range 300 {
		e.deployed("test", fmt.Sprint("p", i), fmt.Sprintf("/v1/%d", i))
	}
	stamp, err := e.Stamp(b.Context(), org)
	e.ok(err)
	x := deployment.NewIndex(stamp, "test")
	e.findIn("/v1/7/orders", x)
	b.ReportAllocs()
	for b.Loop() {
		if m, known := deployment.Find("/v1/7/orders", x); !known || m.Route == nil {
			b.Fatal("not found")
		}
	}
}
