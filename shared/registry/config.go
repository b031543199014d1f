package registry

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// ErrChanged is that an environment changed while it was read outside of a
// transaction: what was read does not fit together, so begin again with a new
// stamp.
var ErrChanged = errors.New("the environment changed while it was read")

// partBytes is how much of a Config goes into one document.
const partBytes = 900 << 10

// partHeader is what each document of a Config begins with: the version of the
// stamp it was written with, and the number of documents, both big-endian.
const partHeader = 8 + 4

// ConfigKeys are the documents of an environment's Config.
func ConfigKeys(s *entity.Stamp, env string) []store.Key {
	keys := make([]store.Key, max(1, s.Parts[env]))
	for n := range keys {
		keys[n] = entity.ConfigKey(s.Organization, env, n)
	}
	return keys
}

// encodeConfig makes the documents of a Config.
func encodeConfig(org, env string, version int64, c *entity.Config) ([]store.Doc, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("configuration of environment %s: %w", env, err)
	}
	return splitConfig(org, env, version, data), nil
}

// splitConfig makes the documents of a Config that is JSON already.
func splitConfig(org, env string, version int64, data []byte) []store.Doc {
	parts := slices.Collect(slices.Chunk(data, partBytes))
	docs := make([]store.Doc, len(parts))
	for n, part := range parts {
		head := binary.BigEndian.AppendUint64(make([]byte, 0, partHeader+len(part)), uint64(version))
		head = binary.BigEndian.AppendUint32(head, uint32(len(parts)))
		docs[n] = store.Doc{
			Key: entity.ConfigKey(org, env, n), Fields: map[string]string{"org": org}, Data: append(head, part...),
		}
	}
	return docs
}

// DecodeConfig reads a Config from its documents, as ConfigKeys names them; if
// there are none it is empty. It is ErrChanged if they do not belong together.
func DecodeConfig(docs []store.Doc) (*entity.Config, error) {
	c := new(entity.Config)
	if len(docs) == 0 || !docs[0].Found() {
		return c, nil
	}
	data, err := joinConfig(docs)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("decode %s: %w", docs[0].Key, err)
	}
	return c, nil
}

// joinConfig is the JSON of a Config that is in docs; ErrChanged if they do not
// belong together.
func joinConfig(docs []store.Doc) ([]byte, error) {
	var data []byte
	for _, d := range docs {
		if len(d.Data) < partHeader || string(d.Data[:partHeader]) != string(docs[0].Data[:partHeader]) {
			return nil, ErrChanged
		}
		data = append(data, d.Data[partHeader:]...)
	}
	if int(binary.BigEndian.Uint32(docs[0].Data[8:])) != len(docs) {
		return nil, ErrChanged
	}
	return data, nil
}
