package bundle

import (
	"archive/zip"
	"bytes"
	"cmp"
	"path"
	"slices"
)

// Zip packs the files of b, as they were loaded, under the folder of its kind.
// The same files give the same bytes.
func Zip(b *Bundle) ([]byte, error) { return pack(b.Kind, b.files) }

// ZipDir packs the bundle LoadDir would read, without looking into its files.
func ZipDir(name string) ([]byte, error) {
	kind, files, problems, err := readDir(name)
	if err != nil {
		return nil, err
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	return pack(kind, files)
}

func pack(kind Kind, files []file) ([]byte, error) {
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for _, f := range files {
		w, err := zw.Create(path.Join(kind.Folder(), f.name)) // no time: it would change the bytes
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
