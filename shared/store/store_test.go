package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// script is a Driver whose Update returns one error after the other.
type script struct {
	Driver // the rest is not called
	errs   []error
	runs   int
	doc    Doc
	read   error
}

func (s *script) Update(_ context.Context, fn func(Tx) error) error {
	s.runs++
	if err := fn(scriptTx{s: s}); err != nil {
		return err
	}
	if s.runs <= len(s.errs) {
		return s.errs[s.runs-1]
	}
	return nil
}

type scriptTx struct {
	Tx
	s *script
}

func (t scriptTx) Get(Key) (Doc, error)                 { return t.s.doc, t.s.read }
func (t scriptTx) Query(Query) ([]Doc, error)           { return nil, t.s.read }
func (t scriptTx) Put(Doc) error                        { return nil }
func (t scriptTx) Create(Doc) error                     { return nil }
func (t scriptTx) Delete(Key) error                     { return nil }
func (s *script) Get(context.Context, Key) (Doc, error) { return s.doc, s.read }
func (s *script) Query(context.Context, Query) iter.Seq2[Doc, error] {
	return func(yield func(Doc, error) bool) { yield(s.doc, s.read) }
}

var (
	appA        = Doc{Key: Key{"apps", "a"}}
	conflict    = &Error{Code: Conflict}
	unavailable = &Error{Code: Unavailable}
	internal    = &Error{Code: Internal}
)

func times(n int, err error) []error { return slices.Repeat([]error{err}, n) }

func TestRetries(t *testing.T) {
	for _, c := range []struct {
		name string
		errs []error
		runs int
		code Code
	}{
		{"at once", nil, 1, 0},
		{"after conflicts", times(9, conflict), 10, 0},
		{"after outages", times(9, unavailable), 10, 0},
		{"given up", times(20, conflict), 10, Conflict},
		{"not of use", []error{internal}, 1, Internal},
		{"until not of use", []error{conflict, unavailable, internal}, 3, Internal},
		{"without a code", []error{errors.New("plain")}, 1, Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &script{errs: c.errs}
				err := New(d).Put(t.Context(), appA)
				if CodeOf(err) != c.code || d.runs != c.runs {
					t.Errorf("got %v after %d runs; want %q after %d", err, d.runs, c.code, c.runs)
				}
				var e *Error
				if err != nil && !errors.As(err, &e) {
					t.Errorf("got a %T", err)
				}
			})
		})
	}
}

// All retries together end in a few seconds.
func TestBackoffIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_ = New(&script{errs: times(20, conflict)}).Put(t.Context(), appA)
		if took := time.Since(start); took > 5*time.Second || took == 0 {
			t.Errorf("took %s", took)
		}
	})
}

func TestBackoffEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		d := &script{errs: times(20, conflict)}
		err := New(d).Put(ctx, appA)
		if !IsUnavailable(err) && !IsConflict(err) || d.runs >= 10 || time.Since(start) > time.Millisecond {
			t.Errorf("got %v after %d runs and %s", err, d.runs, time.Since(start))
		}
	})
}

// A read that failed is retried even if the function returns an error of its own
// because of it.
func TestFailedReadIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, readErr := range []error{conflict, unavailable} {
			d := &script{read: readErr}
			runs := 0
			err := New(d).Update(t.Context(), func(tx Tx) error {
				if runs++; runs == 3 {
					d.read = nil
				}
				if _, err := tx.Get(appA.Key); err != nil {
					return fmt.Errorf("own words: %w", err)
				}
				return nil
			})
			if err != nil || runs != 3 {
				t.Errorf("got %v after %d runs", err, runs)
			}
		}
	})
}

func TestObserver(t *testing.T) {
	var reads, writes, trips atomic.Int64
	s := New(&script{}, WithObserver(func(st Stats) {
		reads.Add(st.Reads)
		writes.Add(st.Writes)
		trips.Add(st.RoundTrips)
	}))
	err := s.Update(t.Context(), func(tx Tx) error {
		if _, err := tx.Get(appA.Key); err != nil {
			return err
		}
		return errors.Join(tx.Put(appA), tx.Delete(Key{"apps", "b"}))
	})
	if err != nil {
		t.Fatal(err)
	}
	got := Stats{reads.Load(), writes.Load(), trips.Load()}
	if want := (Stats{Reads: 1, Writes: 2, RoundTrips: 2}); got != want || s.Counts() != want {
		t.Errorf("observed %+v, counted %+v; want %+v", got, s.Counts(), want)
	}
}

func TestCodeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Code
	}{
		{nil, 0},
		{errors.New("x"), Internal},
		{context.Canceled, Unavailable},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), Unavailable},
		{&Error{Code: NotFound}, NotFound},
		{fmt.Errorf("x: %w", &Error{Code: Conflict}), Conflict},
		{fmt.Errorf("x: %w", &Error{Code: Invalid, Err: &Error{Code: Conflict}}), Invalid},
		{errors.Join(errors.New("x"), &Error{Code: AlreadyExists}), AlreadyExists},
	} {
		if got := CodeOf(c.err); got != c.want {
			t.Errorf("%v has code %q, want %q", c.err, got, c.want)
		}
	}
	for code, is := range map[Code]func(error) bool{
		NotFound: IsNotFound, AlreadyExists: IsAlreadyExists, Invalid: IsInvalid, Conflict: IsConflict, Unavailable: IsUnavailable,
	} {
		for other := NotFound; other <= Internal; other++ {
			if got := is(&Error{Code: other}); got != (code == other) {
				t.Errorf("is %s of code %s: %t", code, other, got)
			}
		}
	}
}

func TestErrorText(t *testing.T) {
	err := &Error{Code: Unavailable, Key: Key{"apps", "a/b"}, Op: "get", Err: errors.New("cause")}
	if got, want := err.Error(), "store: get apps/a/b: unavailable: cause"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Code(99).String(); got != "code 99" {
		t.Errorf("got %q", got)
	}
}

// Firestore's own example of a document's size, in our layout.
// Source: https://cloud.google.com/firestore/docs/storage-size
func TestSize(t *testing.T) {
	d := Doc{Key: Key{"tokens", "abc"}, Data: []byte("12345"), Fields: map[string]string{"app": "xy"}, ExpireAt: time.Unix(1, 0)}
	name := len("tokens") + 1 + 2*len("abc") + 1 + 16
	fields := len("data") + 1 + 5 + len("updatedAt") + 1 + 8 + len("expireAt") + 1 + 8 + len("f") + 1 + len("app") + 1 + len("xy") + 1
	if got, want := Size(d), name+fields+32; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestCollections(t *testing.T) {
	lowerCamel := regexp.MustCompile(`^[a-z]+([A-Z][a-z]+)*$`)
	names := map[string]bool{}
	for _, c := range Collections {
		if !lowerCamel.MatchString(c.Name) || names[c.Name] {
			t.Errorf("%q is not lowerCamel or is there twice", c.Name)
		}
		names[c.Name] = true
		if !strings.Contains(c.Doc, "id: ") && !strings.Contains(c.Doc, "see package") {
			t.Errorf("%s does not say what its ids are", c.Name)
		}
		fields := map[string]bool{}
		for _, f := range c.Fields {
			if !lowerCamel.MatchString(f) || fields[f] {
				t.Errorf("%s: field %q is not lowerCamel or is there twice", c.Name, f)
			}
			fields[f] = true
		}
		if got, ok := CollectionNamed(c.Name); !ok || got.Name != c.Name || got.TTL != c.TTL {
			t.Errorf("%s is not found by its name", c.Name)
		}
	}
	if _, ok := CollectionNamed("nosuch"); ok {
		t.Error("a collection that is not there is found")
	}
	want := []string{"operations", "tokens", "authcodes", "cacheEntries", "counters", "debugSessions", "debugTransactions", "analytics"}
	got := TTLCollections()
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s does not expire", name)
		}
	}
}

func TestFits(t *testing.T) {
	writes := slices.Repeat([]Write{{Op: OpPut, Doc: appA}}, 1000)
	if n := fits(writes); n != maxWrites {
		t.Errorf("%d small writes fit, want %d", n, maxWrites)
	}
	big := Write{Op: OpPut, Doc: Doc{Key: appA.Key, Data: make([]byte, 1_000_000)}}
	if n := fits(slices.Repeat([]Write{big}, 10)); n != 4 {
		t.Errorf("%d large writes fit, want 4", n)
	}
	if n := fits([]Write{big}); n != 1 {
		t.Errorf("%d", n)
	}
}
