package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// chunkBytes is how much of a file is in one document.
const chunkBytes = 1000 << 10

// chunks are Archives in the collection archives: a file is numbered documents.
// What refers to it (entity.Archive) is written after it, so a file that is
// referred to is complete.
type chunks struct{ store *store.Store }

func chunkKey(id string, n int) store.Key { return entity.Key("archives", id, strconv.Itoa(n)) }

// Save implements Archives.
func (c chunks) Save(ctx context.Context, id string, data []byte) (entity.Archive, error) {
	sum := sha256.Sum256(data)
	a := entity.Archive{ID: id, Size: len(data), SHA256: hex.EncodeToString(sum[:])}
	var docs []store.Doc
	for part := range slices.Chunk(data, chunkBytes) {
		fields := map[string]string{"kind": "chunk", "archive": id}
		docs = append(docs, store.Doc{Key: chunkKey(id, len(docs)), Fields: fields, Data: part})
	}
	a.Chunks = len(docs)
	return a, c.store.Batch(ctx, docs, nil)
}

// Load implements Archives.
func (c chunks) Load(ctx context.Context, archives ...entity.Archive) ([][]byte, error) {
	var keys []store.Key
	for _, a := range archives {
		for n := range a.Chunks {
			keys = append(keys, chunkKey(a.ID, n))
		}
	}
	docs, err := c.store.GetAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	files := make([][]byte, len(archives))
	for i, a := range archives {
		if files[i], err = join(a, docs[:a.Chunks]); err != nil {
			return nil, err
		}
		docs = docs[a.Chunks:]
	}
	return files, nil
}

// join puts a file together and checks that it is the one that was stored.
func join(a entity.Archive, docs []store.Doc) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(a.Size)
	for _, d := range docs {
		if !d.Found() {
			return nil, entity.Errorf(entity.NotFound, "archive %s is incomplete", a.ID)
		}
		b.Write(d.Data)
	}
	if sum := sha256.Sum256(b.Bytes()); b.Len() != a.Size || hex.EncodeToString(sum[:]) != a.SHA256 {
		return nil, fmt.Errorf("archive %s is damaged", a.ID)
	}
	return b.Bytes(), nil
}

// Delete implements Archives.
func (c chunks) Delete(ctx context.Context, id string) error {
	_, err := c.store.DeleteAll(ctx, store.Query{Collection: "archives", Prefix: id + "/"})
	return err
}
