package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/store"
)

// driverTests hold an engine to what Store leaves to it or guards itself.
var driverTests = []test{
	{"ReadAfterWriteIsRefused", func(t *testing.T, e *env) {
		for _, read := range []func(store.Tx) error{
			func(tx store.Tx) error { _, err := tx.Get(key("a")); return err },
			func(tx store.Tx) error { _, err := tx.Query(store.Query{Collection: plain}); return err },
		} {
			for _, ignore := range []bool{false, true} {
				err := e.driver.Update(e.ctx, func(tx store.Tx) error {
					if err := tx.Put(stamped("b")); err != nil {
						return err
					}
					err := read(tx)
					wantCode(t, err, store.Invalid)
					if ignore {
						return nil
					}
					return err
				})
				wantCode(t, err, store.Invalid)
			}
		}
		e.want(t, key("b"), "")
	}},
	{"OwnErrorComesBackAsItIs", func(t *testing.T, e *env) {
		own := &store.Error{Code: store.Conflict}
		for _, want := range []error{errOwn, own} {
			err := e.driver.Update(e.ctx, func(tx store.Tx) error {
				_ = tx.Put(stamped("a"))
				return want
			})
			if err != want { //nolint:errorlint // the very value
				t.Errorf("got %v, want %v", err, want)
			}
		}
		e.want(t, key("a"), "")
	}},
	{"MissingDocuments", func(t *testing.T, e *env) {
		_, err := e.driver.Get(e.ctx, key("a"))
		wantCode(t, err, store.NotFound)
		docs, err := e.driver.GetAll(e.ctx, []store.Key{key("a"), ttlKey("b")})
		if err != nil || len(docs) != 2 || docs[0].Found() || docs[1].Found() {
			t.Errorf("got %v, %v", docs, err)
		}
		err = e.driver.Update(e.ctx, func(tx store.Tx) error { _, err := tx.Get(key("a")); return err })
		wantCode(t, err, store.NotFound)
	}},
	{"UpdatedAtIsWhatStoreSet", func(t *testing.T, e *env) {
		want := stamped("a")
		if err := e.driver.Update(e.ctx, func(tx store.Tx) error { return tx.Put(want) }); err != nil {
			t.Fatal(err)
		}
		got, err := e.driver.Get(e.ctx, want.Key)
		if err != nil || got.UpdatedAt != want.UpdatedAt {
			t.Errorf("got %s, %v; want %s", got.UpdatedAt, err, want.UpdatedAt)
		}
	}},
	{"FollowsTheClockOfStore", func(t *testing.T, e *env) {
		// Expired by the computer's clock, not by the store's.
		e.clock.Set(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))
		e.put(t, ttlDoc("a", "one", time.Date(2001, 1, 2, 0, 0, 0, 0, time.UTC)))
		e.put(t, doc("b", ""), doc("c", ""))
		e.want(t, ttlKey("a"), "one")
	}},
	{"WriteIsAtomic", func(t *testing.T, e *env) {
		w, ok := e.driver.(store.BatchWriter)
		if !ok {
			return // optional
		}
		put := func(op store.WriteOp, id string) store.Write { return store.Write{Op: op, Doc: stamped(id)} }
		wantCode(t, w.Write(e.ctx, []store.Write{put(store.OpCreate, "a"), put(store.OpPut, "b")}), 0)
		wantCode(t, w.Write(e.ctx, []store.Write{put(store.OpDelete, "b"), put(store.OpCreate, "a")}), store.AlreadyExists)
		wantCode(t, w.Write(e.ctx, []store.Write{put(store.OpCreate, "a")}), store.AlreadyExists)
		e.want(t, key("b"), "stamped")
		wantCode(t, w.Write(e.ctx, []store.Write{put(store.OpDelete, "b")}), 0)
		e.want(t, key("b"), "")
	}},
	{"ErrorsHaveCodes", func(t *testing.T, e *env) {
		err := e.driver.Update(e.ctx, func(tx store.Tx) error {
			return errors.Join(tx.Create(stamped("a")))
		})
		wantCode(t, err, 0)
		err = e.driver.Update(e.ctx, func(tx store.Tx) error { return tx.Create(stamped("a")) })
		wantCode(t, err, store.AlreadyExists)
	}},
}

// stamped is a document as Store would hand it to an engine.
func stamped(id string) store.Doc {
	d := doc(id, "stamped", "name", "n")
	d.UpdatedAt = start.Truncate(time.Microsecond)
	return d
}
