package registry

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/archive"
	"github.com/perigee-gateway/perigee/shared/entity"
)

// Archives keeps what entity.Archive refers to: bundles and resource files.
type Archives struct{ archives *archive.Archives }

// Save stores data under an id that has not been used.
func (a Archives) Save(ctx context.Context, id string, data []byte) (entity.Archive, error) {
	ref, err := a.archives.Keep(ctx, id, data)
	return entity.Archive(ref), err
}

// Load reads files, in order, in one exchange with the store.
func (a Archives) Load(ctx context.Context, files ...entity.Archive) ([][]byte, error) {
	refs := make([]archive.Ref, len(files))
	for i, f := range files {
		refs[i] = archive.Ref(f)
	}
	return a.archives.Load(ctx, refs...)
}

// Delete removes a file and what is left of it after a failed Save.
func (a Archives) Delete(ctx context.Context, id string) error { return a.archives.Discard(ctx, id) }
