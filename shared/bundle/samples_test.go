package bundle

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestSamples loads every bundle of a checkout of GoogleCloudPlatform's
// apigee-samples, named by PERIGEE_SAMPLES.
func TestSamples(t *testing.T) {
	root := os.Getenv("PERIGEE_SAMPLES")
	if root == "" {
		t.Skip("PERIGEE_SAMPLES names no checkout")
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || d.Name() != "apiproxy" && d.Name() != "sharedflowbundle" {
			return err
		}
		t.Run(path, func(t *testing.T) {
			b, err := LoadDir(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Warnings) > 0 {
				t.Log(b.Warnings)
			}
		})
		return fs.SkipDir
	})
	if err != nil {
		t.Fatal(err)
	}
}
