package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/perigee-gateway/perigee/shared/store"
)

// The layout: a bucket of documents for each collection, id -> record; a bucket
// for each field of a collection, value and id -> nothing; one bucket of all
// documents that expire, time, collection and id -> nothing.
var (
	metaBucket   = []byte("meta")
	expiryBucket = []byte("expiry")
)

var errReadAfterWrite = errors.New("read after a write in a transaction")

func docsBucket(collection string) []byte { return []byte("docs/" + collection) }

func indexBucket(collection, field string) []byte {
	return []byte("index/" + collection + "/" + field)
}

// indexPrefix starts the index keys of all documents with value. The length in
// front keeps one value from being a prefix of another.
func indexPrefix(value string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(value))), value...)
}

func indexKey(value, id string) []byte { return append(indexPrefix(value), id...) }

// expiryKey sorts by time.
func expiryKey(at time.Time, key store.Key) []byte {
	k := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMicro())^1<<63)
	k = append(k, key.Collection...)
	k = append(k, 0)
	return append(k, key.ID...)
}

// splitExpiryKey is the reverse of expiryKey.
func splitExpiryKey(k []byte) (time.Time, store.Key, bool) {
	if len(k) < 8 {
		return time.Time{}, store.Key{}, false
	}
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(k) ^ 1<<63))
	collection, id, ok := bytes.Cut(k[8:], []byte{0})
	return at, store.Key{Collection: string(collection), ID: string(id)}, ok
}

// lookup is the record of key; nil if there is none.
func lookup(t *bolt.Tx, key store.Key) []byte {
	b := t.Bucket(docsBucket(key.Collection))
	if b == nil {
		return nil
	}
	return b.Get([]byte(key.ID))
}

func exists(t *bolt.Tx, key store.Key) bool { return lookup(t, key) != nil }

// read returns a copy of the document.
func read(t *bolt.Tx, key store.Key) (store.Doc, error) {
	record := lookup(t, key)
	if record == nil {
		return store.Doc{}, &store.Error{Code: store.NotFound, Key: key, Op: "get"}
	}
	doc, err := decode(key, record, true)
	if err != nil {
		return store.Doc{}, &store.Error{Code: store.Internal, Key: key, Op: "get", Err: err}
	}
	return doc, nil
}

// previous is the document's index entries as they are; zero without one.
func previous(t *bolt.Tx, key store.Key) (store.Doc, error) {
	record := lookup(t, key)
	if record == nil {
		return store.Doc{}, nil
	}
	return decode(key, record, false)
}

// write stores the document in place of any other.
func write(t *bolt.Tx, d store.Doc) error {
	old, err := previous(t, d.Key)
	if err != nil {
		return err
	}
	if err := unindex(t, old, d); err != nil {
		return err
	}
	if err := put(t, docsBucket(d.Key.Collection), []byte(d.Key.ID), encode(d)); err != nil {
		return err
	}
	return eachIndex(d, old, func(bucket, key []byte) error { return put(t, bucket, key, nil) })
}

// remove deletes the document and its index entries, if there is one.
func remove(t *bolt.Tx, key store.Key) error {
	old, err := previous(t, key)
	if err != nil || !old.Found() {
		return err
	}
	if err := unindex(t, old, store.Doc{}); err != nil {
		return err
	}
	return t.Bucket(docsBucket(key.Collection)).Delete([]byte(key.ID))
}

// unindex deletes the index entries of old that next does not have too.
func unindex(t *bolt.Tx, old, next store.Doc) error {
	return eachIndex(old, next, func(bucket, key []byte) error {
		b := t.Bucket(bucket)
		if b == nil {
			return nil
		}
		return b.Delete(key)
	})
}

func put(t *bolt.Tx, bucket, key, value []byte) error {
	b := t.Bucket(bucket)
	if b == nil {
		var err error
		if b, err = t.CreateBucket(bucket); err != nil {
			return err
		}
	}
	return b.Put(key, value)
}

// eachIndex gives fn the index entries of d that other, a document of the same
// key, does not have.
func eachIndex(d, other store.Doc, fn func(bucket, key []byte) error) error {
	for field, value := range d.Fields {
		if v, ok := other.Fields[field]; ok && v == value {
			continue
		}
		if err := fn(indexBucket(d.Key.Collection, field), indexKey(value, d.Key.ID)); err != nil {
			return err
		}
	}
	if d.ExpireAt.IsZero() || d.ExpireAt.Equal(other.ExpireAt) {
		return nil
	}
	return fn(expiryBucket, expiryKey(d.ExpireAt, d.Key))
}

// removeExpired removes up to limit documents that have expired at now.
func removeExpired(t *bolt.Tx, now time.Time, limit int) error {
	b := t.Bucket(expiryBucket)
	if b == nil {
		return nil
	}
	var expired []store.Key // collected first: removing moves cursors
	c := b.Cursor()
	for k, _ := c.First(); k != nil && len(expired) < limit; k, _ = c.Next() {
		at, key, ok := splitExpiryKey(k)
		if !ok {
			return errors.New("malformed expiry key")
		}
		if now.Before(at) {
			break
		}
		expired = append(expired, key)
	}
	for _, key := range expired {
		if err := remove(t, key); err != nil {
			return err
		}
	}
	return nil
}
