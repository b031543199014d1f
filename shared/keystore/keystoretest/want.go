package keystoretest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/perigee-gateway/perigee/shared/keystore"
)

func mustCreate(t *testing.T, d keystore.Driver, name string, data []byte, labels map[string]string) string {
	t.Helper()
	version, err := d.Create(t.Context(), name, data, labels)
	if err != nil || version == "" {
		t.Fatalf("create %.40q: version %q, %v", name, version, err)
	}
	return version
}

func mustPut(t *testing.T, d keystore.Driver, name string, data []byte, labels map[string]string) string {
	t.Helper()
	version, err := d.Put(t.Context(), name, data, labels)
	if err != nil || version == "" {
		t.Fatalf("put %.40q: version %q, %v", name, version, err)
	}
	return version
}

func wantSecret(t *testing.T, d keystore.Driver, name string, data []byte, version string) {
	t.Helper()
	got, v, err := d.Get(t.Context(), name)
	if err != nil || v != version || !bytes.Equal(got, data) {
		t.Errorf("get %.40q: %.40q, version %q, %v; want %.40q, version %q", name, got, v, err, data, version)
	}
}

func wantList(t *testing.T, d keystore.Driver, labels map[string]string, names ...string) {
	t.Helper()
	var got []string
	for e, err := range d.List(t.Context(), labels) {
		if err != nil {
			t.Errorf("list %.80v: %v", labels, err)
			return
		}
		got = append(got, e.Name)
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(names)); !slices.Equal(got, want) {
		t.Errorf("list %.80v: %.200q, want %.200q", labels, got, want)
	}
}

func wantCode(t *testing.T, err error, code keystore.Code) {
	t.Helper()
	if err == nil || keystore.CodeOf(err) != code {
		t.Errorf("error %v, want one of code %q", err, code)
	}
}
