package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/store"
)

// expiry is when the documents of these tests expire, as stored.
var expiry = start.Add(time.Hour).Truncate(time.Microsecond)

var expiryTests = []test{
	{"ExactBoundary", func(t *testing.T, e *env) {
		e.put(t, ttlDoc("a", "one", expiry, "app", "x"))
		for _, at := range []time.Time{start, expiry.Add(-time.Microsecond), expiry.Add(-1)} {
			e.clock.Set(at)
			wantEverywhere(t, e, true)
		}
		for _, at := range []time.Time{expiry, expiry.Add(1), expiry.Add(1000 * time.Hour)} {
			e.clock.Set(at)
			wantEverywhere(t, e, false)
		}
	}},
	{"ZeroIsNever", func(t *testing.T, e *env) {
		e.put(t, ttlDoc("a", "one", time.Time{}, "app", "x"))
		e.clock.Set(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
		wantEverywhere(t, e, true)
		d, err := e.Get(e.ctx, ttlKey("a"))
		if err != nil || !d.ExpireAt.IsZero() {
			t.Errorf("expires %s, %v", d.ExpireAt, err)
		}
	}},
	{"DistantTimes", func(t *testing.T, e *env) {
		e.put(t,
			ttlDoc("past", "one", time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)),
			ttlDoc("before1970", "one", time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC)),
			ttlDoc("future", "one", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)))
		e.want(t, ttlKey("past"), "")
		e.want(t, ttlKey("before1970"), "")
		e.want(t, ttlKey("future"), "one")
	}},
	{"PutRenews", func(t *testing.T, e *env) {
		e.put(t, ttlDoc("a", "one", expiry, "app", "x"), ttlDoc("a", "two", expiry.Add(time.Hour), "app", "x"))
		e.clock.Set(expiry)
		e.put(t, ttlDoc("other", "", time.Time{})) // a write, on which an engine may sweep
		wantEverywhere(t, e, true)
		e.clock.Set(expiry.Add(time.Hour))
		wantEverywhere(t, e, false)
	}},
	{"PutForEver", func(t *testing.T, e *env) {
		e.put(t, ttlDoc("a", "one", expiry, "app", "x"), ttlDoc("a", "two", time.Time{}, "app", "x"))
		e.clock.Set(expiry)
		e.put(t, ttlDoc("other", "", time.Time{}))
		wantEverywhere(t, e, true)
	}},
	{"PutOverExpired", func(t *testing.T, e *env) {
		e.put(t, ttlDoc("a", "one", expiry, "app", "old"))
		e.clock.Set(expiry)
		e.put(t, ttlDoc("a", "two", expiry.Add(time.Hour), "app", "x"))
		wantEverywhere(t, e, true)
		e.want(t, ttlKey("a"), "two")
	}},
	{"CreateOverExpired", func(t *testing.T, e *env) {
		e.put(t, ttlDoc("a", "one", expiry), ttlDoc("b", "one", expiry.Add(1000*time.Hour)))
		e.clock.Set(expiry.Add(-1))
		wantCode(t, e.Store.Create(e.ctx, ttlDoc("a", "two", time.Time{})), store.AlreadyExists)
		e.clock.Set(expiry)
		wantCode(t, e.Store.Create(e.ctx, ttlDoc("a", "two", expiry.Add(time.Hour))), 0)
		wantCode(t, e.Store.Create(e.ctx, ttlDoc("a", "three", time.Time{})), store.AlreadyExists)
		e.want(t, ttlKey("a"), "two")
		e.want(t, ttlKey("b"), "one")
	}},
	{"CreateOverExpiredInUpdate", func(t *testing.T, e *env) {
		e.put(t, ttlDoc("a", "one", expiry), ttlDoc("b", "one", expiry.Add(1000*time.Hour)))
		e.clock.Set(expiry)
		create := func(id string) error {
			return e.Update(e.ctx, func(tx store.Tx) error {
				if err := tx.Create(ttlDoc(id, "two", time.Time{})); err != nil {
					return err
				}
				return tx.Put(doc("with "+id, "two"))
			})
		}
		wantCode(t, create("a"), 0)
		wantCode(t, create("b"), store.AlreadyExists)
		e.want(t, ttlKey("a"), "two")
		e.want(t, key("with a"), "two")
		e.want(t, ttlKey("b"), "one")
		e.want(t, key("with b"), "")
	}},
	{"CreateOverExpiredRace", func(t *testing.T, e *env) {
		e.put(t, ttlDoc("a", "old", expiry))
		e.clock.Set(expiry)
		errs := race(8, func(i int) error {
			return e.Store.Create(e.ctx, ttlDoc("a", fmt.Sprint(i), expiry.Add(time.Hour)))
		})
		e.want(t, ttlKey("a"), fmt.Sprint(oneWins(t, errs)))
	}},
	{"DeleteExpired", func(t *testing.T, e *env) {
		e.put(t, ttlDoc("a", "one", expiry))
		e.clock.Set(expiry)
		wantCode(t, e.Delete(e.ctx, ttlKey("a")), 0)
		e.want(t, ttlKey("a"), "")
	}},
	{"LimitCountsTheLiving", func(t *testing.T, e *env) {
		var docs []store.Doc
		for i := range 30 {
			at := expiry
			if i%5 == 4 {
				at = expiry.Add(time.Hour)
			}
			docs = append(docs, ttlDoc(fmt.Sprintf("%02d", i), "", at, "app", "x"))
		}
		wantCode(t, e.Store.Batch(e.ctx, docs, nil), 0)
		e.clock.Set(expiry)
		q := store.Query{Collection: ttl, Where: map[string]string{"app": "x"}, Limit: 3}
		wantIDs(t, e.ids(t, q), "04", "09", "14")
		wantCode(t, e.Update(e.ctx, func(tx store.Tx) error {
			docs, err := tx.Query(q)
			wantIDs(t, ids(docs), "04", "09", "14")
			return err
		}), 0)
		q.After = "14"
		wantIDs(t, e.ids(t, q), "19", "24", "29")
		q.After = "29"
		wantIDs(t, e.ids(t, q))
	}},
	{"DeleteAllTakesTheExpiredToo", func(t *testing.T, e *env) {
		e.put(t, ttlDoc("a", "", expiry), ttlDoc("b", "", expiry.Add(time.Hour)))
		e.clock.Set(expiry)
		if _, err := e.DeleteAll(e.ctx, store.Query{Collection: ttl}); err != nil {
			t.Fatal(err)
		}
		for d, err := range e.driver.Query(e.ctx, store.Query{Collection: ttl}) {
			t.Errorf("left: %v, %v", d.Key, err)
		}
	}},
}

// wantEverywhere fails unless every read sees, or does not see, the document a
// of the expiring collection, with app x.
func wantEverywhere(t *testing.T, e *env, want bool) {
	t.Helper()
	k := ttlKey("a")
	q := store.Query{Collection: ttl, Where: map[string]string{"app": "x"}}
	check := func(read string, got bool) {
		if got != want {
			t.Errorf("at %s: %s found it: %t, want %t", e.clock.Now(), read, got, want)
		}
	}
	_, err := e.Get(e.ctx, k)
	check("Get", err == nil)
	if err != nil {
		wantCode(t, err, store.NotFound)
	}
	docs, err := e.GetAll(e.ctx, []store.Key{k, k})
	if err != nil {
		t.Fatal(err)
	}
	check("GetAll", docs[0].Found())
	check("GetAll, again", docs[1].Found())
	check("Query", len(e.ids(t, q)) == 1)
	check("Query of all", len(e.ids(t, store.Query{Collection: ttl, Prefix: "a"})) == 1)
	err = e.Update(e.ctx, func(tx store.Tx) error {
		_, err := tx.Get(k)
		check("Tx.Get", err == nil)
		if err != nil {
			wantCode(t, err, store.NotFound)
		}
		docs, err := tx.Query(q)
		check("Tx.Query", len(docs) == 1)
		return err
	})
	wantCode(t, err, 0)
}
