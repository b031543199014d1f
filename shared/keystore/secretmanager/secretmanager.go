// Package secretmanager keeps secrets in Google Cloud's Secret Manager.
//
// A secret is named perigee-HASH, as Secret Manager's names hold too little;
// its annotations have the true name and labels, its labels what of them fits
// the alphabet of labels, to filter by and to read in the console. The version
// in force is the one of the version alias "current": it is moved under the
// secret's etag, so that of concurrent writes none is lost. The version before
// it is kept for readers that still ask for it, older ones are destroyed.
//
// Secret Manager shows a write to others at once only by its version number
// (GetVersion); Get and List may lag behind. A reader needs the role Secret
// Accessor, and Viewer to list; a writer needs Secret Manager Admin.
package secretmanager

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	sm "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/perigee-gateway/perigee/shared/keystore"
)

// The version aliases, and the one before a write.
const (
	aliasCurrent  = "current"
	aliasPrevious = "previous"
)

// Driver is a keystore.Driver over one project's secrets.
type Driver struct {
	project   string
	locations []string
	options   []option.ClientOption

	mu     sync.Mutex
	client *sm.Client
}

var _ keystore.Driver = (*Driver)(nil)

// New makes a driver over the secrets of a project. New secrets are replicated
// to the given locations, or where Google sees fit if there is none. Nothing
// is opened before the first use.
func New(project string, locations []string, opts ...option.ClientOption) *Driver {
	return &Driver{project: project, locations: locations, options: opts}
}

// Close closes the connection, if one is open. The driver may be used again.
func (d *Driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client == nil {
		return nil
	}
	err := d.client.Close()
	d.client = nil
	return err
}

// open gives the client, opened on first use; a failure is tried again.
func (d *Driver) open(ctx context.Context) (*sm.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		return d.client, nil
	}
	// The client outlives the request that opens it.
	client, err := sm.NewClient(context.WithoutCancel(ctx), d.options...)
	if err != nil {
		return nil, keystore.Errorf(keystore.Unavailable, "open secret manager: %w", err)
	}
	d.client = client
	return client, nil
}

// Create is keystore.Driver's.
func (d *Driver) Create(ctx context.Context, name string, data []byte, labels map[string]string) (string, error) {
	return d.change(ctx, name, data, func(s *secret) error {
		if s.version() != "" {
			return keystore.Errorf(keystore.AlreadyExists, "secret %q already exists", name)
		}
		return s.label(labels)
	})
}

// Put is keystore.Driver's.
func (d *Driver) Put(ctx context.Context, name string, data []byte, labels map[string]string) (string, error) {
	return d.change(ctx, name, data, func(s *secret) error { return s.label(labels) })
}

// Replace is keystore.Driver's.
func (d *Driver) Replace(ctx context.Context, name, version string, data []byte) (string, error) {
	return d.change(ctx, name, data, func(s *secret) error {
		switch {
		case s.made || s.version() == "":
			return notFound(name)
		case s.version() != version:
			return keystore.Errorf(keystore.Conflict, "secret %q is at another version", name)
		}
		return nil
	})
}

// Get is keystore.Driver's.
func (d *Driver) Get(ctx context.Context, name string) ([]byte, string, error) {
	if err := keystore.CheckRead(ctx, name); err != nil {
		return nil, "", err
	}
	data, version, err := d.access(ctx, name, aliasCurrent)
	if keystore.CodeOf(err) == keystore.Conflict { // somebody disabled it by hand
		return nil, "", keystore.Errorf(keystore.Denied, "%w", err)
	}
	return data, version, err
}

// GetVersion is keystore.Driver's.
func (d *Driver) GetVersion(ctx context.Context, name, version string) ([]byte, error) {
	if err := keystore.CheckRead(ctx, name); err != nil {
		return nil, err
	}
	number, _, ok := strings.Cut(version, ".")
	if _, err := strconv.ParseUint(number, 10, 32); err != nil || !ok || number[0] == '0' {
		return nil, notFound(name)
	}
	data, got, err := d.access(ctx, name, number)
	switch {
	case keystore.CodeOf(err) == keystore.Conflict: // destroyed or disabled
		return nil, notFound(name)
	case err != nil:
		return nil, err
	case got != version: // of a secret deleted since
		return nil, notFound(name)
	}
	return data, nil
}

// access reads a version by its number or alias.
func (d *Driver) access(ctx context.Context, name, version string) ([]byte, string, error) {
	client, err := d.open(ctx)
	if err != nil {
		return nil, "", err
	}
	res, err := client.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{
		Name: d.path(name) + "/versions/" + version,
	})
	if err != nil {
		return nil, "", failure(name, err)
	}
	data := res.GetPayload().GetData()
	if sum := res.GetPayload().DataCrc32C; sum != nil && *sum != checksum(data) {
		return nil, "", keystore.Errorf(keystore.Unavailable, "secret %q was damaged on the way", name)
	}
	return data, versionOf(res.GetName()[strings.LastIndexByte(res.GetName(), '/')+1:], data), nil
}

// Delete is keystore.Driver's.
func (d *Driver) Delete(ctx context.Context, name string) error {
	if err := keystore.CheckRead(ctx, name); err != nil {
		return err
	}
	client, err := d.open(ctx)
	if err != nil {
		return err
	}
	if err := client.DeleteSecret(ctx, &secretmanagerpb.DeleteSecretRequest{Name: d.path(name)}); err != nil {
		return failure(name, err)
	}
	return nil
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

// entries reads the whole list, since the service orders by the hash.
func (d *Driver) entries(ctx context.Context, labels map[string]string) ([]keystore.Entry, error) {
	if err := keystore.CheckContext(ctx); err != nil {
		return nil, err
	}
	client, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	secrets := client.ListSecrets(ctx, &secretmanagerpb.ListSecretsRequest{
		Parent: "projects/" + d.project, Filter: filter(labels), PageSize: 500,
	})
	var entries []keystore.Entry
	for {
		pb, err := secrets.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			return nil, failure("", err)
		}
		s := &secret{Secret: pb}
		if e, ok := s.entry(); ok && keystore.HasLabels(e.Labels, labels) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b keystore.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries, nil
}

// changeTries bounds the attempts of a write against others.
const changeTries = 20

// change adds a version and moves the alias to it. prepare sees the secret,
// made if there was none, and sets its labels or refuses; it may run again.
func (d *Driver) change(ctx context.Context, name string, data []byte, prepare func(*secret) error) (string, error) {
	if err := keystore.CheckWrite(ctx, name, data); err != nil {
		return "", err
	}
	client, err := d.open(ctx)
	if err != nil {
		return "", err
	}
	w := write{client: client, driver: d, name: name, data: data}
	for try := range changeTries {
		version, err := w.try(ctx, prepare)
		if r, ok := errors.AsType[refused](err); ok {
			return "", r.error
		}
		if keystore.CodeOf(err) != keystore.Conflict {
			return version, err
		}
		if err := sleep(ctx, time.Duration(try)*10*time.Millisecond); err != nil {
			return "", err
		}
	}
	return "", keystore.Errorf(keystore.Unavailable, "secret %q is written by too many at once", name)
}

func (d *Driver) path(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "projects/" + d.project + "/secrets/perigee-" + hex.EncodeToString(sum[:])
}

// versionOf names a version by its number, and by the data's checksum, as
// numbers begin at 1 again after a Delete.
func versionOf(number string, data []byte) string {
	return fmt.Sprintf("%s.%08x", number, checksum(data))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) int64 { return int64(crc32.Checksum(data, castagnoli)) }

// filter selects by what of the labels is in Secret Manager's.
// https://cloud.google.com/secret-manager/docs/filtering
func filter(labels map[string]string) string {
	terms := []string{"labels." + labelOwner + "=" + owner}
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		terms = append(terms, "labels."+labelKey(k)+"="+labelValue(labels[k]))
	}
	return strings.Join(terms, " AND ")
}

// failure gives an error of the service its code.
func failure(name string, err error) error {
	code := keystore.Unavailable
	switch status.Code(err) {
	case codes.NotFound:
		return notFound(name)
	case codes.AlreadyExists:
		code = keystore.AlreadyExists
	case codes.InvalidArgument:
		code = keystore.Invalid
	case codes.FailedPrecondition, codes.Aborted:
		code = keystore.Conflict
	case codes.PermissionDenied, codes.Unauthenticated:
		code = keystore.Denied
	}
	return keystore.Errorf(code, "secret %q: %w", name, err)
}

func notFound(name string) error {
	return keystore.Errorf(keystore.NotFound, "secret %q does not exist", name)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return keystore.CheckContext(ctx)
	}
}

// mask is what a write changes.
var mask = &fieldmaskpb.FieldMask{Paths: []string{"labels", "annotations", "version_aliases"}}
