package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/store"
)

var queryTests = []test{
	{"Nothing", func(t *testing.T, e *env) {
		wantIDs(t, e.ids(t, store.Query{Collection: plain}))
		wantIDs(t, e.ids(t, store.Query{Collection: plain, Where: map[string]string{"name": "x"}}))
		e.put(t, doc("a", "", "developer", "d"))
		wantIDs(t, e.ids(t, store.Query{Collection: plain, Where: map[string]string{"name": "x"}}))
		wantIDs(t, e.ids(t, store.Query{Collection: plain, After: "a"}))
		wantIDs(t, e.ids(t, store.Query{Collection: plain, Prefix: "b"}))
	}},
	{"WholeDocuments", func(t *testing.T, e *env) {
		want := ttlDoc("a", "payload", expiry, "app", "x", "enduser", "u")
		e.put(t, want)
		docs, err := store.Collect(e.Query(e.ctx, store.Query{Collection: ttl}))
		if err != nil || len(docs) != 1 {
			t.Fatalf("got %v, %v", docs, err)
		}
		if err := same(docs[0], want); err != nil {
			t.Error(err)
		}
		if docs[0].UpdatedAt.IsZero() {
			t.Error("no UpdatedAt")
		}
	}},
	{"NoData", func(t *testing.T, e *env) {
		long := strings.Repeat("/", 1500)
		e.put(t, ttlDoc("a", "payload", expiry, "app", "x"), ttlDoc(long, "payload", expiry, "app", "x"))
		docs, err := store.Collect(e.Query(e.ctx, store.Query{Collection: ttl, NoData: true, Where: map[string]string{"app": "x"}}))
		if err != nil || len(docs) != 2 {
			t.Fatalf("got %v, %v", docs, err)
		}
		for i, id := range []string{long, "a"} {
			if err := same(docs[i], ttlDoc(id, "", expiry, "app", "x")); err != nil {
				t.Error(err)
			}
		}
	}},
	{"Where", func(t *testing.T, e *env) {
		e.put(t,
			doc("1", "", "developer", "d1", "name", "n1"),
			doc("2", "", "developer", "d1", "name", "n2"),
			doc("3", "", "developer", "d2", "name", "n1"),
			doc("4", "", "developer", "d1", "name", "n1", "status", "s"),
			doc("5", "", "developer", "d"),
			doc("6", "", "developer", "d1", "name", ""),
			doc("7", ""))
		for _, c := range []struct {
			where map[string]string
			want  string
		}{
			{map[string]string{}, "1 2 3 4 5 6 7"},
			{map[string]string{"developer": "d1"}, "1 2 4 6"},
			{map[string]string{"developer": "d"}, "5"},
			{map[string]string{"name": "n1"}, "1 3 4"},
			{map[string]string{"name": ""}, "6"},
			{map[string]string{"developer": "d1", "name": "n1"}, "1 4"},
			{map[string]string{"developer": "d1", "name": "n1", "status": "s"}, "4"},
			{map[string]string{"developer": "d2", "name": "n2"}, ""},
			{map[string]string{"developer": "d1", "appgroup": "g"}, ""},
		} {
			wantIDs(t, e.ids(t, store.Query{Collection: plain, Where: c.where}), strings.Fields(c.want)...)
		}
	}},
	{"WhereFollowsChanges", func(t *testing.T, e *env) {
		of := func(name string) []string {
			return e.ids(t, store.Query{Collection: plain, Where: map[string]string{"name": name}})
		}
		e.put(t, doc("a", "", "name", "x"))
		wantIDs(t, of("x"), "a")
		e.put(t, doc("a", "", "name", "y"))
		wantIDs(t, of("x"))
		wantIDs(t, of("y"), "a")
		e.put(t, doc("a", ""))
		wantIDs(t, of("y"))
		e.put(t, doc("a", "", "name", "x"))
		wantCode(t, e.Delete(e.ctx, key("a")), 0)
		wantIDs(t, of("x"))
		wantCode(t, e.Store.Create(e.ctx, doc("a", "", "name", "z")), 0)
		wantIDs(t, of("x"))
		wantIDs(t, of("z"), "a")
	}},
	{"PrefixAndAfter", func(t *testing.T, e *env) {
		e.put(t, doc("a", ""), doc("a/1", ""), doc("a/2", ""), doc("a/3", ""), doc("a0", ""), doc("b", ""))
		for _, c := range []struct{ prefix, after, want string }{
			{"a/", "", "a/1 a/2 a/3"},
			{"a/", "a/1", "a/2 a/3"},
			{"a/", "a/11", "a/2 a/3"},
			{"a/", "a/3", ""},
			{"a/", "a", "a/1 a/2 a/3"},
			{"a/", "b", ""},
			{"a", "a", "a/1 a/2 a/3 a0"},
			{"", "a/3", "a0 b"},
			{"a0", "", "a0"},
		} {
			got := e.ids(t, store.Query{Collection: plain, Prefix: c.prefix, After: c.after})
			wantIDs(t, got, strings.Fields(c.want)...)
		}
	}},
	{"PagesAreStable", func(t *testing.T, e *env) {
		for _, id := range []string{"b", "d", "f", "h", "j"} {
			e.put(t, doc(id, "", "name", "n"))
		}
		q := store.Query{Collection: plain, Where: map[string]string{"name": "n"}, Limit: 2}
		wantIDs(t, e.ids(t, q), "b", "d")
		e.put(t, doc("a", "", "name", "n"), doc("c", "", "name", "n"), doc("e", "", "name", "n"))
		wantCode(t, e.Delete(e.ctx, key("d")), 0) // the page token's own document
		q.After = "d"
		wantIDs(t, e.ids(t, q), "e", "f")
		q.After = "f"
		wantIDs(t, e.ids(t, q), "h", "j")
		q.After = "j"
		wantIDs(t, e.ids(t, q))
	}},
	{"ManyDocuments", func(t *testing.T, e *env) {
		var docs []store.Doc
		var want []string
		for i := range 1100 {
			id := fmt.Sprintf("%05d", i)
			docs = append(docs, doc(id, id, "name", fmt.Sprint(i%2)))
			if i%2 == 1 {
				want = append(want, id)
			}
		}
		wantCode(t, e.Store.Batch(e.ctx, docs, nil), 0)
		where := map[string]string{"name": "1"}
		wantIDs(t, e.ids(t, store.Query{Collection: plain, Where: where}), want...)
		wantIDs(t, e.ids(t, store.Query{Collection: plain, Where: where, Limit: 300}), want[:300]...)
		wantIDs(t, e.ids(t, store.Query{Collection: plain, Where: where, Limit: 300, After: want[299]}), want[300:]...)
		wantCode(t, e.Update(e.ctx, func(tx store.Tx) error {
			docs, err := tx.Query(store.Query{Collection: plain, Where: where})
			wantIDs(t, ids(docs), want...)
			return err
		}), 0)
	}},
	{"LargeDocuments", func(t *testing.T, e *env) {
		var want []string
		for i := range 12 {
			d := doc(fmt.Sprintf("%02d", i), "")
			d.Data = slices.Repeat([]byte{byte(i)}, 900_000)
			e.put(t, d)
			want = append(want, d.Key.ID)
		}
		for d, err := range e.Query(e.ctx, store.Query{Collection: plain}) {
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Data) != 900_000 || fmt.Sprintf("%02d", d.Data[0]) != d.Key.ID {
				t.Errorf("%s has %d bytes", d.Key, len(d.Data))
			}
		}
		wantIDs(t, e.ids(t, store.Query{Collection: plain}), want...)
	}},
	{"BreakOff", func(t *testing.T, e *env) {
		e.put(t, doc("a", ""), doc("b", ""), doc("c", ""))
		n := 0
		for _, err := range e.Query(e.ctx, store.Query{Collection: plain}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 2 {
				break
			}
		}
		e.put(t, doc("d", ""))
		wantIDs(t, e.ids(t, store.Query{Collection: plain}), "a", "b", "c", "d")
	}},
	{"LoopBodyUsesTheStore", func(t *testing.T, e *env) {
		for i := range 20 {
			e.put(t, doc(fmt.Sprintf("a%02d", i), "small", "name", "old"))
		}
		n := 0
		for d, err := range e.Query(e.ctx, store.Query{Collection: plain, Where: map[string]string{"name": "old"}}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			big := doc("b"+d.Key.ID, "", "name", "new")
			big.Data = make([]byte, 500_000) // makes a file grow
			e.put(t, big)
			e.want(t, d.Key, string(d.Data))
			wantCode(t, e.Delete(e.ctx, d.Key), 0)
			e.ids(t, store.Query{Collection: plain, Limit: 1, NoData: true})
		}
		if got := len(e.ids(t, store.Query{Collection: plain, NoData: true})); n != 20 || got != 20 {
			t.Errorf("%d documents replaced, %d left; want 20 and 20", n, got)
		}
	}},
	{"AgainstAModel", func(t *testing.T, e *env) {
		rng := rand.New(rand.NewPCG(1, 2))
		model := map[string]store.Doc{}
		for range 4 {
			mutate(t, e, rng, model)
			for range 60 {
				q := randomQuery(rng)
				got, err := store.Collect(e.Query(e.ctx, q))
				if err != nil {
					t.Fatalf("query %+v: %v", q, err)
				}
				want := selected(model, q)
				if !slices.Equal(ids(got), ids(want)) {
					t.Fatalf("query %+v: got %q, want %q", q, ids(got), ids(want))
				}
				for i := range got {
					if err := same(got[i], want[i]); err != nil {
						t.Fatalf("query %+v: %v", q, err)
					}
				}
			}
		}
	}},
}

// mutate puts and deletes documents at random, in the store and in model.
func mutate(t *testing.T, e *env, rng *rand.Rand, model map[string]store.Doc) {
	t.Helper()
	changes := map[string]*store.Doc{}
	for range 150 {
		id := randomString(rng, 1+rng.IntN(4))
		if rng.IntN(4) == 0 {
			changes[id] = nil
			continue
		}
		d := doc(id, fmt.Sprint(rng.Uint64()))
		d.Fields = randomFields(rng)
		changes[id] = &d
	}
	var puts []store.Doc
	var deletes []store.Key
	for id, d := range changes {
		if d == nil {
			deletes = append(deletes, key(id))
			delete(model, id)
			continue
		}
		puts = append(puts, *d)
		model[id] = *d
	}
	if err := e.Store.Batch(e.ctx, puts, deletes); err != nil {
		t.Fatal(err)
	}
}

func randomString(rng *rand.Rand, n int) string {
	const letters = "._/a-0%~ü"
	runes := []rune(letters)
	var b strings.Builder
	for range n {
		b.WriteRune(runes[rng.IntN(len(runes))])
	}
	return b.String()
}

func randomFields(rng *rand.Rand) map[string]string {
	fields := map[string]string{}
	for _, name := range []string{"developer", "name", "status"} {
		if v := rng.IntN(4); v > 0 {
			fields[name] = strings.Repeat("v", v-1)
		}
	}
	return fields
}

func randomQuery(rng *rand.Rand) store.Query {
	q := store.Query{Collection: plain, Prefix: randomString(rng, rng.IntN(3)), Limit: rng.IntN(8), NoData: rng.IntN(4) == 0}
	if rng.IntN(2) == 0 {
		q.After = randomString(rng, 1+rng.IntN(4))
	}
	if rng.IntN(3) > 0 {
		q.Where = randomFields(rng)
	}
	return q
}

// selected is what q selects from the model.
func selected(model map[string]store.Doc, q store.Query) []store.Doc {
	var docs []store.Doc
	for id, d := range model {
		match := strings.HasPrefix(id, q.Prefix) && id > q.After
		for name, value := range q.Where {
			got, ok := d.Fields[name]
			match = match && ok && got == value
		}
		if !match {
			continue
		}
		if q.NoData {
			d.Data = nil
		}
		docs = append(docs, d)
	}
	slices.SortFunc(docs, func(a, b store.Doc) int { return cmp.Compare(a.Key.ID, b.Key.ID) })
	if q.Limit > 0 && len(docs) > q.Limit {
		docs = docs[:q.Limit]
	}
	return docs
}
