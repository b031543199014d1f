package cache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

const (
	collection = "cacheEntries"
	// maxPlain bounds the part of a key that stands in the document's id. A
	// longer key is cut there and ends in its SHA-256.
	maxPlain = 900
)

// Forms of a document's data: a byte that says which, the key as a
// length-prefixed text if the id does not hold it, the value.
const (
	plainValue  = 0
	sealedValue = 1
)

var errDocument = errors.New("not a cache entry")

// base is what the ids of a cache's entries begin with. The shared default cache
// is "-", which is no name of a cache; a name that would be too long or hold a
// slash is hashed.
func base(organization, environment, cache string) string {
	switch {
	case cache == "":
		cache = "-"
	case len(cache) > 200 || strings.Contains(cache, "/") || !utf8.ValidString(cache):
		cache = "~" + digest(cache)
	}
	return organization + "/" + environment + "/" + cache + "/"
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func (c *Caches) base(cache string) string {
	return base(c.opts.Organization, c.opts.Environment, cache)
}

// plainPart is the part of a key that can stand in an id, and whether that is
// all of it.
func plainPart(key string) (head string, whole bool) {
	if len(key) <= maxPlain && utf8.ValidString(key) {
		return key, true
	}
	n := 0
	for n < len(key) {
		r, size := utf8.DecodeRuneInString(key[n:])
		if r == utf8.RuneError && size == 1 || n+size > maxPlain {
			break
		}
		n += size
	}
	return key[:n], false
}

func (c *Caches) docKey(key policy.CacheKey) store.Key {
	head, whole := plainPart(key.Key)
	id := c.base(key.Cache) + head
	if !whole {
		id += "~" + digest(key.Key)
	}
	return store.Key{Collection: collection, ID: id}
}

func (c *Caches) encode(ctx context.Context, key policy.CacheKey, value []byte) (store.Doc, error) {
	at := c.docKey(key)
	doc := store.Doc{Key: at, Fields: map[string]string{"cache": c.base(key.Cache)}}
	kept := "" // of the key, beside the id
	if _, whole := plainPart(key.Key); !whole {
		kept = key.Key
	}
	form := byte(plainValue)
	if c.opts.Cipher != nil {
		sealed, err := c.opts.Cipher.Seal(ctx, value, []byte(at.ID))
		if err != nil {
			return store.Doc{}, fmt.Errorf("encrypt: %w", err)
		}
		form, value = sealedValue, sealed
	}
	doc.Data = make([]byte, 0, 4+len(kept)+len(value))
	doc.Data = append(doc.Data, form)
	doc.Data = binary.AppendUvarint(doc.Data, uint64(len(kept)))
	doc.Data = append(doc.Data, kept...)
	doc.Data = append(doc.Data, value...)
	return doc, nil
}

func (c *Caches) decode(ctx context.Context, doc store.Doc) ([]byte, error) {
	form, _, value, err := split(doc.Data)
	switch {
	case err != nil:
		return nil, err
	case form == plainValue:
		return value, nil
	case form == sealedValue && c.opts.Cipher != nil:
		value, err = c.opts.Cipher.Open(ctx, value, []byte(doc.Key.ID))
		if err != nil {
			return nil, fmt.Errorf("decrypt: %w", err)
		}
		return value, nil
	}
	return nil, errDocument
}

func split(data []byte) (form byte, key, value []byte, err error) {
	if len(data) == 0 {
		return 0, nil, nil, errDocument
	}
	form, rest := data[0], data[1:]
	size, n := binary.Uvarint(rest)
	if n <= 0 || size > uint64(len(rest)-n) {
		return 0, nil, nil, errDocument
	}
	rest = rest[n:]
	return form, rest[:size], rest[size:], nil
}

// keyOf is the key that a document carries beside its id.
func keyOf(doc store.Doc) string {
	_, key, _, err := split(doc.Data)
	if err != nil {
		return ""
	}
	return string(key)
}

// reason is an error without the ids that a store.Error names: keys of entries
// may hold secrets.
func reason(err error) string {
	var e *store.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	return fmt.Sprintf("%s: %s", e.Op, e.Code)
}
