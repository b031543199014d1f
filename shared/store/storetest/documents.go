package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/store"
)

var documentTests = []test{
	{"GetMissing", func(t *testing.T, e *env) {
		_, err := e.Get(e.ctx, key("a"))
		wantCode(t, err, store.NotFound)
	}},
	{"PutGet", func(t *testing.T, e *env) {
		want := doc("a", "payload", "developer", "d1", "name", "n1")
		e.put(t, want)
		got, err := e.Get(e.ctx, want.Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := same(got, want); err != nil {
			t.Error(err)
		}
		if !got.Found() {
			t.Error("Found is false")
		}
	}},
	{"PutReplacesAll", func(t *testing.T, e *env) {
		e.put(t, doc("a", "one", "developer", "d1", "name", "n1"), doc("a", "two", "name", "n2"))
		got, err := e.Get(e.ctx, key("a"))
		if err != nil {
			t.Fatal(err)
		}
		if err := same(got, doc("a", "two", "name", "n2")); err != nil {
			t.Error(err)
		}
	}},
	{"EmptyDocument", func(t *testing.T, e *env) {
		e.put(t, store.Doc{Key: key("a")}, store.Doc{Key: key("b"), Data: []byte{}, Fields: map[string]string{}})
		for _, id := range []string{"a", "b"} {
			d, err := e.Get(e.ctx, key(id))
			if err != nil || len(d.Data) != 0 || len(d.Fields) != 0 || !d.Found() {
				t.Errorf("got %+v, %v", d, err)
			}
		}
	}},
	{"AllBytes", func(t *testing.T, e *env) {
		data := make([]byte, 512)
		for i := range data {
			data[i] = byte(i)
		}
		e.put(t, doc("a", string(data)))
		e.want(t, key("a"), string(data))
	}},
	{"Create", func(t *testing.T, e *env) {
		wantCode(t, e.Store.Create(e.ctx, doc("a", "one")), 0)
		wantCode(t, e.Store.Create(e.ctx, doc("a", "two")), store.AlreadyExists)
		e.want(t, key("a"), "one")
	}},
	{"CreateAfterDelete", func(t *testing.T, e *env) {
		e.put(t, doc("a", "one"))
		wantCode(t, e.Delete(e.ctx, key("a")), 0)
		wantCode(t, e.Store.Create(e.ctx, doc("a", "two")), 0)
		e.want(t, key("a"), "two")
	}},
	{"CreateRace", func(t *testing.T, e *env) {
		const n = 16
		errs := race(n, func(i int) error { return e.Store.Create(e.ctx, doc("a", fmt.Sprint(i))) })
		winner := oneWins(t, errs)
		e.want(t, key("a"), fmt.Sprint(winner))
	}},
	{"Delete", func(t *testing.T, e *env) {
		e.put(t, doc("a", "one", "developer", "d"), doc("b", "two", "developer", "d"))
		wantCode(t, e.Delete(e.ctx, key("a")), 0)
		e.want(t, key("a"), "")
		e.want(t, key("b"), "two")
		wantIDs(t, e.ids(t, store.Query{Collection: plain, Where: map[string]string{"developer": "d"}}), "b")
	}},
	{"DeleteMissing", func(t *testing.T, e *env) {
		wantCode(t, e.Delete(e.ctx, key("a")), 0)
	}},
	{"CollectionsAreApart", func(t *testing.T, e *env) {
		e.put(t, doc("a", "app"), ttlDoc("a", "token", time.Time{}))
		e.want(t, key("a"), "app")
		e.want(t, ttlKey("a"), "token")
		wantCode(t, e.Delete(e.ctx, key("a")), 0)
		e.want(t, ttlKey("a"), "token")
	}},
	{"GetAll", func(t *testing.T, e *env) {
		e.put(t, doc("a", "one"), doc("b", "two"), ttlDoc("a", "three", time.Time{}))
		keys := []store.Key{key("b"), key("missing"), ttlKey("a"), key("b"), key("a")}
		docs, err := e.GetAll(e.ctx, keys)
		if err != nil {
			t.Fatal(err)
		}
		if len(docs) != len(keys) {
			t.Fatalf("got %d documents, want %d", len(docs), len(keys))
		}
		for i, want := range []string{"two", "", "three", "two", "one"} {
			if docs[i].Found() != (want != "") || string(docs[i].Data) != want {
				t.Errorf("document %d is %+v, want %q", i, docs[i], want)
			}
		}
	}},
	{"GetAllOfNothing", func(t *testing.T, e *env) {
		docs, err := e.GetAll(e.ctx, nil)
		if err != nil || len(docs) != 0 {
			t.Errorf("got %v, %v", docs, err)
		}
	}},
	{"MemoryIsNotShared", func(t *testing.T, e *env) {
		d := doc("a", "one", "name", "n")
		e.put(t, d)
		d.Data[0], d.Fields["name"] = 'X', "X"
		got, err := e.Get(e.ctx, d.Key)
		if err != nil {
			t.Fatal(err)
		}
		got.Data[0], got.Fields["name"] = 'Y', "Y"
		again, err := e.Get(e.ctx, d.Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := same(again, doc("a", "one", "name", "n")); err != nil {
			t.Error(err)
		}
	}},
	{"UpdatedAt", func(t *testing.T, e *env) {
		want := start.Truncate(time.Microsecond)
		given := doc("a", "one")
		given.UpdatedAt = start.Add(-time.Hour) // ignored
		e.put(t, given)
		e.clock.Set(start.Add(time.Minute))
		wantUpdated(t, e, "a", want)
		e.put(t, doc("a", "two"))
		wantUpdated(t, e, "a", want.Add(time.Minute))
	}},
	{"TimesAreMicrosecondsUTC", func(t *testing.T, e *env) {
		at := start.Add(time.Hour).In(time.FixedZone("east", 3*3600))
		e.put(t, ttlDoc("a", "one", at))
		d, err := e.Get(e.ctx, ttlKey("a"))
		if err != nil {
			t.Fatal(err)
		}
		if want := at.UTC().Truncate(time.Microsecond); d.ExpireAt != want {
			t.Errorf("expires %s, want %s", d.ExpireAt, want)
		}
		if want := start.Truncate(time.Microsecond); d.UpdatedAt != want {
			t.Errorf("updated %s, want %s", d.UpdatedAt, want)
		}
	}},
	{"Counts", func(t *testing.T, e *env) {
		before := e.Counts()
		e.put(t, doc("a", "1", "name", "n"), doc("b", "2", "name", "n"))
		e.want(t, key("a"), "1")
		if _, err := e.GetAll(e.ctx, []store.Key{key("a"), key("b"), key("c")}); err != nil {
			t.Fatal(err)
		}
		e.ids(t, store.Query{Collection: plain, Where: map[string]string{"name": "n"}})
		e.ids(t, store.Query{Collection: plain, Where: map[string]string{"name": "none"}})
		after := e.Counts()
		got := store.Stats{Reads: after.Reads - before.Reads, Writes: after.Writes - before.Writes, RoundTrips: after.RoundTrips - before.RoundTrips}
		if want := (store.Stats{Reads: 1 + 3 + 2 + 1, Writes: 2, RoundTrips: 6}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}},
}

func wantUpdated(t *testing.T, e *env, id string, want time.Time) {
	t.Helper()
	d, err := e.Get(e.ctx, key(id))
	if err != nil || d.UpdatedAt != want {
		t.Errorf("updated %s, %v; want %s", d.UpdatedAt, err, want)
	}
}

// oneWins returns which of the racing creates succeeded and fails unless all
// others met AlreadyExists.
func oneWins(t *testing.T, errs []error) int {
	t.Helper()
	winner, winners := -1, 0
	for i, err := range errs {
		if err == nil {
			winner, winners = i, winners+1
			continue
		}
		wantCode(t, err, store.AlreadyExists)
	}
	if winners != 1 {
		t.Errorf("%d creates succeeded, want 1", winners)
	}
	return winner
}
