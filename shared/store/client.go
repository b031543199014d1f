package store

import (
	"context"
	"iter"
	"sync/atomic"
	"time"
)

// Store is the concrete type users hold. It is safe for concurrent use.
type Store struct {
	driver   Driver
	now      func() time.Time
	observe  func(Stats)
	reads    atomic.Int64
	writes   atomic.Int64
	trips    atomic.Int64
	pause    func(ctx context.Context, attempt int) error
	attempts int
}

// Option configures a Store.
type Option func(*Store)

// WithClock sets the clock that expiry and UpdatedAt follow; time.Now is the
// default.
func WithClock(now func() time.Time) Option { return func(s *Store) { s.now = now } }

// WithObserver has observe called after every exchange with the engine, with
// what it added to Counts. It is called from many goroutines and must be quick.
func WithObserver(observe func(Stats)) Option { return func(s *Store) { s.observe = observe } }

// New returns a Store over d. It opens nothing.
func New(d Driver, opts ...Option) *Store {
	s := &Store{driver: d, now: time.Now, pause: backoff, attempts: 10}
	for _, o := range opts {
		o(s)
	}
	if u, ok := d.(ClockUser); ok {
		u.UseClock(s.now)
	}
	return s
}

// Close closes the engine.
func (s *Store) Close() error { return wrap("close", Key{}, s.driver.Close()) }

// Now is the time by the store's clock.
func (s *Store) Now() time.Time { return s.now() }

// Counts returns what was asked of the engine since New.
func (s *Store) Counts() Stats {
	return Stats{Reads: s.reads.Load(), Writes: s.writes.Load(), RoundTrips: s.trips.Load()}
}

func (s *Store) count(st Stats) {
	if st.Reads != 0 {
		s.reads.Add(st.Reads)
	}
	if st.Writes != 0 {
		s.writes.Add(st.Writes)
	}
	if st.RoundTrips != 0 {
		s.trips.Add(st.RoundTrips)
	}
	if s.observe != nil {
		s.observe(st)
	}
}

// Get returns the document, or an error of code NotFound.
func (s *Store) Get(ctx context.Context, key Key) (Doc, error) {
	if err := checkKey(key); err != nil {
		return Doc{}, &Error{Code: Invalid, Key: key, Op: "get", Err: err}
	}
	d, err := s.driver.Get(ctx, key)
	s.count(Stats{Reads: 1, RoundTrips: 1})
	if err != nil {
		return Doc{}, ended(ctx, "get", key, err)
	}
	if d.ExpiredAt(s.now()) {
		return Doc{}, &Error{Code: NotFound, Key: key, Op: "get"}
	}
	return d, nil
}

// GetAll returns one Doc for each key, in the order of keys and in one round
// trip. Where there is no document, Found of the Doc is false.
func (s *Store) GetAll(ctx context.Context, keys []Key) ([]Doc, error) {
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, &Error{Code: Invalid, Key: key, Op: "get all", Err: err}
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	docs, err := s.driver.GetAll(ctx, keys)
	s.count(Stats{Reads: int64(len(keys)), RoundTrips: 1})
	if err != nil {
		return nil, ended(ctx, "get all", Key{Collection: keys[0].Collection}, err)
	}
	now := s.now()
	for i := range docs {
		if docs[i].ExpiredAt(now) {
			docs[i] = Doc{}
		}
	}
	return docs, nil
}

// Query yields the documents q selects, without the expired. After an error it
// yields nothing more. The loop body may use the Store.
func (s *Store) Query(ctx context.Context, q Query) iter.Seq2[Doc, error] {
	return func(yield func(Doc, error) bool) {
		if err := checkQuery(q); err != nil {
			yield(Doc{}, &Error{Code: Invalid, Key: Key{Collection: q.Collection}, Op: "query", Err: err})
			return
		}
		err := live(q, s.now, func(q Query) iter.Seq2[Doc, error] { return s.page(ctx, q) }, func(d Doc) bool { return yield(d, nil) })
		if err != nil {
			yield(Doc{}, ended(ctx, "query", Key{Collection: q.Collection}, err))
		}
	}
}

// page is one query of the engine, counted.
func (s *Store) page(ctx context.Context, q Query) iter.Seq2[Doc, error] {
	return func(yield func(Doc, error) bool) {
		n := int64(0)
		defer func() { s.count(Stats{Reads: max(n, 1), RoundTrips: 1}) }()
		for d, err := range s.driver.Query(ctx, q) {
			n++
			if !yield(d, err) {
				return
			}
		}
	}
}

// live gives emit up to q.Limit documents that have not expired. A page in which
// some had expired is short, so it goes on behind it until the engine has no
// more.
func live(q Query, now func() time.Time, page func(Query) iter.Seq2[Doc, error], emit func(Doc) bool) error {
	for limited, wanted := q.Limit > 0, q.Limit; ; q.Limit = wanted {
		seen := 0
		for d, err := range page(q) {
			if err != nil {
				return err
			}
			seen++
			q.After = d.Key.ID
			if d.ExpiredAt(now()) {
				continue
			}
			wanted--
			if !emit(d) {
				return nil
			}
		}
		if !limited || seen < q.Limit || wanted == 0 {
			return nil
		}
	}
}

// Collect is the documents of a query as a slice, or its error.
func Collect(docs iter.Seq2[Doc, error]) ([]Doc, error) {
	var all []Doc
	for d, err := range docs {
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// Create writes a document that must not exist; if it does, the error has code
// AlreadyExists. An expired document does not exist.
func (s *Store) Create(ctx context.Context, d Doc) error {
	return s.blind(ctx, "create", d.Key, []Write{{OpCreate, d}})
}

// Put writes a document whether it exists or not.
func (s *Store) Put(ctx context.Context, d Doc) error {
	return s.blind(ctx, "put", d.Key, []Write{{OpPut, d}})
}

// Delete removes a document; one that does not exist is no error.
func (s *Store) Delete(ctx context.Context, key Key) error {
	return s.blind(ctx, "delete", key, []Write{{OpDelete, Doc{Key: key}}})
}

// Batch writes puts, then removes deletes, in commits that are each atomic and
// at most 400 writes and MaxCommitBytes large. What fits into one is
// all or nothing; a larger batch that fails part way leaves its first commits
// standing. A key given twice is an error of code Invalid.
func (s *Store) Batch(ctx context.Context, puts []Doc, deletes []Key) error {
	writes := make([]Write, 0, len(puts)+len(deletes))
	seen := make(map[Key]bool, len(puts)+len(deletes))
	for _, d := range puts {
		writes = append(writes, Write{OpPut, d})
	}
	for _, k := range deletes {
		writes = append(writes, Write{OpDelete, Doc{Key: k}})
	}
	for i := range writes {
		k := writes[i].Doc.Key
		if seen[k] {
			return invalid("batch", k, "written twice")
		}
		seen[k] = true
		if err := s.prepare("batch", &writes[i]); err != nil {
			return err
		}
	}
	for len(writes) > 0 {
		n := fits(writes)
		if err := s.commit(ctx, "batch", Key{Collection: writes[0].Doc.Key.Collection}, writes[:n]); err != nil {
			return err
		}
		writes = writes[n:]
	}
	return nil
}

// fits is how many of the writes go into one commit; at least one.
func fits(writes []Write) int {
	bytes := 0
	for i := range writes {
		bytes += Size(writes[i].Doc)
		if i > 0 && (bytes > MaxCommitBytes || i == maxWrites) {
			return i
		}
	}
	return len(writes)
}

// DeleteAll removes every document q selects, expired ones too, in bounded
// commits, and returns how many it removed. It is not atomic: what is written
// meanwhile may stay, and after an error the rest stays. Repeating it is safe.
func (s *Store) DeleteAll(ctx context.Context, q Query) (int, error) {
	if err := checkQuery(q); err != nil {
		return 0, &Error{Code: Invalid, Key: Key{Collection: q.Collection}, Op: "delete all", Err: err}
	}
	removed := 0
	q.NoData = true
	for limit := q.Limit; ; {
		q.Limit = maxWrites
		if limit > 0 {
			q.Limit = min(maxWrites, limit-removed)
		}
		var writes []Write
		for d, err := range s.page(ctx, q) {
			if err != nil {
				return removed, ended(ctx, "delete all", Key{Collection: q.Collection}, err)
			}
			q.After = d.Key.ID
			writes = append(writes, Write{OpDelete, Doc{Key: d.Key}})
		}
		if len(writes) > 0 {
			if err := s.commit(ctx, "delete all", Key{Collection: q.Collection}, writes); err != nil {
				return removed, err
			}
		}
		removed += len(writes)
		if len(writes) < q.Limit || removed == limit {
			return removed, nil
		}
	}
}
