// Package memory keeps secrets in the process: for tests, and for a gateway
// that may forget everything. Nothing leaves it.
package memory

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/perigee-gateway/perigee/shared/keystore"
)

// Driver is a keystore.Driver over a map. The zero value is ready for use.
type Driver struct {
	mu      sync.Mutex
	secrets map[string]secret
	writes  uint64 // numbers the versions, over all names, so none comes twice
}

type secret struct {
	data    []byte
	version string
	labels  map[string]string
}

var _ keystore.Driver = (*Driver)(nil)

// New makes an empty driver.
func New() *Driver { return &Driver{} }

// Create is keystore.Driver's.
func (d *Driver) Create(ctx context.Context, name string, data []byte, labels map[string]string) (string, error) {
	if err := keystore.CheckWrite(ctx, name, data); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.secrets[name]; ok {
		return "", keystore.Errorf(keystore.AlreadyExists, "secret %q already exists", name)
	}
	return d.write(name, data, labels), nil
}

// Put is keystore.Driver's.
func (d *Driver) Put(ctx context.Context, name string, data []byte, labels map[string]string) (string, error) {
	if err := keystore.CheckWrite(ctx, name, data); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.write(name, data, labels), nil
}

// Replace is keystore.Driver's.
func (d *Driver) Replace(ctx context.Context, name, version string, data []byte) (string, error) {
	if err := keystore.CheckWrite(ctx, name, data); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old, ok := d.secrets[name]
	switch {
	case !ok:
		return "", notFound(name)
	case old.version != version:
		return "", keystore.Errorf(keystore.Conflict, "secret %q is at another version", name)
	}
	return d.write(name, data, old.labels), nil
}

// Get is keystore.Driver's.
func (d *Driver) Get(ctx context.Context, name string) ([]byte, string, error) {
	if err := keystore.CheckRead(ctx, name); err != nil {
		return nil, "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.secrets[name]
	if !ok {
		return nil, "", notFound(name)
	}
	return slices.Clone(s.data), s.version, nil
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
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.secrets[name]; !ok {
		return notFound(name)
	}
	delete(d.secrets, name)
	return nil
}

// List is keystore.Driver's.
func (d *Driver) List(ctx context.Context, labels map[string]string) iter.Seq2[keystore.Entry, error] {
	return func(yield func(keystore.Entry, error) bool) {
		if err := keystore.CheckContext(ctx); err != nil {
			yield(keystore.Entry{}, err)
			return
		}
		for _, e := range d.entries(labels) {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Close does nothing.
func (d *Driver) Close() error { return nil }

// write stores a secret; the caller holds mu.
func (d *Driver) write(name string, data []byte, labels map[string]string) string {
	if d.secrets == nil {
		d.secrets = map[string]secret{}
	}
	d.writes++
	version := strconv.FormatUint(d.writes, 10)
	d.secrets[name] = secret{data: slices.Clone(data), version: version, labels: maps.Clone(labels)}
	return version
}

func (d *Driver) entries(labels map[string]string) []keystore.Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	var entries []keystore.Entry
	for _, name := range slices.Sorted(maps.Keys(d.secrets)) {
		if s := d.secrets[name]; keystore.HasLabels(s.labels, labels) {
			entries = append(entries, keystore.Entry{Name: name, Labels: maps.Clone(s.labels)})
		}
	}
	return entries
}

func notFound(name string) error {
	return keystore.Errorf(keystore.NotFound, "secret %q does not exist", name)
}
