package local_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/keystore/keystoretest"
	"github.com/perigee-gateway/perigee/shared/keystore/local"
)

func TestDriver(t *testing.T) {
	keystoretest.Run(t, func(t *testing.T) (keystore.Driver, func() keystore.Driver) {
		dir := filepath.Join(t.TempDir(), "not", "yet")
		return local.New(dir), func() keystore.Driver { return local.New(dir) }
	})
}

// Private keys lie here in the clear: no other user may read them.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	d := local.New(dir)
	if _, err := d.Put(t.Context(), "a/B", []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	secrets := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir() && info.Mode().Perm() != 0o700:
			t.Errorf("%s is %v", path, info.Mode())
		case filepath.Ext(path) == ".secret":
			secrets++
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s is %v", path, info.Mode())
			}
		}
		return nil
	})
	if err != nil || secrets != 1 {
		t.Errorf("%d secrets, %v", secrets, err)
	}
}

// A crash while writing leaves a temporary file; it is no secret.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	d := local.New(dir)
	if _, err := d.Put(t.Context(), "a", []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "new-1.tmp"), []byte(`{"na`), 0o600); err != nil {
		t.Fatal(err)
	}
	for e, err := range d.List(t.Context(), nil) {
		if err != nil || e.Name != "a" {
			t.Errorf("listed %v, %v", e, err)
		}
	}
}

func TestBrokenFile(t *testing.T) {
	dir := t.TempDir()
	d := local.New(dir)
	for content, want := range map[string]keystore.Code{
		`{"na`:                       keystore.Invalid,
		`{"name":"b","data":"eA=="}`: keystore.Invalid,
	} {
		if err := os.WriteFile(filepath.Join(dir, "a.secret"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.Get(t.Context(), "a"); keystore.CodeOf(err) != want || err == nil {
			t.Errorf("%s: %v", content, err)
		}
		// Put mends it.
		if _, err := d.Put(t.Context(), "a", []byte("x"), nil); err != nil {
			t.Errorf("%s: put: %v", content, err)
		}
	}
}
