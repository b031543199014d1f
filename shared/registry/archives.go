package registry

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/archive"
	"github.com/perigee-gateway/perigee/shared/entity"
)

// Archives keeps what entity.Archive refers to: bundles and resource files.
type Archives struct{ *archive.Archives }

// Save stores data under an id that has not been used.
func (a Archives) Save(ctx context.Context, id string, data []byte) (entity.Archive, error) {
	info, err := a.Put(ctx, id, data)
	return entity.Archive{ID: id, Upload: info.Upload, Chunks: info.Chunks, Size: info.Size, SHA256: info.SHA256}, err
}

// Load reads files, in order, in one exchange with the store.
func (a Archives) Load(ctx context.Context, files ...entity.Archive) ([][]byte, error) {
	infos := make([]archive.Info, len(files))
	for i, f := range files {
		infos[i] = archive.Info{Size: f.Size, SHA256: f.SHA256, Chunks: f.Chunks, Upload: f.Upload}
	}
	return a.Archives.Load(ctx, infos...)
}
