package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/perigee-gateway/perigee/shared/store"
)

// operations is every operation of a Store on existing and missing documents.
func operations(ctx context.Context, s *store.Store) map[string]func() error {
	return map[string]func() error{
		"Get":    func() error { _, err := s.Get(ctx, key("a")); return err },
		"GetAll": func() error { _, err := s.GetAll(ctx, []store.Key{key("a")}); return err },
		"Query":  func() error { _, err := store.Collect(s.Query(ctx, store.Query{Collection: plain})); return err },
		"Put":    func() error { return s.Put(ctx, doc("b", "")) },
		"Create": func() error { return s.Create(ctx, doc("c", "")) },
		"Delete": func() error { return s.Delete(ctx, key("a")) },
		"Batch": func() error {
			return s.Batch(ctx, []store.Doc{doc("b", ""), doc("c", "")}, []store.Key{key("a")})
		},
		"DeleteAll": func() error { _, err := s.DeleteAll(ctx, store.Query{Collection: plain}); return err },
		"Update": func() error {
			return s.Update(ctx, func(tx store.Tx) error {
				if _, err := tx.Get(key("a")); err != nil {
					return err
				}
				return tx.Put(doc("b", ""))
			})
		},
		"Update without reads": func() error {
			return s.Update(ctx, func(tx store.Tx) error { return tx.Put(doc("b", "")) })
		},
	}
}

var errorTests = []test{
	{"EndedContext", func(t *testing.T, e *env) {
		e.put(t, doc("a", "one"))
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		for name, op := range operations(ctx, e.Store) {
			err := op()
			wantCode(t, err, store.Unavailable)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want the context's error in the chain", name, err)
			}
		}
		ctx, cancel = context.WithDeadline(e.ctx, start.AddDate(-100, 0, 0))
		defer cancel()
		for name, op := range operations(ctx, e.Store) {
			err := op()
			wantCode(t, err, store.Unavailable)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v, want the context's error in the chain", name, err)
			}
		}
		e.want(t, key("a"), "one")
		e.want(t, key("b"), "")
		e.want(t, key("c"), "")
	}},
	{"ContextEndsInUpdate", func(t *testing.T, e *env) {
		ctx, cancel := context.WithCancel(e.ctx)
		defer cancel()
		err := e.Update(ctx, func(tx store.Tx) error {
			defer cancel()
			return tx.Put(doc("a", "one"))
		})
		wantCode(t, err, store.Unavailable)
		e.want(t, key("a"), "")
	}},
	{"Closed", func(t *testing.T, e *env) {
		e.put(t, doc("a", "one"))
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(e.ctx, 0)
		defer cancel()
		for _, op := range operations(ctx, e.Store) { // an ended context: no retries
			wantCode(t, op(), store.Unavailable)
		}
		_, err := e.driver.Get(e.ctx, key("a"))
		wantCode(t, err, store.Unavailable)
		wantCode(t, e.driver.Update(e.ctx, func(store.Tx) error { return nil }), store.Unavailable)
		if err := e.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
	}},
	{"KeyAndOperation", func(t *testing.T, e *env) {
		_, err := e.Get(e.ctx, key("a/b"))
		var se *store.Error
		if !errors.As(err, &se) || se.Key != key("a/b") || se.Op == "" {
			t.Fatalf("got %#v", err)
		}
		if got, want := err.Error(), "store: get apps/a/b: not found"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}},
}
