// Package embedded is the store.Driver of a laptop: one bbolt file, or the same
// in memory. Every acknowledged write of a file has been synced to disk.
//
// It holds Firestore's rules so that what works here works there: a transaction
// reads before it writes, its function may run again, and a query is bound to
// equality on fields, in order of ids.
//
// Transactions run one after the other; those that wait for each other share a
// commit, so a busy store syncs once for many of them.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/perigee-gateway/perigee/shared/store"
)

// FileName is the name of the database in the directory given to Open.
const FileName = "perigee.db"

// lockTimeout is how long Open waits for another process to let go of the file.
const lockTimeout = 2 * time.Second

// Driver is a store.Driver on bbolt.
type Driver struct {
	db  *bolt.DB
	now atomic.Pointer[func() time.Time]

	// waiting counts the transactions that want to join the open commit.
	waiting atomic.Int32
	mu      sync.Mutex
	// open is the commit that transactions now join; nil if there is none.
	open *commit
	// swept is whether this process has removed expired documents yet.
	swept bool
}

// Open opens the store in the directory dir, creating both as needed. Only one
// process can have it open; another gets code Unavailable.
func Open(dir string) (*Driver, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &store.Error{Code: store.Invalid, Op: "open", Err: err}
	}
	path := filepath.Join(dir, FileName)
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, &store.Error{Code: store.Unavailable, Op: "open", Err: fmt.Errorf("%s is in use by another process", path)}
	}
	if err != nil {
		return nil, &store.Error{Code: store.Internal, Op: "open", Err: fmt.Errorf("%s: %w", path, err)}
	}
	return started(db)
}

// Memory opens an empty store that is gone when it is closed.
func Memory() (*Driver, error) {
	db, err := bolt.Open("memory", 0o600, &bolt.Options{
		OpenFile:       memoryFile,
		FreelistType:   bolt.FreelistMapType,
		NoStatistics:   true,
		NoSync:         true,
		NoGrowSync:     true,
		NoFreelistSync: true,
	})
	if err != nil {
		return nil, &store.Error{Code: store.Internal, Op: "open", Err: err}
	}
	return started(db)
}

// formatVersion is the layout of the buckets; see buckets.go.
const formatVersion = "1"

var formatKey = []byte("format")

// started checks that db has our layout, or is empty and gets it. A file that has
// it is not written to: that would sync it twice on every start.
func started(db *bolt.DB) (*Driver, error) {
	known := false
	err := db.View(func(t *bolt.Tx) (err error) {
		b := t.Bucket(metaBucket)
		if b == nil {
			return nil
		}
		known, err = knownFormat(b)
		return err
	})
	if err == nil && !known {
		err = db.Update(func(t *bolt.Tx) error {
			b, err := t.CreateBucketIfNotExists(metaBucket)
			if err != nil {
				return err
			}
			return b.Put(formatKey, []byte(formatVersion))
		})
	}
	if err != nil {
		return nil, errors.Join(&store.Error{Code: store.Invalid, Op: "open", Err: err}, db.Close())
	}
	d := &Driver{db: db}
	d.UseClock(time.Now)
	return d, nil
}

// knownFormat reports whether the file says that it has our layout; an error if it
// has another.
func knownFormat(meta *bolt.Bucket) (bool, error) {
	switch v := meta.Get(formatKey); string(v) {
	case formatVersion:
		return true, nil
	case "":
		return false, nil
	default:
		return false, fmt.Errorf("format %s, this program knows %s", v, formatVersion)
	}
}

// UseClock sets the clock by which expired documents are removed.
func (d *Driver) UseClock(now func() time.Time) { d.now.Store(&now) }

// Close commits what is under way and closes the file.
func (d *Driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	if err := d.db.Close(); err != nil {
		return coded("close", store.Key{}, err)
	}
	return nil
}

// coded gives an error of bbolt or of a context its code.
func coded(op string, key store.Key, err error) error {
	var e *store.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return err
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &store.Error{Code: store.Unavailable, Key: key, Op: op, Err: err}
	default:
		return &store.Error{Code: store.Internal, Key: key, Op: op, Err: err}
	}
}

// view runs fn on the last commit.
func (d *Driver) view(ctx context.Context, op string, key store.Key, fn func(*bolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return coded(op, key, err)
	}
	return coded(op, key, d.db.View(fn))
}

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key store.Key) (doc store.Doc, err error) {
	err = d.view(ctx, "get", key, func(t *bolt.Tx) error {
		doc, err = read(t, key)
		return err
	})
	if err != nil {
		return store.Doc{}, err
	}
	return doc, nil
}

// GetAll implements store.Driver.
func (d *Driver) GetAll(ctx context.Context, keys []store.Key) ([]store.Doc, error) {
	docs := make([]store.Doc, len(keys))
	err := d.view(ctx, "get all", store.Key{}, func(t *bolt.Tx) error {
		for i, key := range keys {
			doc, err := read(t, key)
			if err != nil && !store.IsNotFound(err) {
				return err
			}
			docs[i] = doc
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return docs, nil
}

// A page of a query is what one read transaction copies. The loop body runs
// between pages, never inside one: a write of its own would wait for ever for a
// read transaction to end.
const (
	pageDocs  = 256
	pageBytes = 4 << 20
)

// Query implements store.Driver.
func (d *Driver) Query(ctx context.Context, q store.Query) iter.Seq2[store.Doc, error] {
	return func(yield func(store.Doc, error) bool) {
		for left := q.Limit; ; {
			var page []store.Doc
			var more bool
			err := d.view(ctx, "query", store.Key{Collection: q.Collection}, func(t *bolt.Tx) (err error) {
				page, more, err = scan(t, q, pageDocs, pageBytes)
				return err
			})
			if err != nil {
				yield(store.Doc{}, err)
				return
			}
			for _, doc := range page {
				q.After = doc.Key.ID
				if !yield(doc, nil) {
					return
				}
			}
			left -= len(page)
			if !more || q.Limit > 0 && left == 0 {
				return
			}
			if q.Limit > 0 {
				q.Limit = left
			}
		}
	}
}
