package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/archive"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
)

// env is archives in a memory store whose clock and failures the test controls.
type env struct {
	*archive.Archives
	store *store.Store
	// fail is the number of commits that still succeed; negative is all.
	fail atomic.Int64
	now  atomic.Int64
}

func newEnv(t testing.TB) *env {
	t.Helper()
	d, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	e := &env{}
	e.fail.Store(-1)
	e.now.Store(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	e.store = store.New(failing{d, &e.fail}, store.WithClock(func() time.Time { return time.Unix(0, e.now.Load()) }))
	t.Cleanup(func() { _ = e.store.Close() })
	e.Archives = archive.New(e.store)
	return e
}

var errCrash = errors.New("the process died here")

// failing is a Driver that dies after a number of commits.
type failing struct {
	*embedded.Driver
	left *atomic.Int64
}

func (f failing) Update(ctx context.Context, fn func(store.Tx) error) error {
	if f.left.Load() == 0 {
		return &store.Error{Code: store.Internal, Err: errCrash}
	}
	f.left.Add(-1)
	return f.Driver.Update(ctx, fn)
}

func content(seed uint64, n int) []byte {
	rng := rand.NewChaCha8([32]byte{byte(seed)})
	b := make([]byte, n)
	_, _ = rng.Read(b)
	return b
}

func (e *env) want(t *testing.T, id string, want []byte) {
	t.Helper()
	got, info, err := e.Get(t.Context(), id)
	if err != nil || !bytes.Equal(got, want) || info.Size != len(want) {
		t.Errorf("got %d bytes, %+v, %v; want %d bytes", len(got), info, err, len(want))
	}
}

func (e *env) wantDocs(t *testing.T, want int) {
	t.Helper()
	docs, err := store.Collect(e.store.Query(t.Context(), store.Query{Collection: "archives", NoData: true}))
	if err != nil || len(docs) != want {
		t.Errorf("%d documents, %v; want %d", len(docs), err, want)
	}
}

func TestSizes(t *testing.T) {
	e := newEnv(t)
	for i, n := range []int{0, 1, 999_999, 1_000_000, 1_000_001, 2_000_000, 15_000_000} {
		id := fmt.Sprintf("org/apis/a/%d", i)
		want := content(uint64(i), n)
		put, err := e.Put(t.Context(), id, want)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		e.want(t, id, want)
		got, err := e.Stat(t.Context(), id)
		if err != nil || got != put || got.Size != n || len(got.SHA256) != 64 || got.Created.Year() != 2030 {
			t.Errorf("%d bytes: got %+v, %v; put %+v", n, got, err, put)
		}
	}
	_, err := e.Put(t.Context(), "big", make([]byte, archive.MaxSize+1))
	if !store.IsInvalid(err) {
		t.Errorf("more than MaxSize: %v", err)
	}
}

func TestMissing(t *testing.T) {
	e := newEnv(t)
	if _, _, err := e.Get(t.Context(), "a"); !store.IsNotFound(err) {
		t.Errorf("get: %v", err)
	}
	if _, err := e.Stat(t.Context(), "a"); !store.IsNotFound(err) {
		t.Errorf("stat: %v", err)
	}
	if err := e.Delete(t.Context(), "a"); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func TestReplaceAndDeleteLeaveNothing(t *testing.T) {
	e := newEnv(t)
	for i, n := range []int{3_500_000, 10, 1_500_000} {
		want := content(uint64(i), n)
		if _, err := e.Put(t.Context(), "a", want); err != nil {
			t.Fatal(err)
		}
		e.want(t, "a", want)
	}
	e.wantDocs(t, 1+2)
	if err := e.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	e.wantDocs(t, 0)
}

// One archive must not be mistaken for part of another, whatever the ids.
func TestIDs(t *testing.T) {
	e := newEnv(t)
	ids := []string{"a", "a/b", "manifest/a", "chunk/a", "a/0000", ".", "ü", strings.Repeat("x", 1491)}
	for _, id := range ids {
		if _, err := e.Put(t.Context(), id, []byte(id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[1:] {
		e.want(t, id, []byte(id))
	}
	if _, err := e.Put(t.Context(), strings.Repeat("x", 1492), nil); !store.IsInvalid(err) {
		t.Errorf("id too long: %v", err)
	}
}

// A process that dies after any number of commits leaves the old archive or the
// new one, and no more rubbish than Sweep can remove.
func TestCrash(t *testing.T) {
	before, after := content(1, 9_500_000), content(2, 9_800_000)
	for commits := range int64(8) {
		for _, remove := range []bool{false, true} {
			e := newEnv(t)
			if _, err := e.Put(t.Context(), "a", before); err != nil {
				t.Fatal(err)
			}
			e.fail.Store(commits)
			var err error
			if remove {
				err = e.Delete(t.Context(), "a")
			} else {
				_, err = e.Put(t.Context(), "a", after)
			}
			e.fail.Store(-1)
			docs := 1 + 10
			switch {
			case err != nil && !errors.Is(err, errCrash):
				t.Fatal(err)
			case err != nil:
				e.want(t, "a", before)
			case remove:
				if _, _, err := e.Get(t.Context(), "a"); !store.IsNotFound(err) {
					t.Errorf("deleted, but: %v", err)
				}
				docs = 0
			default:
				e.want(t, "a", after)
			}
			e.now.Add(int64(time.Hour))
			if _, err := e.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			e.wantDocs(t, docs)
		}
	}
}

func TestSweepSparesTheYoungAndTheUsed(t *testing.T) {
	e := newEnv(t)
	old, young := content(1, 2_500_000), content(2, 2_500_000)
	if _, err := e.Put(t.Context(), "used", old); err != nil {
		t.Fatal(err)
	}
	unfinished := func(content []byte) {
		t.Helper()
		e.fail.Store(1) // the chunks, not the manifest
		if _, err := e.Put(t.Context(), "unfinished", content); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		e.fail.Store(-1)
	}
	unfinished(old)
	e.now.Add(int64(time.Hour))
	unfinished(young)
	if n, err := e.Sweep(t.Context()); err != nil || n != 3 {
		t.Errorf("swept %d, %v; want the 3 old chunks", n, err)
	}
	if n, err := e.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("swept %d, %v; want none", n, err)
	}
	e.want(t, "used", old)
	e.wantDocs(t, 1+3+3)
}

func TestDamage(t *testing.T) {
	for name, harm := range map[string]func(*env, *store.Doc) error{
		"chunk changed": func(e *env, d *store.Doc) error { d.Data[7] ^= 1; return e.store.Put(context.Background(), *d) },
		"chunk cut":     func(e *env, d *store.Doc) error { d.Data = d.Data[1:]; return e.store.Put(context.Background(), *d) },
		"chunk missing": func(e *env, d *store.Doc) error { return e.store.Delete(context.Background(), d.Key) },
	} {
		e := newEnv(t)
		if _, err := e.Put(t.Context(), "a", content(1, 1_500_000)); err != nil {
			t.Fatal(err)
		}
		for d, err := range e.store.Query(t.Context(), store.Query{Collection: "archives", Where: map[string]string{"kind": "chunk"}, Limit: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			if err := harm(e, &d); err != nil {
				t.Fatal(err)
			}
		}
		got, _, err := e.Get(t.Context(), "a")
		if store.CodeOf(err) != store.Internal || got != nil {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
	}
}

func TestDamagedManifest(t *testing.T) {
	for _, data := range []string{
		``, `[]`, `{"size":-1,"upload":"x"}`, `{"size":1000000000000,"chunks":1000000,"upload":"x"}`,
		`{"size":10,"chunks":5,"upload":"x"}`, `{"size":10,"chunks":1}`,
	} {
		e := newEnv(t)
		key := store.Key{Collection: "archives", ID: "manifest/a"}
		if err := e.store.Put(t.Context(), store.Doc{Key: key, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.Get(t.Context(), "a"); store.CodeOf(err) != store.Internal {
			t.Errorf("%s: %v", data, err)
		}
		if _, err := e.Put(t.Context(), "a", []byte("whole again")); err != nil {
			t.Errorf("%s: put: %v", data, err)
		}
		e.want(t, "a", []byte("whole again"))
	}
}

// Readers see one whole archive while it is being replaced.
func TestReadersDuringReplacement(t *testing.T) {
	e := newEnv(t)
	versions := [][]byte{content(0, 1_200_000), content(1, 2_300_000), content(2, 500)}
	if _, err := e.Put(t.Context(), "a", versions[0]); err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !done.Load() {
				got, _, err := e.Get(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				if !bytes.Equal(got, versions[0]) && !bytes.Equal(got, versions[1]) && !bytes.Equal(got, versions[2]) {
					t.Errorf("got %d bytes that were never put", len(got))
				}
			}
		})
	}
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := range 15 {
				if _, err := e.Put(t.Context(), "a", versions[(i+w)%3]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	wg.Wait()
	if err := e.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	e.wantDocs(t, 0)
}

// A commit whose answer got lost is repeated and then finds its own manifest.
func TestRepeatedCommit(t *testing.T) {
	d, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(&lossy{Driver: d})
	t.Cleanup(func() { _ = s.Close() })
	a := archive.New(s)
	want := content(1, 1_500_000)
	if _, err := a.Put(t.Context(), "a", want); err != nil {
		t.Fatal(err)
	}
	got, _, err := a.Get(t.Context(), "a")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// lossy is a Driver that loses the answer of every second commit.
type lossy struct {
	*embedded.Driver
	n int
}

func (l *lossy) Update(ctx context.Context, fn func(store.Tx) error) error {
	err := l.Driver.Update(ctx, fn)
	if l.n++; err == nil && l.n%2 == 1 {
		return &store.Error{Code: store.Unavailable}
	}
	return err
}

func TestGetTakesTwoRoundTrips(t *testing.T) {
	e := newEnv(t)
	if _, err := e.Put(t.Context(), "a", content(1, 9_500_000)); err != nil {
		t.Fatal(err)
	}
	before := e.store.Counts().RoundTrips
	e.want(t, "a", content(1, 9_500_000))
	if n := e.store.Counts().RoundTrips - before; n != 2 {
		t.Errorf("%d round trips, want 2", n)
	}
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{50_000, 5_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := newEnv(b)
			if _, err := e.Put(b.Context(), "a", content(1, n)); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := e.Get(b.Context(), "a"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
