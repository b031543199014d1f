//go:build jsontestsuite

package jsonthreatprotection

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// TestSuite reads the cases of github.com/nst/JSONTestSuite, which is not part of
// this repository, from the directory in PERIGEE_JSONTESTSUITE:
//
//	PERIGEE_JSONTESTSUITE=DIR/test_parsing go test -tags jsontestsuite -run TestSuite -v
//
// y_ must pass and n_ must not, but for bodies that are blank, which a message
// without a body has. i_ may do either.
func TestSuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(os.Getenv("PERIGEE_JSONTESTSUITE"), "*.json"))
	if err != nil || len(files) < 300 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	p := policytest.Compile(t, Kind, `<JSONThreatProtection name="JTP-1"/>`, policy.Services{})
	counts := map[string]int{}
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/a\nContent-Type: application/json\n")})
		fc.Request.SetContent(body)
		var n uint64
		err = nil
		n = allocated(func() { err = p.Run(t.Context(), fc) })
		if n > 256<<10 { // a count for each of 10000 levels, as it grows
			t.Errorf("%s: %d bytes allocated", filepath.Base(f), n)
		}
		base := filepath.Base(f)
		verdict := "passes"
		if err != nil {
			verdict = "refused"
		}
		counts[base[:1]+" "+verdict]++
		if blank := len(bytes.TrimSpace(body)) == 0; base[0] == 'y' && err != nil || base[0] == 'n' && err == nil && !blank {
			t.Errorf("%s: %v", base, err)
		}
	}
	t.Logf("%d files: %v", len(files), counts)
}
