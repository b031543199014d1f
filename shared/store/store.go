// Package store holds perigee's configuration and run-time state: documents in
// named collections, found by id or by equality on a few declared fields.
//
// Users hold a *Store. Engines implement the smaller Driver: firestore in
// production, embedded (a file, or memory) on a laptop. What both must agree on
// is done once, in Store: expiry is checked on every read, keys, fields and
// sizes are validated, errors get one of a closed set of codes, and
// transactions are retried. The suite in storetest is the specification of a
// Driver.
//
// The rules are Firestore's, whatever the engine: a document is at most 1 MiB,
// a transaction reads before it writes, and the function of a transaction may
// run more than once.
//
// The package knows nothing of what is in a document; entities are encoded by
// their owners. The collections are listed in Collections.
package store

import (
	"context"
	"iter"
	"time"
)

// Key names a document.
type Key struct {
	// Collection is the Name of an entry of Collections.
	Collection string
	// ID is any non-empty UTF-8 of at most MaxIDBytes bytes. A slash is an
	// ordinary character: engines escape what they cannot hold.
	ID string
}

// String is the collection and the id, for messages.
func (k Key) String() string { return k.Collection + "/" + k.ID }

// Doc is a document.
type Doc struct {
	Key Key
	// Fields are the values a Query can ask for: only names declared in the
	// collection's Fields, each value at most MaxFieldBytes bytes.
	Fields map[string]string
	// Data is the payload, opaque to the store: the JSON of an entity, or the
	// bytes of an archive chunk. The document as a whole is at most MaxDocBytes.
	Data []byte
	// ExpireAt is when the document ceases to exist; zero is never. From that
	// very instant on no read returns it. Only TTL collections may set it. It is
	// kept in microseconds, UTC.
	ExpireAt time.Time
	// UpdatedAt is the time of the last write, in microseconds, UTC. The store
	// sets it; a value given by the caller is ignored.
	UpdatedAt time.Time
}

// Found reports whether the document exists: GetAll returns a zero Doc for each
// key without one.
func (d Doc) Found() bool { return d.Key.ID != "" }

// ExpiredAt reports whether the document has expired at now: it has at ExpireAt
// itself.
func (d Doc) ExpiredAt(now time.Time) bool {
	return !d.ExpireAt.IsZero() && !now.Before(d.ExpireAt)
}

// Query selects documents of one collection, in ascending order of their ids'
// bytes.
type Query struct {
	Collection string
	// Where asks for equality: every named field has exactly that value. The
	// names must be declared in the collection's Fields.
	Where map[string]string
	// Prefix is what ids must start with; empty is any.
	Prefix string
	// After is the page token: only ids greater than it. It is the id of the last
	// document of the page before, which need not exist any more.
	After string
	// Limit is the most documents returned; zero is no limit.
	Limit int
	// NoData leaves Data out of the documents, where the ids and fields will do.
	NoData bool
}

// Tx is a transaction. All reads come before all writes: a read after a write
// is refused with code Invalid and fails the whole transaction, even if the
// function ignores the error.
//
// Writes are only collected until the function returns, so reads never see
// them, and a conflict such as Create of an existing document is the result of
// Update, not of Create. Several writes of one key in one transaction, and more
// than MaxCommitBytes of them together, are refused with code Invalid.
type Tx interface {
	// Get returns the document, or an error of code NotFound.
	Get(Key) (Doc, error)
	// Query returns the documents q selects.
	Query(q Query) ([]Doc, error)
	// Put writes the document whether it exists or not.
	Put(Doc) error
	// Create writes the document; if it exists, Update fails with code
	// AlreadyExists.
	Create(Doc) error
	// Delete removes the document; one that does not exist is no error.
	Delete(Key) error
}

// Driver is one engine. Its callers are Store and storetest only; arguments are
// valid when they come from Store. A Driver knows nothing of expiry: it returns
// expired documents as long as it holds them, and may drop them at any time
// once they have expired. Its errors are *Error, except that an error returned
// by the function given to Update comes back as it is.
//
// A Driver may also implement ClockUser and BatchWriter.
type Driver interface {
	// Get returns the document, or an error of code NotFound.
	Get(ctx context.Context, key Key) (Doc, error)
	// GetAll returns one Doc for each key, in the order of keys and in one round
	// trip. A missing document is a zero Doc.
	GetAll(ctx context.Context, keys []Key) ([]Doc, error)
	// Query yields the documents q selects. After an error it yields nothing.
	// The loop body may call the Driver.
	Query(ctx context.Context, q Query) iter.Seq2[Doc, error]
	// Update runs fn in a serialisable transaction and commits what it wrote if
	// it returned nil. It may run fn again. fn must use only its Tx.
	Update(ctx context.Context, fn func(Tx) error) error
	// Close releases what the Driver holds. Calls after it fail with code
	// Unavailable.
	Close() error
}

// ClockUser is a Driver that drops expired documents by itself and so must
// follow the Store's clock.
type ClockUser interface {
	UseClock(now func() time.Time)
}

// BatchWriter is a Driver that commits writes which depend on no read in fewer
// round trips than a transaction takes.
type BatchWriter interface {
	// Write commits all writes or none.
	Write(ctx context.Context, writes []Write) error
}

// Write is one write of a transaction or batch.
type Write struct {
	Op WriteOp
	// Doc is what is written; Delete looks at its Key only.
	Doc Doc
}

// WriteOp is the kind of a Write.
type WriteOp int

// The kinds of writes.
const (
	OpPut WriteOp = iota + 1
	OpCreate
	OpDelete
)

// Stats counts what was asked of the engine.
type Stats struct {
	// Reads are documents read, missing ones included; a query that finds
	// nothing is one, as Firestore bills it.
	Reads int64
	// Writes are documents written or deleted in committed transactions.
	Writes int64
	// RoundTrips are exchanges with the engine, one after the other unless the
	// caller overlaps them: one for each Get, GetAll, page of a Query, and
	// commit. Firestore takes one more to begin a transaction about more than one
	// document.
	RoundTrips int64
}
