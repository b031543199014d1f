package analytics

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/store"
)

// maxPart is the most JSON that goes into one document, in bytes: it fits even
// if it cannot be compressed.
const maxPart = 900 << 10

// maxDocument bounds what a document may decompress to.
const maxDocument = 4 << 20

// stored is a row as it is stored: short names, as there are many.
type stored struct {
	Minute  int64                `json:"t"`
	Calls   int64                `json:"c"`
	Dims    []string             `json:"d"`
	Metrics []storedSum          `json:"m"`
	Custom  string               `json:"x,omitempty"`
	Values  map[string]storedSum `json:"y,omitempty"`
}

// storedSum is count, sum, minimum and maximum.
type storedSum [4]float64

func (s sum) stored() storedSum { return storedSum{float64(s.n), s.sum, s.min, s.max} }

func (s storedSum) sum() sum { return sum{int64(s[0]), s[1], s[2], s[3]} }

// bucket is the part of a document's id that says when: ids sort by time.
func bucket(minute int64) string { return time.Unix(minute*60, 0).UTC().Format("200601021504") }

// prefix is what the ids of an environment's documents begin with.
func prefix(org, env string) string { return org + "/" + env + "/" }

// save writes the documents of a window.
func (r *Recorder) save(ctx context.Context, w window, s *sums) error {
	parts, err := encode(s.rows)
	if err != nil {
		return err
	}
	id := prefix(r.opts.Organization, w.environment) + bucket(w.minute) + "/" + r.opts.Instance + "-"
	expires := time.Unix(w.minute*60, 0).Add(r.opts.Retention)
	var puts []store.Doc
	for i, data := range parts {
		puts = append(puts, store.Doc{
			Key:    store.Key{Collection: "analytics", ID: id + strconv.Itoa(i)},
			Fields: map[string]string{"org": r.opts.Organization, "environment": w.environment},
			Data:   data, ExpireAt: expires,
		})
	}
	var deletes []store.Key // parts of a time when the rows were spread otherwise
	for i := len(parts); i < s.parts; i++ {
		deletes = append(deletes, store.Key{Collection: "analytics", ID: id + strconv.Itoa(i)})
	}
	if err := r.opts.Store.Batch(ctx, puts, deletes); err != nil {
		return err
	}
	s.parts = len(parts)
	return nil
}

// encode returns rows as the data of as many documents as it takes.
func encode(rs rows) ([][]byte, error) {
	var parts [][]byte
	var buf bytes.Buffer
	flush := func() error {
		data, err := compress(buf.Bytes())
		parts = append(parts, data)
		buf.Reset()
		return err
	}
	for k, one := range rs {
		line, err := json.Marshal(k.stored(one))
		if err != nil {
			return nil, err
		}
		if buf.Len() > 0 && buf.Len()+len(line) > maxPart {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		buf.Write(line)
		buf.WriteByte('\n')
	}
	return parts, flush()
}

func (k *key) stored(one *row) stored {
	s := stored{Minute: k.minute, Calls: one.calls, Dims: k.dims[:], Custom: k.custom, Metrics: make([]storedSum, metrics)}
	for i, m := range one.metrics {
		s.Metrics[i] = m.stored()
	}
	for name, m := range one.custom {
		if s.Values == nil {
			s.Values = map[string]storedSum{}
		}
		s.Values[name] = m.stored()
	}
	return s
}

// worth is from how many bytes on compressing is: a compressor takes 800 KB and a
// third of a millisecond, of a cold start's first answer too, and what an instance
// has counted by then is one row.
const worth = 4 << 10

// compress returns JSON as it is stored: as it is, or in gzip, which begins
// otherwise.
func compress(data []byte) ([]byte, error) {
	if len(data) < worth {
		return bytes.Clone(data), nil
	}
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// decode calls each with every row of a document.
func decode(data []byte, env string, each func(k *key, r *row)) error {
	var text io.Reader = bytes.NewReader(data)
	if !bytes.HasPrefix(data, []byte("{")) {
		z, err := gzip.NewReader(text)
		if err != nil {
			return err
		}
		text = z
	}
	d := json.NewDecoder(io.LimitReader(text, maxDocument))
	for {
		var s stored
		if err := d.Decode(&s); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("analytics document: %w", err)
		}
		k := key{environment: env, minute: s.Minute, custom: s.Custom}
		copy(k.dims[:], s.Dims)
		for i := len(s.Dims); i < int(dimensions); i++ {
			k.dims[i] = NotSet // written before there was the dimension
		}
		r := row{calls: s.Calls}
		for i, m := range s.Metrics {
			if i < int(metrics) {
				r.metrics[i] = m.sum()
			}
		}
		for name, m := range s.Values {
			if r.custom == nil {
				r.custom = map[string]sum{}
			}
			r.custom[name] = m.sum()
		}
		each(&k, &r)
	}
}

// scan calls each with the rows of an environment from a minute to before
// another.
func scan(ctx context.Context, s *store.Store, org, env string, from, to int64, each func(k *key, r *row)) error {
	p, end := prefix(org, env), bucket(to)
	for doc, err := range s.Query(ctx, store.Query{Collection: "analytics", Prefix: p, After: p + bucket(from)}) {
		if err != nil {
			return err
		}
		if at, _, _ := strings.Cut(doc.Key.ID[len(p):], "/"); at >= end {
			return nil
		}
		if err := decode(doc.Data, env, each); err != nil {
			return err
		}
	}
	return nil
}
