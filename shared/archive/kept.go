package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/perigee-gateway/perigee/shared/store"
)

// keptPrefix is where chunks without a manifest are.
const keptPrefix = "kept/"

// Ref is all that is needed to read an archive in one round trip. Whoever keeps
// it in a document of its own needs no manifest: that document is one.
type Ref struct {
	// ID has been given to Keep.
	ID string `json:"id"`
	// Chunks is the number of documents.
	Chunks int `json:"chunks"`
	// Size is in bytes.
	Size int `json:"size"`
	// SHA256 is the checksum of the content, in hex.
	SHA256 string `json:"sha256"`
}

func keptKey(id string, n int) store.Key {
	return store.Key{Collection: collection, ID: fmt.Sprintf("%s%s/%04d", keptPrefix, id, n)}
}

// Keep stores content under an id that is used once only. The archive is there
// when the document that has the Ref is; until then, and when that is gone,
// Discard is the caller's to call, also after a failed Keep.
func (a *Archives) Keep(ctx context.Context, id string, content []byte) (Ref, error) {
	if len(content) > MaxSize {
		return Ref{}, failed("keep", id, store.Invalid, fmt.Errorf("%d bytes, at most %d are allowed", len(content), MaxSize))
	}
	sum := sha256.Sum256(content)
	r := Ref{ID: id, Chunks: (len(content) + chunkSize - 1) / chunkSize, Size: len(content), SHA256: hex.EncodeToString(sum[:])}
	docs := make([]store.Doc, r.Chunks)
	for n := range docs {
		docs[n] = store.Doc{
			Key: keptKey(id, n), Fields: map[string]string{"kind": "chunk"},
			Data: content[n*chunkSize : min((n+1)*chunkSize, len(content))],
		}
	}
	if err := a.store.Batch(ctx, docs, nil); err != nil {
		return Ref{}, fmt.Errorf("keep archive %s: %w", id, err)
	}
	return r, nil
}

// Load returns the contents of archives, in order and in one round trip, checked
// against their checksums. One that has been discarded is an error of code
// store.NotFound.
func (a *Archives) Load(ctx context.Context, refs ...Ref) ([][]byte, error) {
	var keys []store.Key
	for _, r := range refs {
		for n := range r.Chunks {
			keys = append(keys, keptKey(r.ID, n))
		}
	}
	docs, err := a.store.GetAll(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("load archives: %w", err)
	}
	contents := make([][]byte, len(refs))
	for i, r := range refs {
		if contents[i], err = r.join(docs[:r.Chunks]); err != nil {
			return nil, err
		}
		docs = docs[r.Chunks:]
	}
	return contents, nil
}

// join puts the chunks together and checks them.
func (r Ref) join(chunks []store.Doc) ([]byte, error) {
	var content bytes.Buffer
	content.Grow(r.Size)
	for _, c := range chunks {
		if !c.Found() {
			return nil, failed("load", r.ID, store.NotFound, errMissing)
		}
		content.Write(c.Data)
	}
	sum := sha256.Sum256(content.Bytes())
	if content.Len() != r.Size || hex.EncodeToString(sum[:]) != r.SHA256 {
		return nil, failed("load", r.ID, store.Internal, fmt.Errorf("damaged: %d bytes with checksum %x, want %d with %s", content.Len(), sum, r.Size, r.SHA256))
	}
	return content.Bytes(), nil
}

// Discard removes what Keep stored under the id, as far as it came.
func (a *Archives) Discard(ctx context.Context, id string) error {
	_, err := a.store.DeleteAll(ctx, store.Query{Collection: collection, Prefix: keptPrefix + id + "/"})
	if err != nil {
		return fmt.Errorf("discard archive %s: %w", id, err)
	}
	return nil
}
