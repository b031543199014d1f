package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"github.com/perigee-gateway/perigee/shared/store"
)

// A record is a document without its key: a version byte, UpdatedAt and
// ExpireAt in microseconds (noTime is zero), the number of fields, each name and
// value with its length, and the data to the end.
const recordVersion = 1

// noTime is what a zero time.Time is stored as; no year of Firestore's reaches
// it.
const noTime = -1 << 63

var errRecord = errors.New("malformed record")

func encode(d store.Doc) []byte {
	n := 1 + 8 + 8 + binary.MaxVarintLen16 + len(d.Data)
	for name, value := range d.Fields {
		n += 2*binary.MaxVarintLen16 + len(name) + len(value)
	}
	b := make([]byte, 0, n)
	b = append(b, recordVersion)
	b = appendTime(b, d.UpdatedAt)
	b = appendTime(b, d.ExpireAt)
	b = binary.AppendUvarint(b, uint64(len(d.Fields)))
	for name, value := range d.Fields {
		b = appendString(b, name)
		b = appendString(b, value)
	}
	return append(b, d.Data...)
}

func appendTime(b []byte, t time.Time) []byte {
	micro := int64(noTime)
	if !t.IsZero() {
		micro = t.UnixMicro()
	}
	return binary.BigEndian.AppendUint64(b, uint64(micro))
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decode is the reverse of encode. The document shares no memory with b.
func decode(key store.Key, b []byte, withData bool) (store.Doc, error) {
	r := reader{rest: b}
	if v := r.bytes(1); r.bad || v[0] != recordVersion {
		return store.Doc{}, errRecord
	}
	d := store.Doc{Key: key}
	d.UpdatedAt = r.time()
	d.ExpireAt = r.time()
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		return store.Doc{}, errRecord
	}
	if n > 0 {
		d.Fields = make(map[string]string, n)
	}
	for range n {
		name := r.string()
		d.Fields[name] = r.string()
	}
	if r.bad {
		return store.Doc{}, errRecord
	}
	if withData && len(r.rest) > 0 {
		d.Data = bytes.Clone(r.rest)
	}
	return d, nil
}

// reader takes a record apart; bad stays set once something was missing.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) string() string { return string(r.bytes(r.uvarint())) }

func (r *reader) time() time.Time {
	b := r.bytes(8)
	if r.bad {
		return time.Time{}
	}
	micro := int64(binary.BigEndian.Uint64(b))
	if micro == noTime {
		return time.Time{}
	}
	return time.UnixMicro(micro).UTC()
}
