package embedded

import (
	"bytes"

	bolt "go.etcd.io/bbolt"

	"github.com/perigee-gateway/perigee/shared/store"
)

// scan returns copies of the documents q selects, and whether there may be more
// because maxDocs or maxBytes of data were reached. Zero is no bound.
func scan(t *bolt.Tx, q store.Query, maxDocs, maxBytes int) (docs []store.Doc, more bool, err error) {
	b := t.Bucket(docsBucket(q.Collection))
	if b == nil {
		return nil, false, nil
	}
	lists, ok := openLists(t, b, q)
	if !ok {
		return nil, false, nil
	}
	size := 0
	for id := start(q); ; id = append(id, 0) {
		if id = agree(lists, id); id == nil || !bytes.HasPrefix(id, []byte(q.Prefix)) {
			return docs, false, nil
		}
		key := store.Key{Collection: q.Collection, ID: string(id)}
		doc, err := decode(key, b.Get(id), !q.NoData)
		if err != nil {
			return nil, false, &store.Error{Code: store.Internal, Key: key, Op: "query", Err: err}
		}
		docs = append(docs, doc)
		size += len(doc.Data)
		switch {
		case q.Limit > 0 && len(docs) == q.Limit:
			return docs, false, nil
		case maxDocs > 0 && len(docs) == maxDocs, maxBytes > 0 && size >= maxBytes:
			return docs, true, nil
		}
		id = []byte(key.ID)
	}
}

// start is the least id q can select.
func start(q store.Query) []byte {
	if q.After != "" && q.After >= q.Prefix {
		return append([]byte(q.After), 0) // the least string greater than After
	}
	return []byte(q.Prefix)
}

// list is ids in ascending order: those of a collection, or those with one value
// of a field.
type list struct {
	cursor *bolt.Cursor
	prefix []byte
}

// openLists is a list for each condition of q, or of all documents if there is
// none. It reports false if no document can meet a condition.
func openLists(t *bolt.Tx, docs *bolt.Bucket, q store.Query) ([]list, bool) {
	if len(q.Where) == 0 {
		return []list{{cursor: docs.Cursor()}}, true
	}
	lists := make([]list, 0, len(q.Where))
	for field, value := range q.Where {
		b := t.Bucket(indexBucket(q.Collection, field))
		if b == nil {
			return nil, false
		}
		lists = append(lists, list{cursor: b.Cursor(), prefix: indexPrefix(value)})
	}
	return lists, true
}

// seek is the least id of the list not less than id; nil if there is none.
func (l list) seek(id []byte) []byte {
	at := append(l.prefix[:len(l.prefix):len(l.prefix)], id...)
	k, _ := l.cursor.Seek(at)
	if k == nil || !bytes.HasPrefix(k, l.prefix) {
		return nil
	}
	return k[len(l.prefix):]
}

// agree is the least id not less than id that is in all lists: each list in turn
// moves to where the others are. nil if there is none.
func agree(lists []list, id []byte) []byte {
	for agreed, i := 0, 0; agreed < len(lists); i = (i + 1) % len(lists) {
		next := lists[i].seek(id)
		switch {
		case next == nil:
			return nil
		case bytes.Equal(next, id):
			agreed++
		default:
			agreed = 1
		}
		id = bytes.Clone(next)
	}
	return id
}
