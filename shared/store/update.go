package store

import (
	"context"
	"iter"
	"math/rand/v2"
	"time"
)

// Update runs fn in a transaction and commits what it wrote if it returned nil.
// An error of fn comes back as it is and nothing is written.
//
// fn may run several times, the last time deciding: after a conflict, and after
// an engine that was unavailable, even if it was the answer to the commit that
// got lost. It must use only its Tx, no Store, and keep no state between runs.
func (s *Store) Update(ctx context.Context, fn func(Tx) error) error {
	return s.update(ctx, "update", Key{}, fn)
}

func (s *Store) update(ctx context.Context, op string, key Key, fn func(Tx) error) error {
	t := &tx{store: s, op: op}
	return s.retry(ctx, func() (bool, error) {
		runErr := error(nil)
		err := s.driver.Update(ctx, func(engine Tx) error {
			t.begin(engine)
			runErr = t.run(fn)
			return runErr
		})
		s.count(Stats{Writes: t.committed(err), RoundTrips: 1})
		if err != nil && runErr != nil && !t.engineErr {
			return false, err // fn's own decision, whatever its code
		}
		if IsAlreadyExists(err) && t.mayHideExpired() {
			t.checkExpired = true
			return true, ended(ctx, op, key, err)
		}
		return retryable(err), ended(ctx, op, key, err)
	})
}

// blind commits writes that depend on no read.
func (s *Store) blind(ctx context.Context, op string, key Key, writes []Write) error {
	for i := range writes {
		if err := s.prepare(op, &writes[i]); err != nil {
			return err
		}
	}
	return s.commit(ctx, op, key, writes)
}

// commit writes prepared writes in one atomic commit.
func (s *Store) commit(ctx context.Context, op string, key Key, writes []Write) error {
	w, ok := s.driver.(BatchWriter)
	if !ok {
		return s.update(ctx, op, key, func(t Tx) error { return apply(t, writes) })
	}
	err := s.retry(ctx, func() (bool, error) {
		err := w.Write(ctx, writes)
		st := Stats{RoundTrips: 1}
		if err == nil {
			st.Writes = int64(len(writes))
		}
		s.count(st)
		return retryable(err), ended(ctx, op, key, err)
	})
	if IsAlreadyExists(err) && mayHideExpired(writes) {
		return s.update(ctx, op, key, func(t Tx) error { return apply(t, writes) })
	}
	return err
}

func apply(t Tx, writes []Write) error {
	for _, w := range writes {
		var err error
		switch w.Op {
		case OpPut:
			err = t.Put(w.Doc)
		case OpCreate:
			err = t.Create(w.Doc)
		case OpDelete:
			err = t.Delete(w.Doc.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// prepare validates a write and gives it what the store sets.
func (s *Store) prepare(op string, w *Write) error {
	var err error
	if w.Op == OpDelete {
		err = checkKey(w.Doc.Key)
	} else {
		w.Doc.ExpireAt = truncate(w.Doc.ExpireAt)
		w.Doc.UpdatedAt = truncate(s.now())
		err = checkDoc(w.Doc)
	}
	if err != nil {
		return &Error{Code: Invalid, Key: w.Doc.Key, Op: op, Err: err}
	}
	return nil
}

func retryable(err error) bool {
	c := CodeOf(err)
	return c == Conflict || c == Unavailable
}

// retry runs once until it succeeds, says that repeating is useless, the
// attempts are used up or ctx ends.
func (s *Store) retry(ctx context.Context, once func() (again bool, err error)) error {
	for attempt := 1; ; attempt++ {
		again, err := once()
		if err == nil || !again || attempt >= s.attempts || ctx.Err() != nil {
			return err
		}
		if s.pause(ctx, attempt) != nil {
			return err
		}
	}
}

// backoff waits before another attempt: a random time of up to 5 ms, doubling to
// at most 1 s. It returns ctx's error if that ends first.
func backoff(ctx context.Context, attempt int) error {
	limit := min(5*time.Millisecond<<attempt, time.Second)
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// tx is the Tx callers of Update see: validating, hiding what has expired,
// collecting the writes.
type tx struct {
	store  *Store
	op     string
	engine Tx
	writes []Write
	keys   map[Key]bool
	bytes  int
	// refused is the first operation refused as invalid; it fails the
	// transaction even if fn ignores it.
	refused error
	// engineErr is whether the engine failed a read of this run, so that fn's
	// error may be a consequence of that and the run be repeated.
	engineErr bool
	// checkExpired is whether documents to create are read first, since one that
	// has expired may be in the way. Most transactions never need that read.
	checkExpired bool
}

func (t *tx) begin(engine Tx) {
	t.engine, t.writes, t.bytes, t.refused, t.engineErr = engine, t.writes[:0], 0, nil, false
	clear(t.keys)
}

// run is one run of fn, ending with its writes handed to the engine.
func (t *tx) run(fn func(Tx) error) error {
	if err := fn(t); err != nil {
		return err
	}
	if t.refused != nil {
		return t.refused
	}
	if t.checkExpired {
		if err := t.replaceExpired(); err != nil {
			return err
		}
	}
	if err := apply(t.engine, t.writes); err != nil {
		t.engineErr = true
		return err
	}
	return nil
}

// replaceExpired turns the Create of an expired document into a Put. The read
// is part of the transaction, so no other write can come between.
func (t *tx) replaceExpired() error {
	for i := range t.writes {
		w := &t.writes[i]
		if w.Op != OpCreate || !byName[w.Doc.Key.Collection].TTL {
			continue
		}
		switch _, err := t.read(w.Doc.Key); {
		case err == nil:
			return &Error{Code: AlreadyExists, Key: w.Doc.Key, Op: t.op}
		case IsNotFound(err):
			w.Op = OpPut
		default:
			return err
		}
	}
	return nil
}

// mayHideExpired is whether an AlreadyExists may be the fault of an expired
// document not looked at yet.
func (t *tx) mayHideExpired() bool { return !t.checkExpired && mayHideExpired(t.writes) }

func mayHideExpired(writes []Write) bool {
	for i := range writes {
		if writes[i].Op == OpCreate && byName[writes[i].Doc.Key.Collection].TTL {
			return true
		}
	}
	return false
}

func (t *tx) committed(err error) int64 {
	if err != nil {
		return 0
	}
	return int64(len(t.writes))
}

func (t *tx) refuse(err error) error {
	if t.refused == nil {
		t.refused = err
	}
	return err
}

func (t *tx) checkRead(key Key) error {
	if t.refused != nil {
		return t.refused
	}
	if len(t.writes) > 0 {
		return t.refuse(invalid(t.op, key, "read after a write in a transaction"))
	}
	return nil
}

// Get implements Tx.
func (t *tx) Get(key Key) (Doc, error) {
	if err := t.checkRead(key); err != nil {
		return Doc{}, err
	}
	if err := checkKey(key); err != nil {
		return Doc{}, t.refuse(&Error{Code: Invalid, Key: key, Op: t.op, Err: err})
	}
	return t.read(key)
}

func (t *tx) read(key Key) (Doc, error) {
	d, err := t.engine.Get(key)
	t.store.count(Stats{Reads: 1, RoundTrips: 1})
	if err != nil {
		t.engineErr = t.engineErr || !IsNotFound(err)
		return Doc{}, wrap(t.op, key, err)
	}
	if d.ExpiredAt(t.store.now()) {
		return Doc{}, &Error{Code: NotFound, Key: key, Op: t.op}
	}
	return d, nil
}

// Query implements Tx.
func (t *tx) Query(q Query) ([]Doc, error) {
	key := Key{Collection: q.Collection}
	if err := t.checkRead(key); err != nil {
		return nil, err
	}
	if err := checkQuery(q); err != nil {
		return nil, t.refuse(&Error{Code: Invalid, Key: key, Op: t.op, Err: err})
	}
	var docs []Doc
	err := live(q, t.store.now, t.page, func(d Doc) bool { docs = append(docs, d); return true })
	if err != nil {
		t.engineErr = true
		return nil, wrap(t.op, key, err)
	}
	return docs, nil
}

func (t *tx) page(q Query) iter.Seq2[Doc, error] {
	return func(yield func(Doc, error) bool) {
		docs, err := t.engine.Query(q)
		t.store.count(Stats{Reads: max(int64(len(docs)), 1), RoundTrips: 1})
		if err != nil {
			yield(Doc{}, err)
			return
		}
		for _, d := range docs {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// Put implements Tx.
func (t *tx) Put(d Doc) error { return t.write(Write{OpPut, d}) }

// Create implements Tx.
func (t *tx) Create(d Doc) error { return t.write(Write{OpCreate, d}) }

// Delete implements Tx.
func (t *tx) Delete(key Key) error { return t.write(Write{OpDelete, Doc{Key: key}}) }

func (t *tx) write(w Write) error {
	if t.refused != nil {
		return t.refused
	}
	if err := t.store.prepare(t.op, &w); err != nil {
		return t.refuse(err)
	}
	if t.keys[w.Doc.Key] {
		return t.refuse(invalid(t.op, w.Doc.Key, "written twice in a transaction"))
	}
	if t.bytes += Size(w.Doc); t.bytes > MaxCommitBytes {
		return t.refuse(invalid(t.op, w.Doc.Key, "more than %d bytes written in a transaction", MaxCommitBytes))
	}
	if t.keys == nil {
		t.keys = map[Key]bool{}
	}
	t.keys[w.Doc.Key] = true
	t.writes = append(t.writes, w)
	return nil
}
