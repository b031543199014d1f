package embedded_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
	"github.com/perigee-gateway/perigee/shared/store/storetest"
)

func TestFile(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Driver { return open(t, t.TempDir()) })
}

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Driver { return memory(t) })
}

func open(t testing.TB, dir string) *embedded.Driver {
	t.Helper()
	d, err := embedded.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func memory(t testing.TB) *embedded.Driver {
	t.Helper()
	d, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "as needed")
	expire := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	s := store.New(open(t, dir))
	want := store.Doc{
		Key: store.Key{Collection: "tokens", ID: "a"}, Data: []byte("one"),
		Fields: map[string]string{"app": "x", "enduser": ""}, ExpireAt: expire,
	}
	if err := s.Put(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = store.New(open(t, dir))
	defer func() { _ = s.Close() }()
	docs, err := store.Collect(s.Query(t.Context(), store.Query{Collection: "tokens", Where: want.Fields}))
	if err != nil || len(docs) != 1 || string(docs[0].Data) != "one" || docs[0].ExpireAt != expire {
		t.Errorf("got %+v, %v", docs, err)
	}
}

func TestFileIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	d := open(t, dir)
	defer func() { _ = d.Close() }()
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, embedded.FileName): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	_, err := embedded.Open(dir)
	if !store.IsUnavailable(err) {
		t.Errorf("got %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir).Close(); err != nil {
		t.Error(err)
	}
}

func TestNotAStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, embedded.FileName)
	if err := os.WriteFile(path, []byte("something else, and long enough to be read as a page\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Open(dir); store.CodeOf(err) != store.Internal {
		t.Errorf("got %v", err)
	}
	if _, err := embedded.Open(path); !store.IsInvalid(err) {
		t.Errorf("a file for a directory: %v", err)
	}
}

func TestFormatOfTheFuture(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(dir, embedded.FileName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("2"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Open(dir); !store.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

// Two memory stores are two stores.
func TestMemoryIsItsOwn(t *testing.T) {
	a, b := store.New(memory(t)), store.New(memory(t))
	defer func() { _ = errors.Join(a.Close(), b.Close()) }()
	if err := a.Put(t.Context(), store.Doc{Key: appKey("a")}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), appKey("a")); !store.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

// Expired documents go as others are written, a bounded number at a time, with
// their index entries.
func TestSweep(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	d := memory(t)
	s := store.New(d, store.WithClock(func() time.Time { return now }))
	defer func() { _ = s.Close() }()
	var docs []store.Doc
	for i := range 100 {
		docs = append(docs, store.Doc{
			Key:      store.Key{Collection: "tokens", ID: fmt.Sprintf("%03d", i)},
			Fields:   map[string]string{"app": "x"},
			ExpireAt: now.Add(time.Duration(1+i/90) * time.Hour),
		})
	}
	if err := s.Batch(t.Context(), docs, nil); err != nil {
		t.Fatal(err)
	}
	left := func() int {
		t.Helper()
		held, err := store.Collect(d.Query(t.Context(), store.Query{Collection: "tokens", Where: map[string]string{"app": "x"}}))
		if err != nil {
			t.Fatal(err)
		}
		return len(held)
	}
	now = now.Add(time.Hour)
	for before := left(); before > 10; before = left() {
		if err := s.Put(t.Context(), store.Doc{Key: appKey("a")}); err != nil {
			t.Fatal(err)
		}
		if n := before - left(); n < 1 || n > 16 {
			t.Fatalf("one write removed %d", n)
		}
	}
	if err := s.Put(t.Context(), store.Doc{Key: appKey("a")}); err != nil {
		t.Fatal(err)
	}
	if n := left(); n != 10 {
		t.Errorf("%d left, want the 10 that live", n)
	}
}

// Transactions that wait for each other share a commit. Each must see those
// before it, and one that fails or panics must not take the others along.
func TestSharedCommits(t *testing.T) {
	s := store.New(open(t, t.TempDir()))
	defer func() { _ = s.Close() }()
	errOwn := errors.New("own")
	const workers, each = 32, 20
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				func() {
					defer func() { _ = recover() }()
					err := s.Update(t.Context(), func(tx store.Tx) error {
						n := 0
						if d, err := tx.Get(counter); err == nil {
							n = len(d.Data)
						}
						if err := tx.Put(store.Doc{Key: counter, Data: make([]byte, n+1)}); err != nil {
							return err
						}
						switch {
						case w%8 == 1:
							return errOwn
						case w%8 == 2:
							panic("boom")
						case w%8 == 3:
							return tx.Create(store.Doc{Key: counter}) // refused: written twice
						}
						return tx.Create(store.Doc{Key: appKey(fmt.Sprintf("%d/%d", w, i))})
					})
					if want := w%8 == 1 || w%8 == 3; want != (err != nil) {
						t.Errorf("worker %d: %v", w, err)
					}
				}()
			}
		})
	}
	wg.Wait()
	const good = workers / 8 * 5 * each
	d, err := s.Get(t.Context(), counter)
	if err != nil || len(d.Data) != good {
		t.Errorf("counted %d, %v; want %d", len(d.Data), err, good)
	}
	docs, err := store.Collect(s.Query(t.Context(), store.Query{Collection: "apps"}))
	if err != nil || len(docs) != good+1 {
		t.Errorf("%d documents, %v; want %d", len(docs), err, good+1)
	}
}

// Closing waits for what is under way, and everything after it is refused.
func TestCloseUnderLoad(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	var mu sync.Mutex
	acknowledged := []string{}
	started := make(chan struct{}, 1000)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d/%d", w, i)
				err := d.Update(t.Context(), func(tx store.Tx) error { return tx.Put(store.Doc{Key: appKey(id)}) })
				if store.IsUnavailable(err) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, id)
				mu.Unlock()
				select {
				case started <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 20 {
		<-started
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	again := open(t, dir)
	defer func() { _ = again.Close() }()
	for _, id := range acknowledged {
		if _, err := again.Get(t.Context(), appKey(id)); err != nil {
			t.Error(err)
		}
	}
}

var payload = make([]byte, 1024)

func benchDoc(i int) store.Doc {
	return store.Doc{Key: appKey(fmt.Sprintf("org/%06d", i)), Data: payload, Fields: map[string]string{"developer": "d", "name": "n"}}
}

func engines(b *testing.B, run func(b *testing.B, s *store.Store)) {
	for name, d := range map[string]store.Driver{"File": open(b, b.TempDir()), "Memory": memory(b)} {
		s := store.New(d)
		defer func() { _ = s.Close() }()
		var docs []store.Doc
		for i := range 10_000 {
			docs = append(docs, benchDoc(i))
		}
		if err := s.Batch(b.Context(), docs, nil); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			run(b, s)
		})
	}
}

func BenchmarkGet(b *testing.B) {
	engines(b, func(b *testing.B, s *store.Store) {
		key := benchDoc(5000).Key
		for b.Loop() {
			if _, err := s.Get(b.Context(), key); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPut(b *testing.B) {
	engines(b, func(b *testing.B, s *store.Store) {
		for i := 0; b.Loop(); i++ {
			if err := s.Put(b.Context(), benchDoc(i%10_000)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPutParallel(b *testing.B) {
	engines(b, func(b *testing.B, s *store.Store) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if err := s.Put(b.Context(), benchDoc(i%10_000)); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

func BenchmarkUpdate(b *testing.B) {
	engines(b, func(b *testing.B, s *store.Store) {
		key := benchDoc(5000).Key
		for b.Loop() {
			err := s.Update(b.Context(), func(tx store.Tx) error {
				d, err := tx.Get(key)
				if err != nil {
					return err
				}
				return tx.Put(d)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkQuery(b *testing.B) {
	engines(b, func(b *testing.B, s *store.Store) {
		q := store.Query{Collection: "apps", Where: map[string]string{"developer": "d", "name": "n"}, Limit: 25}
		for b.Loop() {
			if _, err := store.Collect(s.Query(b.Context(), q)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpenMemory(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := memory(b).Close(); err != nil {
			b.Fatal(err)
		}
	}
}
