// Package keystoretest is the specification of keystore.Driver: one suite that
// every engine passes.
package keystoretest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/perigee-gateway/perigee/shared/keystore"
)

// Run runs the suite. open gives an empty driver for each test; reopen, if it
// is not nil, gives a second one on the same secrets, as another process has.
func Run(t *testing.T, open func(t *testing.T) (d keystore.Driver, reopen func() keystore.Driver)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, d keystore.Driver, reopen func() keystore.Driver)
	}{
		{"CreateGet", createGet},
		{"CreateTwice", createTwice},
		{"PutReplaces", putReplaces},
		{"PutReplacesLabels", putReplacesLabels},
		{"ReplaceComparesVersion", replaceComparesVersion},
		{"GetVersion", getVersion},
		{"VersionsNeverComeBack", versionsNeverComeBack},
		{"Delete", deletes},
		{"Missing", missing},
		{"Names", names},
		{"Labels", labels},
		{"ListIsOrdered", listIsOrdered},
		{"ListStops", listStops},
		{"Limits", limits},
		{"DataIsCopied", dataIsCopied},
		{"CancelledContext", cancelledContext},
		{"ConcurrentCreate", concurrentCreate},
		{"ConcurrentReplace", concurrentReplace},
		{"ConcurrentPutAndGet", concurrentPutAndGet},
		{"SeenByOthers", seenByOthers},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, reopen := open(t)
			test.run(t, d, reopen)
		})
	}
}

func createGet(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	data := []byte{0, 1, 0xff, '\n'}
	version := mustCreate(t, d, "a", data, nil)
	wantSecret(t, d, "a", data, version)
}

func createTwice(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	version := mustCreate(t, d, "a", []byte("one"), nil)
	_, err := d.Create(t.Context(), "a", []byte("two"), nil)
	wantCode(t, err, keystore.AlreadyExists)
	wantSecret(t, d, "a", []byte("one"), version)
}

func putReplaces(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	first := mustPut(t, d, "a", []byte("one"), nil)
	wantSecret(t, d, "a", []byte("one"), first)
	second := mustPut(t, d, "a", []byte("two"), nil)
	if first == second {
		t.Errorf("both versions are %q", first)
	}
	wantSecret(t, d, "a", []byte("two"), second)
}

func putReplacesLabels(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	mustPut(t, d, "a", []byte("one"), map[string]string{"env": "test", "alias": "x"})
	mustPut(t, d, "a", []byte("two"), map[string]string{"env": "prod"})
	wantList(t, d, map[string]string{"env": "test"})
	wantList(t, d, map[string]string{"alias": "x"})
	wantList(t, d, map[string]string{"env": "prod"}, "a")
}

func replaceComparesVersion(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	labels := map[string]string{"env": "test"}
	first := mustCreate(t, d, "a", []byte("one"), labels)
	second, err := d.Replace(t.Context(), "a", first, []byte("two"))
	if err != nil {
		t.Fatal(err)
	}
	wantSecret(t, d, "a", []byte("two"), second)

	_, err = d.Replace(t.Context(), "a", first, []byte("three"))
	wantCode(t, err, keystore.Conflict)
	_, err = d.Replace(t.Context(), "a", "no such version", []byte("three"))
	wantCode(t, err, keystore.Conflict)
	wantSecret(t, d, "a", []byte("two"), second)
	wantList(t, d, labels, "a")
}

func getVersion(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	ctx := t.Context()
	_, err := d.GetVersion(ctx, "a", "1")
	wantCode(t, err, keystore.NotFound)
	first := mustCreate(t, d, "a", []byte("one"), nil)
	second := mustPut(t, d, "a", []byte("two"), nil)
	if data, err := d.GetVersion(ctx, "a", second); err != nil || string(data) != "two" {
		t.Errorf("current version: %q, %v", data, err)
	}
	// An older one is kept or not, but never another in its place.
	if data, err := d.GetVersion(ctx, "a", first); err != nil && !keystore.IsNotFound(err) || err == nil && string(data) != "one" {
		t.Errorf("older version: %q, %v", data, err)
	}
	for _, version := range []string{"", "x", "99", second + "0", "0" + second} {
		_, err := d.GetVersion(ctx, "a", version)
		wantCode(t, err, keystore.NotFound)
	}
	if err := d.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	_, err = d.GetVersion(ctx, "a", second)
	wantCode(t, err, keystore.NotFound)
	mustCreate(t, d, "a", []byte("three"), nil)
	_, err = d.GetVersion(ctx, "a", first)
	wantCode(t, err, keystore.NotFound)
}

// versionsNeverComeBack: a reader that caches by version must see a secret
// that was deleted and made again.
func versionsNeverComeBack(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	seen := map[string]bool{}
	for i := range 3 {
		version := mustCreate(t, d, "a", fmt.Append(nil, "data ", i), nil)
		if seen[version] {
			t.Errorf("version %q came back", version)
		}
		seen[version] = true
		if err := d.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
}

func deletes(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	mustPut(t, d, "a", []byte("one"), nil)
	mustPut(t, d, "a", []byte("two"), nil)
	mustPut(t, d, "b", []byte("three"), nil)
	if err := d.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	_, _, err := d.Get(t.Context(), "a")
	wantCode(t, err, keystore.NotFound)
	wantList(t, d, nil, "b")
	wantSecret(t, d, "a", []byte("four"), mustCreate(t, d, "a", []byte("four"), nil))
}

func missing(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	wantList(t, d, nil)
	_, _, err := d.Get(t.Context(), "a")
	wantCode(t, err, keystore.NotFound)
	wantCode(t, d.Delete(t.Context(), "a"), keystore.NotFound)
	_, err = d.Replace(t.Context(), "a", "1", []byte("x"))
	wantCode(t, err, keystore.NotFound)
}

// awkward are names and label values that no engine takes as they are.
var awkward = []string{
	"UPPER", "upper", "with space", "a/b", "a%2Fb", "a+b", "a=2fb", "..", ".", ".lock", "lock",
	"naïve", "日本語", "a\nb", "a\x00b", "x" + strings.Repeat("y", 254), "X" + strings.Repeat("y", 254),
	strings.Repeat("日", 255), "-", "_", "*", `"`, "perigee-x", "con",
}

func names(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	versions := map[string]string{}
	for _, name := range awkward {
		versions[name] = mustCreate(t, d, name, []byte(name), nil)
	}
	for _, name := range awkward {
		wantSecret(t, d, name, []byte(name), versions[name])
	}
	wantList(t, d, nil, awkward...)
	for _, name := range awkward {
		if err := d.Delete(t.Context(), name); err != nil {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	wantList(t, d, nil)
}

func labels(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	for i, value := range awkward {
		mustCreate(t, d, fmt.Sprint("secret-", i), []byte("x"), map[string]string{"env": "test", "alias": value})
	}
	mustCreate(t, d, "other", []byte("x"), map[string]string{"env": "prod", "alias": awkward[0]})
	mustCreate(t, d, "none", []byte("x"), nil)
	for i, value := range awkward {
		wantList(t, d, map[string]string{"env": "test", "alias": value}, fmt.Sprint("secret-", i))
	}
	wantList(t, d, map[string]string{"alias": awkward[0]}, "secret-0", "other")
	wantList(t, d, map[string]string{"env": "none"})
	for e, err := range d.List(t.Context(), map[string]string{"env": "prod"}) {
		if want := map[string]string{"env": "prod", "alias": awkward[0]}; err != nil || !maps.Equal(e.Labels, want) {
			t.Errorf("labels %v, %v; want %v", e.Labels, err, want)
		}
	}
}

func listIsOrdered(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	for i := range 60 { // more than a page of most engines' tests
		mustCreate(t, d, fmt.Sprintf("%02d", i*37%60), []byte("x"), nil)
	}
	var got []string
	for e, err := range d.List(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Name)
	}
	if len(got) != 60 || !slices.IsSorted(got) {
		t.Errorf("list is %v", got)
	}
}

func listStops(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	mustCreate(t, d, "a", []byte("x"), nil)
	mustCreate(t, d, "b", []byte("x"), nil)
	for e, err := range d.List(t.Context(), nil) {
		if err != nil || e.Name != "a" {
			t.Errorf("first is %v, %v", e, err)
		}
		break
	}
}

func limits(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	ctx := t.Context()
	full := bytes.Repeat([]byte{'x'}, keystore.MaxData)
	version := mustCreate(t, d, "full", full, nil)
	wantSecret(t, d, "full", full, version)
	longest := strings.Repeat("n", keystore.MaxName)
	mustCreate(t, d, longest, []byte("x"), nil)

	for _, name := range []string{"", longest + "n", "\xff"} {
		_, err := d.Create(ctx, name, []byte("x"), nil)
		wantCode(t, err, keystore.Invalid)
		_, _, err = d.Get(ctx, name)
		wantCode(t, err, keystore.Invalid)
	}
	for _, data := range [][]byte{nil, {}, append(full, 'x')} {
		_, err := d.Create(ctx, "a", data, nil)
		wantCode(t, err, keystore.Invalid)
		_, err = d.Put(ctx, "full", data, nil)
		wantCode(t, err, keystore.Invalid)
		_, err = d.Replace(ctx, "full", version, data)
		wantCode(t, err, keystore.Invalid)
	}
	wantSecret(t, d, "full", full, version)
}

func dataIsCopied(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	data, labels := []byte("one"), map[string]string{"env": "test"}
	version := mustCreate(t, d, "a", data, labels)
	data[0], labels["env"] = 'X', "X"
	got, _, err := d.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	got[0] = 'X'
	wantSecret(t, d, "a", []byte("one"), version)
	wantList(t, d, map[string]string{"env": "test"}, "a")
}

func cancelledContext(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	mustCreate(t, d, "a", []byte("one"), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Create(ctx, "b", []byte("x"), nil)
	wantCode(t, err, keystore.Unavailable)
	_, err = d.Put(ctx, "a", []byte("x"), nil)
	wantCode(t, err, keystore.Unavailable)
	_, _, err = d.Get(ctx, "a")
	wantCode(t, err, keystore.Unavailable)
	wantCode(t, d.Delete(ctx, "a"), keystore.Unavailable)
	for _, err := range d.List(ctx, nil) {
		wantCode(t, err, keystore.Unavailable)
	}
	wantList(t, d, nil, "a")
}

// concurrentCreate: exactly one wins, and what is stored is the winner's.
func concurrentCreate(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	const n = 8
	var wg sync.WaitGroup
	versions, errs := make([]string, n), make([]error, n)
	for i := range n {
		wg.Go(func() { versions[i], errs[i] = d.Create(t.Context(), "a", fmt.Append(nil, i), nil) })
	}
	wg.Wait()
	winners := 0
	for i, err := range errs {
		if err == nil {
			winners++
			wantSecret(t, d, "a", fmt.Append(nil, i), versions[i])
			continue
		}
		wantCode(t, err, keystore.AlreadyExists)
	}
	if winners != 1 {
		t.Errorf("%d creates succeeded", winners)
	}
}

// concurrentReplace: no update is lost when each retries on Conflict.
func concurrentReplace(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	const n = 5
	mustCreate(t, d, "a", []byte("."), nil)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if err := appendByte(t.Context(), d, "a"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, _, err := d.Get(t.Context(), "a"); err != nil || len(got) != n+1 {
		t.Errorf("after %d replaces: %q, %v", n, got, err)
	}
}

func appendByte(ctx context.Context, d keystore.Driver, name string) error {
	for {
		data, version, err := d.Get(ctx, name)
		if err != nil {
			return err
		}
		_, err = d.Replace(ctx, name, version, append(data, 'x'))
		if err == nil || keystore.CodeOf(err) != keystore.Conflict {
			return err
		}
	}
}

// concurrentPutAndGet: a reader always sees a whole secret.
func concurrentPutAndGet(t *testing.T, d keystore.Driver, _ func() keystore.Driver) {
	mustPut(t, d, "a", bytes.Repeat([]byte{'0'}, 1000), nil)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 5 {
				if _, err := d.Put(t.Context(), "a", bytes.Repeat([]byte{'0' + byte(i)}, 1000), nil); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 20 {
				data, _, err := d.Get(t.Context(), "a")
				if err != nil || len(data) != 1000 || bytes.Count(data, data[:1]) != 1000 {
					t.Errorf("read %d bytes, %v", len(data), err)
				}
			}
		})
	}
	wg.Wait()
}

func seenByOthers(t *testing.T, d keystore.Driver, reopen func() keystore.Driver) {
	if reopen == nil {
		return
	}
	version := mustCreate(t, d, "a", []byte("one"), map[string]string{"env": "test"})
	other := reopen()
	wantSecret(t, other, "a", []byte("one"), version)
	wantList(t, other, map[string]string{"env": "test"}, "a")
	_, err := other.Create(t.Context(), "a", []byte("two"), nil)
	wantCode(t, err, keystore.AlreadyExists)
	second, err := other.Replace(t.Context(), "a", version, []byte("two"))
	if err != nil {
		t.Fatal(err)
	}
	wantSecret(t, d, "a", []byte("two"), second)
}
