//go:build suite

package jsonschema_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/jsonschema"
)

// beyond are the files about what we leave out: formats assert here, other
// documents are not there, and of internationalized names nothing is said.
var beyond = []string{"format.json", "vocabulary.json", "idn-email.json", "idn-hostname.json"}

// TestSuite runs JSON Schema's own suite, https://github.com/json-schema-org/JSON-Schema-Test-Suite,
// which is not part of this repository:
//
//	PERIGEE_SUITE=DIR go test -tags suite -run TestSuite ./shared/jsonschema
func TestSuite(t *testing.T) {
	root := os.Getenv("PERIGEE_SUITE")
	for name, dialect := range map[string]jsonschema.Dialect{"draft4": jsonschema.Draft4, "draft2020-12": jsonschema.Draft2020} {
		files, _ := filepath.Glob(filepath.Join(root, "tests", name, "*.json"))
		more, _ := filepath.Glob(filepath.Join(root, "tests", name, "optional", "format", "*.json"))
		if len(files) == 0 {
			t.Fatal("no suite")
		}
		passed, failed, left := 0, 0, 0
		for _, file := range append(files, more...) {
			if slices.Contains(beyond, filepath.Base(file)) {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var groups []struct {
				Description string
				Schema      json.RawMessage
				Tests       []struct {
					Description string
					Data        json.RawMessage
					Valid       bool
				}
			}
			if err := json.Unmarshal(text, &groups); err != nil {
				t.Fatal(file, err)
			}
			for _, g := range groups {
				s, err := compile(dialect, decode(t, g.Schema), "")
				if err != nil {
					left += len(g.Tests)
					t.Logf("%s: %s: %v", filepath.Base(file), g.Description, err)
					continue
				}
				for _, tt := range g.Tests {
					if got := len(s.Validate(decode(t, tt.Data))) == 0; got != tt.Valid {
						failed++
						t.Errorf("%s %s: %s: %s: %v, want %v", name, strings.TrimPrefix(file, root), g.Description, tt.Description, got, tt.Valid)
					} else {
						passed++
					}
				}
			}
		}
		t.Logf("%s: %d passed, %d failed, %d not compiled", name, passed, failed, left)
	}
}
