package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestCurrent(t *testing.T) {
	for name, make := range files {
		got, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(got, make()) {
			t.Errorf("%s is not what the code says: run go generate ./scripts/...", name)
		}
	}
}
