package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/perigee-gateway/perigee/shared/store"
)

var errOwn = errors.New("the function's own error")

var updateTests = []test{
	{"ReadsThenWrites", func(t *testing.T, e *env) {
		e.put(t, doc("a", "one", "name", "n"), doc("b", "two", "name", "n"), doc("c", "three"))
		err := e.Update(e.ctx, func(tx store.Tx) error {
			a, err := tx.Get(key("a"))
			if err != nil {
				return err
			}
			docs, err := tx.Query(store.Query{Collection: plain, Where: map[string]string{"name": "n"}})
			if err != nil {
				return err
			}
			wantIDs(t, ids(docs), "a", "b")
			_, err = tx.Get(key("missing"))
			wantCode(t, err, store.NotFound)
			return errors.Join(
				tx.Put(doc("a", string(a.Data)+string(docs[1].Data), "name", "m")),
				tx.Create(doc("d", "four")),
				tx.Delete(key("c")),
				tx.Delete(key("missing")))
		})
		wantCode(t, err, 0)
		e.want(t, key("a"), "onetwo")
		e.want(t, key("b"), "two")
		e.want(t, key("c"), "")
		e.want(t, key("d"), "four")
		wantIDs(t, e.ids(t, store.Query{Collection: plain, Where: map[string]string{"name": "m"}}), "a")
	}},
	{"NothingWritten", func(t *testing.T, e *env) {
		e.put(t, doc("a", "one"))
		wantCode(t, e.Update(e.ctx, func(store.Tx) error { return nil }), 0)
		wantCode(t, e.Update(e.ctx, func(tx store.Tx) error { _, err := tx.Get(key("a")); return err }), 0)
		e.want(t, key("a"), "one")
	}},
	{"TimesAreSet", func(t *testing.T, e *env) {
		wantCode(t, e.Update(e.ctx, func(tx store.Tx) error { return tx.Put(doc("a", "")) }), 0)
		wantUpdated(t, e, "a", start.Truncate(1000))
	}},
	{"OwnErrorComesBackAndNothingStays", func(t *testing.T, e *env) {
		e.put(t, doc("a", "one"))
		runs := 0
		err := e.Update(e.ctx, func(tx store.Tx) error {
			runs++
			return errors.Join(tx.Put(doc("a", "two")), tx.Create(doc("b", "")), tx.Delete(key("c")), errOwn)
		})
		if !errors.Is(err, errOwn) || runs != 1 {
			t.Errorf("got %v after %d runs", err, runs)
		}
		err = e.Update(e.ctx, func(store.Tx) error { return errOwn })
		if err != errOwn { //nolint:errorlint // the very value
			t.Errorf("got %v, want it as it was", err)
		}
		e.want(t, key("a"), "one")
		e.want(t, key("b"), "")
	}},
	{"OwnErrorWithACodeIsNotRetried", func(t *testing.T, e *env) {
		for _, code := range []store.Code{store.NotFound, store.Conflict, store.Unavailable} {
			runs := 0
			own := &store.Error{Code: code, Op: "own"}
			err := e.Update(e.ctx, func(store.Tx) error { runs++; return own })
			if err != error(own) || runs != 1 { //nolint:errorlint // the very value
				t.Errorf("got %v after %d runs", err, runs)
			}
		}
	}},
	{"CreateConflictLeavesNothing", func(t *testing.T, e *env) {
		e.put(t, doc("b", "one"))
		err := e.Update(e.ctx, func(tx store.Tx) error {
			return errors.Join(tx.Put(doc("a", "two")), tx.Create(doc("b", "two")), tx.Put(doc("c", "two")))
		})
		wantCode(t, err, store.AlreadyExists)
		e.want(t, key("a"), "")
		e.want(t, key("b"), "one")
		e.want(t, key("c"), "")
	}},
	{"ReadAfterWriteIsRefused", func(t *testing.T, e *env) {
		e.put(t, doc("a", "one"))
		reads := map[string]func(store.Tx) error{
			"Get":   func(tx store.Tx) error { _, err := tx.Get(key("a")); return err },
			"Query": func(tx store.Tx) error { _, err := tx.Query(store.Query{Collection: plain}); return err },
		}
		writes := map[string]func(store.Tx) error{
			"Put":    func(tx store.Tx) error { return tx.Put(doc("b", "")) },
			"Create": func(tx store.Tx) error { return tx.Create(doc("b", "")) },
			"Delete": func(tx store.Tx) error { return tx.Delete(key("a")) },
		}
		for _, read := range reads {
			for _, write := range writes {
				err := e.Update(e.ctx, func(tx store.Tx) error {
					if err := write(tx); err != nil {
						return err
					}
					wantCode(t, read(tx), store.Invalid)
					return nil // ignoring the error does not help
				})
				wantCode(t, err, store.Invalid)
			}
		}
		e.want(t, key("a"), "one")
		e.want(t, key("b"), "")
	}},
	{"RefusedWriteFailsTheWhole", func(t *testing.T, e *env) {
		err := e.Update(e.ctx, func(tx store.Tx) error {
			wantCode(t, tx.Put(doc("a", "", "nosuch", "x")), store.Invalid)
			_ = tx.Put(doc("b", ""))
			return nil
		})
		wantCode(t, err, store.Invalid)
		e.want(t, key("b"), "")
	}},
	{"OneWritePerKey", func(t *testing.T, e *env) {
		err := e.Update(e.ctx, func(tx store.Tx) error {
			_ = tx.Put(doc("a", "one"))
			_ = tx.Delete(key("a"))
			return nil
		})
		wantCode(t, err, store.Invalid)
		e.want(t, key("a"), "")
	}},
	{"IncrementsAreNotLost", func(t *testing.T, e *env) {
		const workers, each = 8, 5
		errs := race(workers, func(int) error {
			for range each {
				if err := e.Update(e.ctx, increment); err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		e.want(t, key("counter"), strconv.Itoa(workers*each))
	}},
	{"NoWriteSkew", func(t *testing.T, e *env) {
		// Each takes its own document only if nobody has taken any.
		const n = 4
		taken := race(n, func(i int) error {
			return e.Update(e.ctx, func(tx store.Tx) error {
				for j := range n {
					if _, err := tx.Get(key(fmt.Sprint(j))); err == nil {
						return errOwn
					} else if !store.IsNotFound(err) {
						return err
					}
				}
				return tx.Put(doc(fmt.Sprint(i), "taken"))
			})
		})
		wantOneOf(t, taken)
		if got := e.ids(t, store.Query{Collection: plain}); len(got) != 1 {
			t.Errorf("taken: %q", got)
		}
	}},
	{"NoPhantoms", func(t *testing.T, e *env) {
		// The same with a query: what it did not find must not have appeared.
		e.put(t, doc("other", "", "developer", "e"))
		taken := race(4, func(i int) error {
			return e.Update(e.ctx, func(tx store.Tx) error {
				docs, err := tx.Query(store.Query{Collection: plain, Where: map[string]string{"developer": "d"}})
				if err != nil {
					return err
				}
				if len(docs) > 0 {
					return errOwn
				}
				return tx.Create(doc(fmt.Sprint(i), "taken", "developer", "d"))
			})
		})
		wantOneOf(t, taken)
	}},
	{"PanicLeavesTheStoreUsable", func(t *testing.T, e *env) {
		func() {
			defer func() {
				if r := recover(); r != "boom" {
					t.Errorf("recovered %v", r)
				}
			}()
			_ = e.Update(e.ctx, func(tx store.Tx) error {
				_ = tx.Put(doc("a", ""))
				panic("boom")
			})
		}()
		e.put(t, doc("b", "one"))
		e.want(t, key("a"), "")
		e.want(t, key("b"), "one")
	}},
}

func increment(tx store.Tx) error {
	d, err := tx.Get(key("counter"))
	if err != nil && !store.IsNotFound(err) {
		return err
	}
	n := 0
	if d.Found() {
		if n, err = strconv.Atoi(string(d.Data)); err != nil {
			return err
		}
	}
	return tx.Put(doc("counter", strconv.Itoa(n+1)))
}

// wantOneOf fails unless one succeeded and the others decided not to.
func wantOneOf(t *testing.T, errs []error) {
	t.Helper()
	winners := 0
	for _, err := range errs {
		switch {
		case err == nil:
			winners++
		case !errors.Is(err, errOwn):
			t.Error(err)
		}
	}
	if winners != 1 {
		t.Errorf("%d succeeded, want 1", winners)
	}
}

var batchTests = []test{
	{"PutsAndDeletes", func(t *testing.T, e *env) {
		e.put(t, doc("a", "one"), doc("b", "one"))
		wantCode(t, e.Store.Batch(e.ctx, []store.Doc{doc("b", "two"), doc("c", "two")}, []store.Key{key("a"), key("missing")}), 0)
		e.want(t, key("a"), "")
		e.want(t, key("b"), "two")
		e.want(t, key("c"), "two")
		wantUpdated(t, e, "c", start.Truncate(1000))
	}},
	{"Nothing", func(t *testing.T, e *env) {
		wantCode(t, e.Store.Batch(e.ctx, nil, nil), 0)
	}},
	{"KeyTwice", func(t *testing.T, e *env) {
		wantCode(t, e.Store.Batch(e.ctx, []store.Doc{doc("a", ""), doc("a", "")}, nil), store.Invalid)
		wantCode(t, e.Store.Batch(e.ctx, []store.Doc{doc("a", "")}, []store.Key{key("a")}), store.Invalid)
		e.want(t, key("a"), "")
	}},
	{"ManyAndDeleteAll", func(t *testing.T, e *env) {
		const n = 1050
		var docs []store.Doc
		for i := range n {
			docs = append(docs, doc(fmt.Sprintf("p/%05d", i), "x", "name", fmt.Sprint(i%3)))
		}
		wantCode(t, e.Store.Batch(e.ctx, docs, nil), 0)
		e.put(t, doc("q", "kept", "name", "0"))
		deleted, err := e.DeleteAll(e.ctx, store.Query{Collection: plain, Prefix: "p/", Where: map[string]string{"name": "1"}})
		if err != nil || deleted != n/3 {
			t.Errorf("deleted %d, %v; want %d", deleted, err, n/3)
		}
		deleted, err = e.DeleteAll(e.ctx, store.Query{Collection: plain, Prefix: "p/", Limit: 500})
		if err != nil || deleted != 500 {
			t.Errorf("deleted %d, %v; want 500", deleted, err)
		}
		deleted, err = e.DeleteAll(e.ctx, store.Query{Collection: plain, Prefix: "p/"})
		if err != nil || deleted != n-n/3-500 {
			t.Errorf("deleted %d, %v; want %d", deleted, err, n-n/3-500)
		}
		deleted, err = e.DeleteAll(e.ctx, store.Query{Collection: plain, Prefix: "p/"})
		if err != nil || deleted != 0 {
			t.Errorf("deleted %d, %v; want 0", deleted, err)
		}
		wantIDs(t, e.ids(t, store.Query{Collection: plain}), "q")
	}},
	{"Large", func(t *testing.T, e *env) {
		var docs []store.Doc
		for i := range 25 {
			d := doc(fmt.Sprintf("%02d", i), "")
			d.Data = make([]byte, 1_000_000)
			docs = append(docs, d)
		}
		wantCode(t, e.Store.Batch(e.ctx, docs, nil), 0)
		if n := len(e.ids(t, store.Query{Collection: plain, NoData: true})); n != len(docs) {
			t.Errorf("%d documents, want %d", n, len(docs))
		}
	}},
}
