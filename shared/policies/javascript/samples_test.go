package javascript

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// TestSamples compiles every Javascript policy beneath the directory that
// PERIGEE_SAMPLES names and logs what each does with a response in JSON.
func TestSamples(t *testing.T) {
	root := os.Getenv("PERIGEE_SAMPLES")
	if root == "" {
		return
	}
	filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".xml" || filepath.Base(filepath.Dir(path)) != "policies" {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), "<Javascript") {
			t.Run(strings.TrimPrefix(path, root), func(t *testing.T) { sample(t, path, data) })
		}
		return err
	})
}

func sample(t *testing.T, path string, data []byte) {
	el, err := bundle.ParseXML(filepath.Base(path), data)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle.Bundle{}
	scripts, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "../resources/jsc/*.js"))
	for _, s := range scripts {
		text, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		b.Resources = append(b.Resources, source(filepath.Base(s), string(text)))
	}
	var problems bundle.Problems
	env := policy.NewEnv("org", "test", b, policy.Services{Callouts: &outbound{}}, &problems)
	name, _ := el.Attr("name")
	p := Kind.Build(&bundle.Policy{Name: name, Root: el}, env)
	if p == nil {
		t.Fatal(problems)
	}
	req, resp := env.ContentUsed()
	fc := policytest.Context(t, map[string][]byte{"response": []byte("200 OK\n\n" + `{"candidates":[{"content":{"parts":[{"text":"hi"}]}}],"access_token":"a","issued_at":"1700000000000","expires_in":"3"}`)})
	err = p.Run(t.Context(), fc)
	t.Logf("request %v response %v; %v; %s", req, resp, err, policytest.Print(fc.Response))
	for name, v := range fc.Variables() {
		t.Logf("%s = %s", name, v)
	}
}
