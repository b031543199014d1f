package firestore_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	api "cloud.google.com/go/firestore"

	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
	"github.com/perigee-gateway/perigee/shared/store/firestore"
	"github.com/perigee-gateway/perigee/shared/store/storetest"
)

func TestEmulator(t *testing.T) {
	enginestest.RequireEmulator(t)
	storetest.Run(t, func(*testing.T) store.Driver { return firestore.New(enginestest.Project(), "") })
}

// New connects to nothing, and a Driver never used closes without having.
func TestNothingIsOpenedBeforeUse(t *testing.T) {
	t.Setenv("FIRESTORE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file")
	d := firestore.New("project", "")
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.Get(t.Context(), store.Key{Collection: "apps", ID: "a"}); !store.IsUnavailable(err) {
		t.Errorf("after Close: %v", err)
	}
}

// Without credentials, each call tries anew and says what is wrong.
func TestNoCredentials(t *testing.T) {
	t.Setenv("FIRESTORE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file")
	d := firestore.New("project", "")
	defer func() { _ = d.Close() }()
	for range 2 {
		_, err := d.Get(t.Context(), store.Key{Collection: "apps", ID: "a"})
		if !store.IsUnavailable(err) || !strings.Contains(err.Error(), "/no/such/file") {
			t.Errorf("got %v", err)
		}
	}
}

// Databases of one project are apart.
func TestDatabases(t *testing.T) {
	enginestest.RequireEmulator(t)
	name := enginestest.Project()
	a, b := store.New(firestore.New(name, "")), store.New(firestore.New(name, "other"))
	defer func() { _ = errors.Join(a.Close(), b.Close()) }()
	doc := store.Doc{Key: store.Key{Collection: "apps", ID: "a"}}
	if err := a.Put(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), doc.Key); !store.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

// What infrastructure and other programs see: the layout is a contract.
func TestLayout(t *testing.T) {
	enginestest.RequireEmulator(t)
	name := enginestest.Project()
	s := store.New(firestore.New(name, ""))
	defer func() { _ = s.Close() }()
	expire := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	doc := store.Doc{
		Key: store.Key{Collection: "tokens", ID: "org/1.0"}, Data: []byte("data"),
		Fields: map[string]string{"app": "x"}, ExpireAt: expire,
	}
	if err := s.Put(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	client, err := api.NewClient(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	snap, err := client.Collection("tokens").Doc("org.11.00").Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := snap.Data()
	if at, ok := got[firestore.UpdatedAtField].(time.Time); !ok || at.IsZero() {
		t.Errorf("updatedAt is %v", got[firestore.UpdatedAtField])
	}
	delete(got, firestore.UpdatedAtField)
	want := map[string]any{
		firestore.IndexedField:  map[string]any{"app": "x"},
		firestore.DataField:     []byte("data"),
		firestore.ExpireAtField: expire,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Instances share nothing but Firestore, so the suite has to hold between two as
// well: here every other transaction is that of the other.
func TestInstances(t *testing.T) {
	enginestest.RequireEmulator(t)
	storetest.Run(t, func(*testing.T) store.Driver {
		name := enginestest.Project()
		return &instances{Driver: firestore.New(name, ""), other: firestore.New(name, "")}
	})
}

type instances struct {
	*firestore.Driver
	other *firestore.Driver
	n     atomic.Int64
}

func (i *instances) Update(ctx context.Context, fn func(store.Tx) error) error {
	if i.n.Add(1)%2 == 0 {
		return i.other.Update(ctx, fn)
	}
	return i.Driver.Update(ctx, fn)
}

func (i *instances) Close() error { return errors.Join(i.Driver.Close(), i.other.Close()) }

// An update is of what it read, or runs again: whatever another instance does to
// the first document between, and whether the update stays about that document or
// comes to more.
func TestChangedSinceItWasRead(t *testing.T) {
	enginestest.RequireEmulator(t)
	a, b := store.Key{Collection: "apps", ID: "a"}, store.Key{Collection: "apps", ID: "b"}
	doc := func(k store.Key, data string) store.Doc { return store.Doc{Key: k, Data: []byte(data)} }
	changes := map[string]struct {
		before bool // a exists
		change func(context.Context, *store.Store) error
		want   string // what the second run finds
	}{
		"written": {true, func(ctx context.Context, s *store.Store) error { return s.Put(ctx, doc(a, "changed")) }, "changed"},
		"deleted": {true, func(ctx context.Context, s *store.Store) error { return s.Delete(ctx, a) }, ""},
		"created": {false, func(ctx context.Context, s *store.Store) error { return s.Put(ctx, doc(a, "changed")) }, "changed"},
	}
	updates := map[string]func(store.Tx) error{
		"put":          func(tx store.Tx) error { return tx.Put(doc(a, "mine")) },
		"put two":      func(tx store.Tx) error { return errors.Join(tx.Put(doc(a, "mine")), tx.Put(doc(b, "mine"))) },
		"put another":  func(tx store.Tx) error { return tx.Put(doc(b, "mine")) },
		"read another": func(tx store.Tx) error { _, err := tx.Get(b); return errors.Join(ignore(err), tx.Put(doc(a, "mine"))) },
		"query": func(tx store.Tx) error {
			_, err := tx.Query(store.Query{Collection: "apps"})
			return errors.Join(err, tx.Put(doc(a, "mine")))
		},
		"delete another": func(tx store.Tx) error { return errors.Join(tx.Put(doc(a, "mine")), tx.Delete(b)) },
	}
	for name, change := range changes {
		for what, update := range updates {
			t.Run(name+"/"+what, func(t *testing.T) {
				project := enginestest.Project()
				mine, other := store.New(firestore.New(project, "")), store.New(firestore.New(project, ""))
				defer func() { _ = errors.Join(mine.Close(), other.Close()) }()
				if change.before {
					if err := mine.Put(t.Context(), doc(a, "before")); err != nil {
						t.Fatal(err)
					}
				}
				var found []string
				err := mine.Update(t.Context(), func(tx store.Tx) error {
					d, err := tx.Get(a)
					if ignore(err) != nil {
						return err
					}
					found = append(found, string(d.Data))
					if len(found) == 1 {
						if err := change.change(t.Context(), other); err != nil {
							return err
						}
					}
					return update(tx)
				})
				if err != nil {
					t.Fatal(err)
				}
				if len(found) != 2 || found[1] != change.want {
					t.Errorf("found %q, want a second run that finds %q", found, change.want)
				}
			})
		}
	}
}

func ignore(err error) error {
	if store.IsNotFound(err) {
		return nil
	}
	return err
}

// A document is replaced as a whole, and given back what it had: no field stays
// of what was there.
func TestExchangeReplaces(t *testing.T) {
	enginestest.RequireEmulator(t)
	s := store.New(firestore.New(enginestest.Project(), ""))
	defer func() { _ = s.Close() }()
	long := store.Key{Collection: "tokens", ID: strings.Repeat("é", 700)}
	full := store.Doc{Key: long, Data: []byte("data"), Fields: map[string]string{"app": "x"}, ExpireAt: time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)}
	empty := store.Doc{Key: long}
	for _, want := range []store.Doc{full, empty, full, {Key: long, Fields: map[string]string{"app": "y"}}, empty} {
		err := s.Update(t.Context(), func(tx store.Tx) error {
			if _, err := tx.Get(long); ignore(err) != nil {
				return err
			}
			return tx.Put(want)
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), long)
		got.UpdatedAt = time.Time{}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}
