package keystore

import (
	"context"
	"iter"
	"unicode/utf8"
)

// MaxData is the most bytes one secret holds: Secret Manager's limit, held by
// every driver (https://cloud.google.com/secret-manager/quotas).
const MaxData = 64 << 10

// Driver keeps named secrets. It is made for those who write an engine: all
// validation and all meaning is in Store. Names and label values are arbitrary
// non-empty UTF-8 text; an engine escapes or hashes what its own rules forbid,
// and gives the original back from List.
//
// Every error is, or wraps, an *Error. Methods may be called concurrently, by
// several processes too. keystoretest is the specification.
type Driver interface {
	// Create stores a new secret; AlreadyExists if there is one of that name.
	// Of several concurrent calls exactly one succeeds.
	Create(ctx context.Context, name string, data []byte, labels map[string]string) (version string, err error)

	// Put stores a secret, whether there was one or not. The version differs
	// from every earlier one of that name whose data differed, so that a
	// reader may cache by it.
	Put(ctx context.Context, name string, data []byte, labels map[string]string) (version string, err error)

	// Replace stores new data in a secret whose current version is version;
	// Conflict if it has another by now, NotFound if there is none.
	Replace(ctx context.Context, name, version string, data []byte) (newVersion string, err error)

	// Get returns the current data and version of a secret, or NotFound. What
	// another process wrote just now may not show yet.
	Get(ctx context.Context, name string) (data []byte, version string, err error)

	// GetVersion returns the data of one version, as a write of it by another
	// process is sure to be seen; NotFound if it is not kept. An engine keeps
	// the current version at least.
	GetVersion(ctx context.Context, name, version string) (data []byte, err error)

	// Delete removes a secret with all its versions, or returns NotFound.
	Delete(ctx context.Context, name string) error

	// List yields the secrets that have all the given labels, ordered by name.
	// It never reads their data.
	List(ctx context.Context, labels map[string]string) iter.Seq2[Entry, error]

	// Close releases what the driver holds open.
	Close() error
}

// Entry is a secret as List yields it.
type Entry struct {
	Name   string
	Labels map[string]string
}

// MaxName is the most bytes a secret's name has.
const MaxName = 6 << 10

// CheckWrite is what an engine checks before it stores: CheckRead, and that
// the data has 1 to MaxData bytes.
func CheckWrite(ctx context.Context, name string, data []byte) error {
	if len(data) == 0 || len(data) > MaxData {
		return Errorf(Invalid, "secret %.64q has %d bytes, not 1 to %d", name, len(data), MaxData)
	}
	return CheckRead(ctx, name)
}

// CheckRead is what an engine checks before it reads or deletes: that the name
// is of 1 to MaxName bytes of UTF-8, and that the context is alive.
func CheckRead(ctx context.Context, name string) error {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
		return Errorf(Invalid, "secret name %.64q is not of 1 to %d bytes of UTF-8", name, MaxName)
	}
	return CheckContext(ctx)
}

// CheckContext is Unavailable if the context is done.
func CheckContext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return Errorf(Unavailable, "keystore: %w", err)
	}
	return nil
}

// HasLabels reports whether have holds every label of want.
func HasLabels(have, want map[string]string) bool {
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}
