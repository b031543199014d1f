// Package firestore is the store.Driver on Google Cloud Firestore in Native
// mode.
//
// Each collection is a top-level collection. A document has the fields
//
//	f          map of the indexed fields; a query for f.name uses the index
//	           Firestore makes of every field by itself, and one for several
//	           merges them: no composite index is needed
//	data       the payload
//	expireAt   timestamp of the TTL policy, in TTL collections only
//	updatedAt  timestamp of the last write
//	id         only where the document's id had to be cut; see id.go
//
// FIRESTORE_EMULATOR_HOST names an emulator to use instead, as in all of
// Google's clients.
package firestore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perigee-gateway/perigee/shared/store"
)

// Names of the fields that infrastructure refers to. Only IndexedField is ever
// asked for. Exempt the others from indexing: entries for data cost with every
// write, and those for times, which only grow, are written to one place.
const (
	// ExpireAtField is what TTL policies look at; they need no index of it.
	ExpireAtField  = "expireAt"
	DataField      = "data"
	UpdatedAtField = "updatedAt"
	// IndexedField is the map of indexed fields.
	IndexedField = "f"
	idField      = "id"
)

// UnindexedFields are the fields of every collection that infrastructure exempts
// from indexing, but for ExpireAtField, which the TTL policy's field override
// exempts.
func UnindexedFields() []string { return []string{DataField, idField, UpdatedAtField} }

// defaultTimeout bounds a call whose context has no deadline.
const defaultTimeout = 30 * time.Second

// pageDocs is how many documents one request of a query reads.
const pageDocs = 250

// document is a store.Doc in Firestore.
type document struct {
	ID        string            `firestore:"id,omitempty"`
	Fields    map[string]string `firestore:"f,omitempty"`
	Data      []byte            `firestore:"data,omitempty"`
	ExpireAt  time.Time         `firestore:"expireAt,omitempty"`
	UpdatedAt time.Time         `firestore:"updatedAt"`
}

// Driver is a store.Driver on one Firestore database. The connection is made on
// first use.
type Driver struct {
	project, database string
	options           []option.ClientOption
	queues            *queues
	expect            *expectations

	mu     sync.Mutex
	client *firestore.Client
	closed bool
}

// New returns a Driver on a database of a project; an empty database is
// "(default)". It opens nothing.
func New(project, database string, options ...option.ClientOption) *Driver {
	if database == "" {
		database = firestore.DefaultDatabaseID
	}
	return &Driver{project: project, database: database, options: options, queues: newQueues(), expect: newExpectations()}
}

var errClosed = errors.New("store is closed")

// connect returns the client, making it on the first call; a failure is tried
// again on the next.
func (d *Driver) connect(op string) (*firestore.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, &store.Error{Code: store.Unavailable, Op: op, Err: errClosed}
	}
	if d.client == nil {
		// Not the caller's context: the client outlives the call.
		c, err := firestore.NewClientWithDatabase(context.Background(), d.project, d.database, d.options...)
		if err != nil {
			return nil, &store.Error{Code: store.Unavailable, Op: op, Err: err}
		}
		d.client = c
	}
	return d.client, nil
}

// Close implements store.Driver.
func (d *Driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.client
	d.client, d.closed = nil, true
	if c == nil {
		return nil
	}
	return coded("close", store.Key{}, c.Close())
}

// bounded gives ctx a deadline if it has none.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, defaultTimeout)
}

// coded gives an error of Firestore its code.
func coded(op string, key store.Key, err error) error {
	var e *store.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &store.Error{Code: codeOf(err), Key: key, Op: op, Err: err}
}

func codeOf(err error) store.Code {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return store.Unavailable
	}
	switch status.Code(err) {
	case codes.AlreadyExists:
		return store.AlreadyExists
	case codes.InvalidArgument, codes.OutOfRange:
		return store.Invalid
	case codes.Aborted:
		return store.Conflict
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted:
		return store.Unavailable
	default:
		// NotFound too: documents are looked up so that a missing one is no error,
		// which leaves a missing database.
		return store.Internal
	}
}

func ref(c *firestore.Client, key store.Key) *firestore.DocumentRef {
	id, _ := escapeID(key.ID)
	return c.Collection(key.Collection).Doc(id)
}

func toDocument(d store.Doc) document {
	doc := document{Fields: d.Fields, Data: d.Data, ExpireAt: d.ExpireAt, UpdatedAt: d.UpdatedAt}
	if _, whole := escapeID(d.Key.ID); !whole {
		doc.ID = d.Key.ID
	}
	return doc
}

func fromSnapshot(collection string, snap *firestore.DocumentSnapshot) (store.Doc, error) {
	var doc document
	if err := snap.DataTo(&doc); err != nil {
		return store.Doc{}, fmt.Errorf("read %s: %w", snap.Ref.Path, err)
	}
	id := doc.ID
	if id == "" {
		var err error
		if id, err = unescapeID(snap.Ref.ID); err != nil {
			return store.Doc{}, fmt.Errorf("read %s: %w", snap.Ref.Path, err)
		}
	}
	d := store.Doc{
		Key:       store.Key{Collection: collection, ID: id},
		Fields:    doc.Fields,
		Data:      doc.Data,
		UpdatedAt: doc.UpdatedAt.UTC(),
	}
	if !doc.ExpireAt.IsZero() {
		d.ExpireAt = doc.ExpireAt.UTC()
	}
	return d, nil
}

// fromSnapshots returns one document for each key, zero where there is none.
func fromSnapshots(keys []store.Key, snaps []*firestore.DocumentSnapshot) ([]store.Doc, error) {
	docs := make([]store.Doc, len(keys))
	for i, snap := range snaps {
		if !snap.Exists() {
			continue
		}
		doc, err := fromSnapshot(keys[i].Collection, snap)
		if err != nil {
			return nil, err
		}
		docs[i] = doc
	}
	return docs, nil
}

func refs(c *firestore.Client, keys []store.Key) []*firestore.DocumentRef {
	refs := make([]*firestore.DocumentRef, len(keys))
	for i, key := range keys {
		refs[i] = ref(c, key)
	}
	return refs
}

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key store.Key) (store.Doc, error) {
	docs, err := d.getAll(ctx, "get", key, []store.Key{key})
	if err != nil {
		return store.Doc{}, err
	}
	return found("get", key, docs[0])
}

func found(op string, key store.Key, doc store.Doc) (store.Doc, error) {
	if !doc.Found() {
		return store.Doc{}, &store.Error{Code: store.NotFound, Key: key, Op: op}
	}
	return doc, nil
}

// GetAll implements store.Driver.
func (d *Driver) GetAll(ctx context.Context, keys []store.Key) ([]store.Doc, error) {
	return d.getAll(ctx, "get all", store.Key{}, keys)
}

func (d *Driver) getAll(ctx context.Context, op string, key store.Key, keys []store.Key) ([]store.Doc, error) {
	c, err := d.connect(op)
	if err != nil {
		return nil, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	snaps, err := c.GetAll(ctx, refs(c, keys))
	if err != nil {
		return nil, coded(op, key, err)
	}
	docs, err := fromSnapshots(keys, snaps)
	return docs, coded(op, key, err)
}

// Query implements store.Driver. It reads page by page, each to its end before
// the loop body runs, so that a slow body holds no stream open.
func (d *Driver) Query(ctx context.Context, q store.Query) iter.Seq2[store.Doc, error] {
	return func(yield func(store.Doc, error) bool) {
		for left := q.Limit; ; {
			page := q
			page.Limit = pageDocs
			if q.Limit > 0 {
				page.Limit = min(pageDocs, left)
			}
			docs, err := d.page(ctx, page)
			if err != nil {
				yield(store.Doc{}, err)
				return
			}
			for _, doc := range docs {
				q.After = doc.Key.ID
				if !yield(doc, nil) {
					return
				}
			}
			left -= len(docs)
			if len(docs) < page.Limit || q.Limit > 0 && left == 0 {
				return
			}
		}
	}
}

func (d *Driver) page(ctx context.Context, q store.Query) ([]store.Doc, error) {
	key := store.Key{Collection: q.Collection}
	c, err := d.connect("query")
	if err != nil {
		return nil, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	docs, err := collect(q, build(c, q).Documents(ctx))
	return docs, coded("query", key, err)
}

// build turns q into Firestore's query. Equalities and the order of names need
// only the indexes that exist by themselves.
func build(c *firestore.Client, q store.Query) firestore.Query {
	fq := c.Collection(q.Collection).OrderBy(firestore.DocumentID, firestore.Asc)
	for name, value := range q.Where {
		fq = fq.WherePath(firestore.FieldPath{IndexedField, name}, "==", value)
	}
	prefix := cut(escape(q.Prefix), maxKept)
	if q.After != "" && q.After >= q.Prefix {
		after, _ := escapeID(q.After)
		fq = fq.StartAfter(after)
	} else if prefix != "" {
		fq = fq.StartAt(prefix)
	}
	if end := successor(prefix); end != "" {
		fq = fq.EndBefore(end)
	}
	if q.NoData {
		fq = fq.Select(IndexedField, ExpireAtField, UpdatedAtField, idField)
	}
	if q.Limit > 0 && exact(q) {
		fq = fq.Limit(q.Limit)
	}
	return fq
}

// exact is whether Firestore's query selects by the whole prefix; one longer than
// the ids Firestore can hold is compared here.
func exact(q store.Query) bool { return len(escape(q.Prefix)) <= maxKept }

// collect reads a query to its end or limit.
func collect(q store.Query, it *firestore.DocumentIterator) ([]store.Doc, error) {
	defer it.Stop()
	var docs []store.Doc
	for q.Limit == 0 || len(docs) < q.Limit {
		snap, err := it.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			return nil, err
		}
		doc, err := fromSnapshot(q.Collection, snap)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(doc.Key.ID, q.Prefix) {
			docs = append(docs, doc)
		}
	}
	return slices.Clip(docs), nil
}
