package deployment_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

// Any path leads where a search of all base paths would, and the part of it that
// the base path covers has as many segments.
func FuzzFind(f *testing.F) {
	e := newEnv(f, enginestest.Memory(f))
	model := map[string]string{}
	deploy := func(path string) {
		name := fmt.Sprint("p", len(model))
		e.deployed("test", name, path)
		model[path] = name
	}
	for _, p := range []string{"/", "/a", "/a/b", "/a/*/c", "/a/*", "/a/b/*/d", "/x/*/*/y", "/x/1"} {
		deploy(p)
	}
	for i := range 250 {
		deploy(fmt.Sprintf("/n/%d", i))
	}
	stamp, err := e.Stamp(f.Context(), org)
	e.ok(err)
	for _, p := range []string{"/a/b/c", "/a/b/z/d/e", "//a", "/n/7/", "/x/1/2/y", "/*", "/a/*/c", "\xff", "/n/\xff", "/%2f"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		index := deployment.NewIndex(stamp, "test")
		m, known := deployment.Find(path, index)
		for range 3 {
			if known {
				break
			}
			if err := e.Fill(t.Context(), path, index); err != nil {
				t.Fatal(err)
			}
			m, known = deployment.Find(path, index)
		}
		want := search(model, path)
		if !strings.HasPrefix(path, "/") {
			want = model["/"]
		}
		if !known || m.Route == nil || m.Route.Proxy != want {
			t.Fatalf("%q leads to %+v, %v, want %s", path, m, known, want)
		}
		if !strings.HasPrefix(path, m.Base) || strings.Count(m.Base, "/") != strings.Count(strings.TrimSuffix(m.Route.BasePath, "/"), "/") {
			t.Errorf("%q: base %q for %s", path, m.Base, m.Route.BasePath)
		}
	})
}

// The time from nothing to a bundle hardly depends on what else is deployed.
func BenchmarkColdStart(b *testing.B) {
	for _, proxies := range []int{1, 1000} { // of ten base paths each
		b.Run(fmt.Sprint(proxies), func(b *testing.B) {
			e := newEnv(b, enginestest.Memory(b))
			for i := range proxies {
				var paths []string
				for j := range 10 {
					paths = append(paths, fmt.Sprintf("/p%d-%d/v1", i, j))
				}
				e.deployed("test", fmt.Sprint("p", i), paths...)
			}
			b.ReportAllocs()
			for b.Loop() {
				stamp, err := e.Stamp(b.Context(), org)
				e.ok(err)
				x := deployment.NewIndex(stamp, "test")
				e.ok(e.Fill(b.Context(), "/p0-7/v1", x))
				m, _ := deployment.Find("/p0-7/v1", x)
				_, err = e.Load(b.Context(), m.Route.Archive)
				e.ok(err)
			}
		})
	}
}
