//go:build samples

package oasvalidation

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var isOpenAPI = regexp.MustCompile(`(?m)^ *"?openapi"?: *["']?3`)

// TestSamples compiles every OpenAPI document beneath the directory that
// PERIGEE_SAMPLES names; they are not part of this repository:
//
//	PERIGEE_SAMPLES=DIR go test -tags samples -run TestSamples -v
func TestSamples(t *testing.T) {
	root := os.Getenv("PERIGEE_SAMPLES")
	n, paths := 0, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".yaml", ".yml", ".json":
		default:
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil || !isOpenAPI.Match(data) || bytes.Contains(data, []byte("{%")) {
			return err
		}
		n++
		doc, err := compile(data)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		paths += len(doc.paths)
		if len(doc.warnings) > 0 {
			t.Log(path, doc.warnings)
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Fatalf("%d documents, %v", n, err)
	}
	t.Logf("%d documents with %d paths", n, paths)
}
