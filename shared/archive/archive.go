// Package archive keeps bundle zips, which are larger than a document may be, in
// the store: as numbered chunks, and a manifest that names them.
//
// The manifest is written last and removed first, so an archive is there as a
// whole or not at all, whenever a process dies. Chunks without a manifest are
// harmless: nothing refers to them, and Sweep removes them. Chunks are never
// overwritten; replacing an archive writes others.
//
// It does not look into the zip.
package archive

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/store"
)

const (
	// MaxSize is the largest archive, in bytes. Apigee takes bundles of 15 MB
	// (https://cloud.google.com/apigee/docs/api-platform/reference/limits), which
	// is the importer's to check; this bound is for damaged manifests.
	MaxSize = 64 << 20
	// chunkSize leaves room for the rest of a document, and fits four times into
	// one commit.
	chunkSize = 1_000_000
	// sweepAge is how old a chunk without manifest must be for Sweep to remove
	// it: a younger one may belong to a Put under way.
	sweepAge = time.Hour
)

const (
	collection     = "archives"
	manifestPrefix = "manifest/"
	chunkPrefix    = "chunk/"
)

// Info describes an archive.
type Info struct {
	// Size is in bytes.
	Size int `json:"size"`
	// SHA256 is the checksum of the content, in hex.
	SHA256 string `json:"sha256"`
	// Created is when the archive was put.
	Created time.Time `json:"created"`
}

// manifest is the document that makes chunks an archive.
type manifest struct {
	Info
	// Chunks is their number.
	Chunks int `json:"chunks"`
	// Upload tells the chunks of one Put from those of any other.
	Upload string `json:"upload"`
}

// Archives are the archives of a store. They are named by any id the caller
// chooses, at most 1491 bytes long.
type Archives struct{ store *store.Store }

// New returns the archives kept in s.
func New(s *store.Store) *Archives { return &Archives{store: s} }

func manifestKey(id string) store.Key {
	return store.Key{Collection: collection, ID: manifestPrefix + id}
}

// Put stores content under id, in place of what was there. When it returns nil,
// all of it is stored; until then, readers see what was there before.
func (a *Archives) Put(ctx context.Context, id string, content []byte) (Info, error) {
	if len(content) > MaxSize {
		return Info{}, failed("put", id, store.Invalid, fmt.Errorf("%d bytes, at most %d are allowed", len(content), MaxSize))
	}
	sum := sha256.Sum256(content)
	m := manifest{
		Info:   Info{Size: len(content), SHA256: hex.EncodeToString(sum[:]), Created: a.store.Now().UTC().Truncate(time.Microsecond)},
		Chunks: (len(content) + chunkSize - 1) / chunkSize,
		Upload: rand.Text(),
	}
	if err := a.store.Batch(ctx, m.split(content), nil); err != nil {
		return Info{}, fmt.Errorf("put archive %s: %w", id, err)
	}
	if err := a.swap(ctx, id, &m); err != nil {
		return Info{}, fmt.Errorf("put archive %s: %w", id, err)
	}
	return m.Info, nil
}

// split is the chunks of content.
func (m manifest) split(content []byte) []store.Doc {
	chunks := make([]store.Doc, 0, m.Chunks)
	for n, key := range m.keys() {
		chunks = append(chunks, store.Doc{
			Key:    key,
			Fields: map[string]string{"kind": "chunk"},
			Data:   content[n*chunkSize : min((n+1)*chunkSize, len(content))],
		})
	}
	return chunks
}

// keys names the chunks, in order.
func (m manifest) keys() []store.Key {
	keys := make([]store.Key, m.Chunks)
	for n := range keys {
		keys[n] = store.Key{Collection: collection, ID: fmt.Sprintf("%s%s/%04d", chunkPrefix, m.Upload, n)}
	}
	return keys
}

// swap replaces the manifest, or removes it if next is nil, and then the chunks
// of the one that was there. Chunks it cannot remove are left to Sweep.
func (a *Archives) swap(ctx context.Context, id string, next *manifest) error {
	var old manifest
	err := a.store.Update(ctx, func(tx store.Tx) error {
		old = manifest{}
		d, err := tx.Get(manifestKey(id))
		if err != nil && !store.IsNotFound(err) {
			return err
		}
		if err == nil {
			old, _ = parse(d) // the chunks of a damaged one are left to Sweep
		}
		if next == nil {
			return tx.Delete(manifestKey(id))
		}
		return next.write(tx, id)
	})
	if err != nil {
		return err
	}
	// A transaction that ran again after its commit finds its own manifest.
	if next == nil || old.Upload != next.Upload {
		_ = a.store.Batch(ctx, nil, old.keys())
	}
	return nil
}

// write writes the manifest if its chunks are still there. They are not if the
// process was frozen for so long that Sweep took them, or if this is a repetition
// and another Put came after the first time.
func (m *manifest) write(tx store.Tx, id string) error {
	chunks, err := tx.Query(store.Query{Collection: collection, Prefix: chunkPrefix + m.Upload + "/", NoData: true})
	if err != nil {
		return err
	}
	if len(chunks) != m.Chunks {
		return failed("put", id, store.Unavailable, errMissing)
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return tx.Put(store.Doc{Key: manifestKey(id), Fields: map[string]string{"kind": "manifest"}, Data: data})
}

// parse reads a manifest and checks that it makes sense.
func parse(d store.Doc) (manifest, error) {
	var m manifest
	if err := json.Unmarshal(d.Data, &m); err != nil {
		return manifest{}, fmt.Errorf("damaged manifest: %w", err)
	}
	if m.Size < 0 || m.Size > MaxSize || m.Chunks != (m.Size+chunkSize-1)/chunkSize || m.Upload == "" {
		return manifest{}, fmt.Errorf("damaged manifest: %d bytes in %d chunks", m.Size, m.Chunks)
	}
	return m, nil
}

// errMissing is that the chunks of a manifest are gone: it has been replaced, or
// the archive is damaged.
var errMissing = errors.New("chunks are missing")

// Get returns the content of the archive, checked against its checksum. An
// archive that does not exist is an error of code store.NotFound, a damaged one
// of code store.Internal. It takes two round trips.
func (a *Archives) Get(ctx context.Context, id string) ([]byte, Info, error) {
	for missing := ""; ; {
		content, m, err := a.get(ctx, id)
		if errors.Is(err, errMissing) && m.Upload != missing {
			missing = m.Upload // replaced between the round trips, or damaged
			continue
		}
		if err != nil {
			return nil, Info{}, err
		}
		return content, m.Info, nil
	}
}

func (a *Archives) get(ctx context.Context, id string) ([]byte, manifest, error) {
	m, err := a.manifest(ctx, id)
	if err != nil {
		return nil, m, err
	}
	chunks, err := a.store.GetAll(ctx, m.keys())
	if err != nil {
		return nil, m, fmt.Errorf("get archive %s: %w", id, err)
	}
	content, err := join(m, chunks)
	if err != nil {
		return nil, m, failed("get", id, store.Internal, err)
	}
	return content, m, nil
}

// join puts the chunks together and checks them.
func join(m manifest, chunks []store.Doc) ([]byte, error) {
	var content bytes.Buffer
	content.Grow(m.Size)
	for _, c := range chunks {
		if !c.Found() {
			return nil, errMissing
		}
		content.Write(c.Data)
	}
	sum := sha256.Sum256(content.Bytes())
	if content.Len() != m.Size || hex.EncodeToString(sum[:]) != m.SHA256 {
		return nil, fmt.Errorf("damaged: %d bytes with checksum %x, want %d with %s", content.Len(), sum, m.Size, m.SHA256)
	}
	return content.Bytes(), nil
}

// Stat returns what is known of the archive without reading it.
func (a *Archives) Stat(ctx context.Context, id string) (Info, error) {
	m, err := a.manifest(ctx, id)
	return m.Info, err
}

func (a *Archives) manifest(ctx context.Context, id string) (manifest, error) {
	d, err := a.store.Get(ctx, manifestKey(id))
	if err != nil {
		return manifest{}, fmt.Errorf("get archive %s: %w", id, err)
	}
	m, err := parse(d)
	if err != nil {
		return manifest{}, failed("get", id, store.Internal, err)
	}
	return m, nil
}

// Delete removes the archive; one that does not exist is no error.
func (a *Archives) Delete(ctx context.Context, id string) error {
	if err := a.swap(ctx, id, nil); err != nil {
		return fmt.Errorf("delete archive %s: %w", id, err)
	}
	return nil
}

// Sweep removes the chunks that no manifest refers to and that are older than an
// hour: what a Put or Delete that died has left. It returns how many it removed.
func (a *Archives) Sweep(ctx context.Context) (int, error) {
	// Chunks first: an upload whose manifest is written meanwhile is then seen.
	chunks, err := a.oldChunks(ctx)
	if err != nil {
		return 0, fmt.Errorf("sweep archives: %w", err)
	}
	if len(chunks) == 0 {
		return 0, nil
	}
	uploads, err := a.uploads(ctx)
	if err != nil {
		return 0, fmt.Errorf("sweep archives: %w", err)
	}
	orphans := slices.DeleteFunc(chunks, func(k store.Key) bool {
		upload, _, _ := strings.Cut(strings.TrimPrefix(k.ID, chunkPrefix), "/")
		return uploads[upload]
	})
	if err := a.store.Batch(ctx, nil, orphans); err != nil {
		return 0, fmt.Errorf("sweep archives: %w", err)
	}
	return len(orphans), nil
}

// oldChunks is the chunks that belong to no Put under way.
func (a *Archives) oldChunks(ctx context.Context) ([]store.Key, error) {
	var chunks []store.Key
	for d, err := range a.store.Query(ctx, store.Query{Collection: collection, Prefix: chunkPrefix, NoData: true}) {
		if err != nil {
			return nil, err
		}
		if a.store.Now().Sub(d.UpdatedAt) >= sweepAge {
			chunks = append(chunks, d.Key)
		}
	}
	return chunks, nil
}

// uploads is the uploads that manifests refer to.
func (a *Archives) uploads(ctx context.Context) (map[string]bool, error) {
	uploads := map[string]bool{}
	for d, err := range a.store.Query(ctx, store.Query{Collection: collection, Prefix: manifestPrefix}) {
		if err != nil {
			return nil, err
		}
		m, err := parse(d)
		if err != nil { // what it refers to is not known: remove nothing
			return nil, fmt.Errorf("%s: %w", d.Key, err)
		}
		uploads[m.Upload] = true
	}
	return uploads, nil
}

// failed is an error of the archive id, with a code of the store.
func failed(op, id string, code store.Code, err error) error {
	return &store.Error{Code: code, Key: manifestKey(id), Op: op + " archive", Err: err}
}
