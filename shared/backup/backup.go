// Package backup writes the configuration of an organization into one file and
// makes an organization of such a file again: proxies with their revisions and
// deployments, shared flows, key value maps with their entries, products,
// developers, apps with their keys, keystores with their private keys, members.
// What comes into being by use is left out: tokens, caches, counters, debug
// sessions, analytics, the audit log (registry.State).
//
// The content is the same whenever the configuration is, whatever the store and
// the keystore are and whatever keys encrypt them: a backup of what was restored
// is equal byte for byte. A file encrypted for a recipient (package age) is not,
// for encryption is random; Summary.SHA256 is that of the content.
//
// The format is lines of JSON: a header, documents, archives, aliases of
// keystores, and a last line that tells how many there were and their checksum.
package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
)

// format is the version of the format, in the header. A reader refuses others.
const format = "perigee-backup/1"

// attempts is how often a backup is begun anew because the organization changed
// while it was read.
const attempts = 5

// Place is where an organization is.
type Place struct {
	Registry *registry.Registry
	Keystore *keystore.Store
}

// Summary says what is in a backup.
type Summary struct {
	Organization string
	// Documents, Archives and Aliases are their numbers.
	Documents, Archives, Aliases int
	// SHA256 is the checksum of the content, in hex: the same for the same
	// configuration.
	SHA256 string
}

// record is a line of the file; one member is set.
type record struct {
	Header  *header   `json:"header,omitempty"`
	Doc     *document `json:"doc,omitempty"`
	Archive *blob     `json:"archive,omitempty"`
	Alias   *alias    `json:"alias,omitempty"`
	End     *end      `json:"end,omitempty"`
}

type header struct {
	Format       string `json:"format"`
	Organization string `json:"organization"`
}

type document struct {
	Collection string            `json:"collection"`
	ID         string            `json:"id"`
	Fields     map[string]string `json:"fields,omitempty"`
	Data       []byte            `json:"data"`
}

type blob struct {
	ID   string `json:"id"`
	Data []byte `json:"data"`
}

type alias struct {
	Environment string `json:"environment"`
	Keystore    string `json:"keystore"`
	Alias       string `json:"alias"`
	Data        []byte `json:"data"`
}

type end struct {
	Records int    `json:"records"`
	SHA256  string `json:"sha256"`
}

// ErrChanging is that the organization changed each time it was read.
var ErrChanging = errors.New("the organization is being changed; try again when it is not")

// Write writes a backup of the organization. open begins the output, and begins
// it anew after a change that came between. Entries of key value maps and named
// caches, which proxies write as they serve, are each as of some moment while
// they were read.
func (p Place) Write(ctx context.Context, org string, open func() (io.WriteCloser, error)) (Summary, error) {
	if err := p.Registry.FinishJobs(ctx, org, false); err != nil {
		return Summary{}, fmt.Errorf("finish what is under way: %w", err)
	}
	for range attempts {
		w, err := open()
		if err != nil {
			return Summary{}, err
		}
		first, err := p.write(ctx, org, w)
		if err = errors.Join(err, w.Close()); err != nil {
			return Summary{}, err
		}
		again, err := p.write(ctx, org, io.Discard)
		if err != nil {
			return Summary{}, err
		}
		if first.steady == again.steady {
			return first.Summary, nil
		}
	}
	return Summary{}, ErrChanging
}

// written is a Summary and the checksum of what must not have changed.
type written struct {
	Summary
	steady [sha256.Size]byte
}

// writer counts and sums what it writes.
type writer struct {
	out     *bufio.Writer
	sum     hash.Hash
	steady  hash.Hash
	records int
}

func (w *writer) write(r record, volatile bool) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	w.records++
	w.sum.Write(line)
	if !volatile {
		w.steady.Write(line)
	}
	_, err = w.out.Write(line)
	return err
}

// volatile are the collections that proxies write as they serve.
func volatile(collection string) bool { return collection == "kvmEntries" || collection == "caches" }

func (p Place) write(ctx context.Context, org string, to io.Writer) (written, error) {
	w := &writer{out: bufio.NewWriterSize(to, 64<<10), sum: sha256.New(), steady: sha256.New()}
	s := written{Summary: Summary{Organization: org}}
	if err := w.write(record{Header: &header{format, org}}, false); err != nil {
		return s, err
	}
	for d, err := range p.Registry.Export(ctx, org) {
		if err != nil {
			return s, fmt.Errorf("read the organization: %w", err)
		}
		r := record{Doc: &document{d.Key.Collection, d.Key.ID, d.Fields, d.Data}}
		if err := w.write(r, volatile(d.Key.Collection)); err != nil {
			return s, err
		}
		s.Documents++
	}
	for ref, err := range p.Registry.ExportArchives(ctx, org) {
		if err != nil {
			return s, fmt.Errorf("read the organization: %w", err)
		}
		data, err := p.Registry.Archives().Load(ctx, ref)
		if err != nil {
			return s, err
		}
		if err := w.write(record{Archive: &blob{ref.ID, data[0]}}, false); err != nil {
			return s, err
		}
		s.Archives++
	}
	for a, err := range p.Keystore.Export(ctx, org) {
		if err != nil {
			return s, err
		}
		if err := w.write(record{Alias: &alias{a.Environment, a.Keystore, a.Alias, a.Data}}, false); err != nil {
			return s, err
		}
		s.Aliases++
	}
	s.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	w.steady.Sum(s.steady[:0])
	last, err := json.Marshal(record{End: &end{w.records, s.SHA256}})
	if err != nil {
		return s, err
	}
	if _, err := w.out.Write(append(last, '\n')); err != nil {
		return s, err
	}
	return s, w.out.Flush()
}

// Read makes the organization of a backup. It is an error of code AlreadyExists
// if there is one of that name. Nobody sees the organization before all of it is
// there; after an error, or a crash, Read may be called again.
func (p Place) Read(ctx context.Context, from io.Reader) (Summary, error) {
	r := &reader{Place: p, in: json.NewDecoder(bufio.NewReaderSize(from, 64<<10)), sum: sha256.New(), versions: map[[3]string]string{}}
	err := r.read(ctx)
	return r.Summary, err
}

// reader is one Read under way.
type reader struct {
	Place
	Summary
	in       *json.Decoder
	sum      hash.Hash
	records  int
	importer *registry.Importer
	versions map[[3]string]string
}

var errDamaged = errors.New("the backup is damaged")

func (r *reader) read(ctx context.Context) error {
	for {
		rec := record{}
		if err := r.in.Decode(&rec); err == io.EOF {
			return fmt.Errorf("%w: it ends too early", errDamaged)
		} else if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if rec.End != nil {
			return r.finish(ctx, rec.End)
		}
		// What was read is written again as it must have been, to be summed.
		line, err := json.Marshal(rec)
		if err != nil {
			return err
		}
		r.sum.Write(append(line, '\n'))
		r.records++
		if err := r.take(ctx, &rec); err != nil {
			return err
		}
	}
}

func (r *reader) take(ctx context.Context, rec *record) (err error) {
	if rec.Header != nil {
		return r.begin(ctx, rec.Header)
	}
	if r.importer == nil {
		return errors.New("this is not a backup of perigee's")
	}
	switch {
	case rec.Doc != nil:
		d := rec.Doc
		r.Documents++
		return r.importer.Put(ctx, store.Doc{Key: store.Key{Collection: d.Collection, ID: d.ID}, Fields: d.Fields, Data: d.Data})
	case rec.Archive != nil:
		r.Archives++
		return r.importer.PutArchive(ctx, rec.Archive.ID, rec.Archive.Data)
	case rec.Alias != nil:
		a := rec.Alias
		r.Aliases++
		version, err := r.Keystore.Import(ctx, r.Organization, keystore.Secret{Environment: a.Environment, Keystore: a.Keystore, Alias: a.Alias, Data: a.Data})
		r.versions[[3]string{a.Environment, a.Keystore, a.Alias}] = version
		return err
	}
	return fmt.Errorf("%w: record %d is of no known kind", errDamaged, r.records)
}

func (r *reader) begin(ctx context.Context, h *header) (err error) {
	if r.importer != nil {
		return fmt.Errorf("%w: it has two headers", errDamaged)
	}
	if h.Format != format {
		return fmt.Errorf("the backup has the format %q, this perigee reads %q", h.Format, format)
	}
	r.Organization = h.Organization
	r.importer, err = r.Registry.Import(ctx, h.Organization)
	return err
}

func (r *reader) finish(ctx context.Context, e *end) error {
	if r.SHA256 = hex.EncodeToString(r.sum.Sum(nil)); r.importer == nil || e.SHA256 != r.SHA256 || e.Records != r.records {
		return fmt.Errorf("%w: its checksum differs", errDamaged)
	}
	return r.importer.Finish(ctx, func(env, keystore, alias string) string {
		return r.versions[[3]string{env, keystore, alias}]
	})
}

// IsExists reports whether an error of Read is that the organization exists.
func IsExists(err error) bool { return entity.IsAlreadyExists(err) }
