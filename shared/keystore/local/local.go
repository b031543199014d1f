// Package local keeps secrets in a directory, one file each, for use on a
// laptop. The directory is 0700 and the files 0600; they are not encrypted, so
// their protection is the file system's. Several processes may share the
// directory.
//
// A write is a new file, flushed and renamed over the old one: a crash leaves
// the old or the new secret, never a half of one. Reads always go to disk.
package local

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/perigee-gateway/perigee/shared/keystore"
)

// suffix ends the name of every secret's file; temporary files and the lock
// have another.
const suffix = ".secret"

// Driver is a keystore.Driver over a directory.
type Driver struct{ dir string }

var _ keystore.Driver = (*Driver)(nil)

// New makes a driver over a directory, which the first write creates.
func New(dir string) *Driver { return &Driver{dir: dir} }

// file is the content of a secret's file.
type file struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Labels  map[string]string `json:"labels,omitempty"`
	Data    []byte            `json:"data"`
}

// Create is keystore.Driver's.
func (d *Driver) Create(ctx context.Context, name string, data []byte, labels map[string]string) (string, error) {
	return d.change(ctx, name, data, func(_ file, err error) (map[string]string, error) {
		switch {
		case err == nil:
			return nil, keystore.Errorf(keystore.AlreadyExists, "secret %q already exists", name)
		case !keystore.IsNotFound(err):
			return nil, err
		}
		return labels, nil
	})
}

// Put is keystore.Driver's.
func (d *Driver) Put(ctx context.Context, name string, data []byte, labels map[string]string) (string, error) {
	return d.change(ctx, name, data, func(file, error) (map[string]string, error) { return labels, nil })
}

// Replace is keystore.Driver's.
func (d *Driver) Replace(ctx context.Context, name, version string, data []byte) (string, error) {
	return d.change(ctx, name, data, func(old file, err error) (map[string]string, error) {
		switch {
		case err != nil:
			return nil, err
		case old.Version != version:
			return nil, keystore.Errorf(keystore.Conflict, "secret %q is at another version", name)
		}
		return old.Labels, nil
	})
}

// change writes a secret under the lock of the directory. decide sees what is
// there, or the error of reading it, and gives the labels or refuses.
func (d *Driver) change(ctx context.Context, name string, data []byte, decide func(file, error) (map[string]string, error)) (string, error) {
	if err := keystore.CheckWrite(ctx, name, data); err != nil {
		return "", err
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return "", failure(err)
	}
	unlock, err := d.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	labels, err := decide(d.read(name))
	if err != nil {
		return "", err
	}
	// Random, as a counter would begin again after a Delete.
	f := file{Name: name, Version: rand.Text(), Labels: labels, Data: data}
	return f.Version, d.write(f)
}

// Get is keystore.Driver's.
func (d *Driver) Get(ctx context.Context, name string) ([]byte, string, error) {
	if err := keystore.CheckRead(ctx, name); err != nil {
		return nil, "", err
	}
	f, err := d.read(name)
	return f.Data, f.Version, err
}

// GetVersion is keystore.Driver's. Only the current version is kept.
func (d *Driver) GetVersion(ctx context.Context, name, version string) ([]byte, error) {
	data, current, err := d.Get(ctx, name)
	if err == nil && current != version {
		return nil, keystore.Errorf(keystore.NotFound, "secret %q has no version %q", name, version)
	}
	return data, err
}

// Delete is keystore.Driver's.
func (d *Driver) Delete(ctx context.Context, name string) error {
	if err := keystore.CheckRead(ctx, name); err != nil {
		return err
	}
	if _, err := d.read(name); err != nil {
		return err
	}
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.Remove(d.path(name)); errors.Is(err, fs.ErrNotExist) {
		return notFound(name)
	} else if err != nil {
		return failure(err)
	}
	return syncDir(d.dir)
}

// List is keystore.Driver's.
func (d *Driver) List(ctx context.Context, labels map[string]string) iter.Seq2[keystore.Entry, error] {
	return func(yield func(keystore.Entry, error) bool) {
		entries, err := d.entries(ctx, labels)
		if err != nil {
			yield(keystore.Entry{}, err)
			return
		}
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Close does nothing.
func (d *Driver) Close() error { return nil }

func (d *Driver) entries(ctx context.Context, labels map[string]string) ([]keystore.Entry, error) {
	if err := keystore.CheckContext(ctx); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(d.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, failure(err)
	}
	var entries []keystore.Entry
	for _, de := range files {
		if !strings.HasSuffix(de.Name(), suffix) {
			continue
		}
		f, err := readFile(filepath.Join(d.dir, de.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted meanwhile
		case err != nil:
			return nil, failure(err)
		case keystore.HasLabels(f.Labels, labels):
			entries = append(entries, keystore.Entry{Name: f.Name, Labels: f.Labels})
		}
	}
	slices.SortFunc(entries, func(a, b keystore.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries, nil
}

func (d *Driver) lock() (unlock func(), err error) {
	unlock, err = lockedfile.MutexAt(filepath.Join(d.dir, "lock")).Lock()
	if err != nil {
		return nil, failure(err)
	}
	return unlock, nil
}

func (d *Driver) read(name string) (file, error) {
	f, err := readFile(d.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return file{}, notFound(name)
	case err != nil:
		return file{}, failure(err)
	case f.Name != name:
		return file{}, keystore.Errorf(keystore.Invalid, "the file of secret %q is of another", name)
	}
	return f, nil
}

func readFile(path string) (file, error) {
	var f file
	raw, err := os.ReadFile(path)
	if err != nil {
		return file{}, err
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return file{}, keystore.Errorf(keystore.Invalid, "%s is not the file of a secret", path)
	}
	return f, nil
}

// write replaces the file of a secret in one step.
func (d *Driver) write(f file) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return keystore.Errorf(keystore.Invalid, "secret %q: %w", f.Name, err)
	}
	tmp, err := os.CreateTemp(d.dir, "new-*.tmp") // 0600
	if err != nil {
		return failure(err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // it was renamed, if all went well
	_, err = tmp.Write(raw)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return failure(err)
	}
	if err := os.Rename(tmp.Name(), d.path(f.Name)); err != nil {
		return failure(err)
	}
	return syncDir(d.dir)
}

// syncDir makes a rename or removal in a directory durable. Where directories
// cannot be flushed (Windows), there is nothing to do.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return failure(err)
	}
	defer f.Close() //nolint:errcheck // only read
	_ = f.Sync()
	return nil
}

func (d *Driver) path(name string) string { return filepath.Join(d.dir, fileName(name)) }

// fileName escapes a name, lower case only so that it also holds where case is
// ignored; a long one is cut and told apart by its hash.
func fileName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		case c == '/':
			b.WriteByte('+')
		default:
			fmt.Fprintf(&b, "=%02x", c)
		}
	}
	if escaped := b.String(); len(escaped) <= 160 {
		return escaped + suffix
	}
	sum := sha256.Sum256([]byte(name))
	return b.String()[:100] + "~" + hex.EncodeToString(sum[:16]) + suffix
}

// failure gives an error of the file system its code; one that has one keeps
// it.
func failure(err error) error {
	if _, ok := errors.AsType[*keystore.Error](err); ok {
		return err
	}
	code := keystore.Unavailable
	if errors.Is(err, fs.ErrPermission) {
		code = keystore.Denied
	}
	return keystore.Errorf(code, "keystore: %w", err)
}

func notFound(name string) error {
	return keystore.Errorf(keystore.NotFound, "secret %q does not exist", name)
}
