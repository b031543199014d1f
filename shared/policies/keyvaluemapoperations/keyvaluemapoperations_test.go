package keyvaluemapoperations

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(*testing.T) policy.Services {
		return policy.Services{KeyValueMaps: newMaps()}
	}))
}

// maps are key value maps in memory. A value that starts with "age of" is
// given with the age that was asked for.
type maps struct {
	mu      sync.Mutex
	entries map[string]string
	puts    int
}

func newMaps() *maps {
	m := &maps{entries: map[string]string{
		"environment//settings/host":         "h.example.com",
		"environment//settings/json":         `["a","b"]`,
		"environment//settings/two":          "one" + separator + "two",
		"environment//settings/a__GET__size": "7",
		"environment//kvmap/k":               "default map",
		"environment//settings/age":          "age of ",
		"apiproxy/proxy/settings/host":       "proxy's",
		"organization//settings/host":        "org's",
	}}
	return m
}

func at(scope policy.MapScope, name, key string) string {
	return strings.Join([]string{scope.Level, scope.Proxy, name, key}, "/")
}

func (m *maps) Get(_ context.Context, scope policy.MapScope, name, key string, maxAge time.Duration) (string, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name == "broken" {
		return "", false, errors.New("the store is away")
	}
	v, ok := m.entries[at(scope, name, key)]
	if strings.HasPrefix(v, "age of") {
		v = fmt.Sprint(v, maxAge)
	}
	return v, ok, nil
}

func (m *maps) Put(_ context.Context, scope policy.MapScope, name, key, value string, override bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts++
	if _, exists := m.entries[at(scope, name, key)]; !exists || override {
		m.entries[at(scope, name, key)] = value
	}
	return nil
}

func (m *maps) Delete(_ context.Context, scope policy.MapScope, name, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, at(scope, name, key))
	return nil
}

// TestInitialEntriesOnce writes the initial entries for the first call only, and
// again if that failed.
func TestInitialEntriesOnce(t *testing.T) {
	m := newMaps()
	p := policytest.Compile(t, Kind, `<KeyValueMapOperations name="KVM-1" mapIdentifier="seeded">
  <InitialEntries><Entry><Key><Parameter>a</Parameter></Key><Value>1</Value><Value>2</Value></Entry></InitialEntries>
  <Get assignTo="private.a"><Key><Parameter>a</Parameter></Key></Get>
</KeyValueMapOperations>`, policy.Services{KeyValueMaps: m})
	for range 3 {
		fc := policytest.Context(t, nil)
		if err := p.Run(t.Context(), fc); err != nil {
			t.Fatal(err)
		}
		if got := fc.Text("private.a"); got != "[1, 2]" {
			t.Errorf("private.a = %q", got)
		}
	}
	if m.puts != 1 {
		t.Errorf("%d entries were written, want 1", m.puts)
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<KeyValueMapOperations name="KVM-1" mapIdentifier="settings">
  <Get assignTo="private.host"><Key><Parameter>host</Parameter></Key></Get>
</KeyValueMapOperations>`, policy.Services{KeyValueMaps: fixed("h.example.com")})
	policytest.Bench(b, p, nil)
}

// fixed is a map with one value for every key.
type fixed string

func (f fixed) Get(context.Context, policy.MapScope, string, string, time.Duration) (string, bool, error) {
	return string(f), true, nil
}
func (fixed) Put(context.Context, policy.MapScope, string, string, string, bool) error { return nil }
func (fixed) Delete(context.Context, policy.MapScope, string, string) error            { return nil }
