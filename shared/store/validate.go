package store

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Firestore's limits, held by every engine.
// Source: https://cloud.google.com/firestore/quotas
const (
	// MaxIDBytes bounds a document's id.
	MaxIDBytes = 1500
	// MaxFieldBytes bounds the value of an indexed field. Firestore indexes 1500
	// bytes, counts one more than a string has, cuts the index entry of a longer
	// one and refuses it in a query.
	MaxFieldBytes = 1499
	// MaxDocBytes bounds a document, as Size counts it.
	MaxDocBytes = 1 << 20
	// MaxDataBytes bounds Data by itself.
	MaxDataBytes = MaxDocBytes - 89
	// MaxCommitBytes bounds the documents written by one transaction, by Size.
	// Firestore takes requests of 10 MiB, but its emulator 4 MiB, and what works
	// in tests must be what works. The rest is for the request's framing.
	MaxCommitBytes = 4<<20 - 128<<10
	// maxWrites bounds the writes of one commit of Batch and DeleteAll.
	maxWrites = 400
)

// Size is the document's size in bytes as Firestore counts it, in the layout the
// Firestore engine gives it, with the id as long as escaping can make it.
// Source: https://cloud.google.com/firestore/docs/storage-size
func Size(d Doc) int {
	id := len(d.Key.ID)
	// The name has the collection, the id and 16; 32 is for the document; every
	// field counts its name and value.
	n := len(d.Key.Collection) + 1 + min(2*id, MaxIDBytes) + 1 + 16 + 32
	if 2*id > MaxIDBytes { // may have to be cut, then it is a field as well
		n += len("id") + 1 + id + 1
	}
	n += len("data") + 1 + len(d.Data)
	n += len("updatedAt") + 1 + 8
	if !d.ExpireAt.IsZero() {
		n += len("expireAt") + 1 + 8
	}
	if len(d.Fields) > 0 {
		n += len("f") + 1
	}
	for name, value := range d.Fields {
		n += len(name) + 1 + len(value) + 1
	}
	return n
}

// truncate gives t the precision every engine keeps.
func truncate(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// The years Firestore's timestamps can hold.
var (
	minTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
)

func checkKey(k Key) error {
	if _, ok := byName[k.Collection]; !ok {
		return fmt.Errorf("no collection %q", k.Collection)
	}
	switch {
	case k.ID == "":
		return errors.New("empty id")
	case len(k.ID) > MaxIDBytes:
		return fmt.Errorf("id of %d bytes, at most %d are allowed", len(k.ID), MaxIDBytes)
	case !utf8.ValidString(k.ID):
		return errors.New("id is not UTF-8")
	}
	return nil
}

func checkFields(collection string, fields map[string]string) error {
	c := byName[collection]
	for name, value := range fields {
		switch {
		case !slices.Contains(c.Fields, name):
			return fmt.Errorf("collection %s has no field %q", collection, name)
		case len(value) > MaxFieldBytes:
			return fmt.Errorf("field %s of %d bytes, at most %d are allowed", name, len(value), MaxFieldBytes)
		case !utf8.ValidString(value):
			return fmt.Errorf("field %s is not UTF-8", name)
		}
	}
	return nil
}

func checkDoc(d Doc) error {
	if err := checkKey(d.Key); err != nil {
		return err
	}
	if err := checkFields(d.Key.Collection, d.Fields); err != nil {
		return err
	}
	if !d.ExpireAt.IsZero() {
		if !byName[d.Key.Collection].TTL {
			return fmt.Errorf("collection %s does not expire", d.Key.Collection)
		}
		if d.ExpireAt.Before(minTime) || d.ExpireAt.After(maxTime) {
			return fmt.Errorf("expiry in the year %d", d.ExpireAt.Year())
		}
	}
	if n := len(d.Data); n > MaxDataBytes {
		return fmt.Errorf("data of %d bytes, at most %d are allowed", n, MaxDataBytes)
	}
	if n := Size(d); n > MaxDocBytes {
		return fmt.Errorf("document of %d bytes, at most %d are allowed", n, MaxDocBytes)
	}
	return nil
}

func checkQuery(q Query) error {
	if _, ok := byName[q.Collection]; !ok {
		return fmt.Errorf("no collection %q", q.Collection)
	}
	if err := checkFields(q.Collection, q.Where); err != nil {
		return err
	}
	switch {
	case q.Limit < 0:
		return fmt.Errorf("limit %d", q.Limit)
	case len(q.Prefix) > MaxIDBytes || len(q.After) > MaxIDBytes:
		return fmt.Errorf("prefix or page token longer than an id, %d bytes", MaxIDBytes)
	case !utf8.ValidString(q.Prefix) || !utf8.ValidString(q.After):
		return errors.New("prefix or page token is not UTF-8")
	}
	return nil
}
