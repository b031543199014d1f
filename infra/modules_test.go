package infra_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/firestore"
)

// TestArguments holds every resource and data source against its documented
// schema, without Terraform: it exists, its arguments and blocks do, are settable,
// and none is missing.
func TestArguments(t *testing.T) {
	schemas := map[string]*schema{}
	for _, name := range []string{"google", "aws"} {
		s, err := readSchema(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		schemas[name] = s
	}
	checked := 0
	for _, b := range blocks(t) {
		if b.Type != "resource" && b.Type != "data" {
			continue
		}
		kind := b.Labels[0]
		provider, _, _ := strings.Cut(kind, "_")
		s := schemas[provider]
		if s == nil {
			t.Errorf("%s: no provider %s", b.DefRange(), provider)
			continue
		}
		known := s.Resources[kind]
		if b.Type == "data" {
			known = s.Data[kind]
		}
		if known == nil {
			t.Errorf("%s: %s %s is not documented in testdata", b.DefRange(), b.Type, kind)
			continue
		}
		checkBody(t, b.Body, known, true)
		checked++
	}
	if checked < 60 {
		t.Errorf("only %d resources were found", checked)
	}
}

// metaArguments are Terraform's own.
var metaArguments = []string{"count", "for_each", "provider", "depends_on", "lifecycle", "provisioner", "connection"}

func checkBody(t *testing.T, body *hclsyntax.Body, known *block, top bool) {
	t.Helper()
	set := map[string]bool{}
	for name, a := range body.Attributes {
		set[name] = true
		if top && slices.Contains(metaArguments, name) {
			continue
		}
		k, ok := known.Attributes[name]
		switch {
		case !ok:
			t.Errorf("%s: no argument %s", a.Range(), name)
		case !k.Required && !k.Optional:
			t.Errorf("%s: %s cannot be set", a.Range(), name)
		}
	}
	for _, inner := range body.Blocks {
		name, content := inner.Type, inner.Body
		if top && slices.Contains(metaArguments, name) {
			continue
		}
		if name == "dynamic" {
			name = inner.Labels[0]
			for _, c := range inner.Body.Blocks {
				if c.Type == "content" {
					content = c.Body
				}
			}
		}
		set[name] = true
		k, ok := known.Blocks[name]
		if !ok {
			t.Errorf("%s: no block %s", inner.DefRange(), name)
			continue
		}
		checkBody(t, content, k.Block, false)
	}
	for name, k := range known.Attributes {
		if k.Required && !set[name] {
			t.Errorf("%s: %s is missing", body.Range(), name)
		}
	}
	for name, k := range known.Blocks {
		if k.Required && !set[name] {
			t.Errorf("%s: block %s is missing", body.Range(), name)
		}
	}
}

// blocks are the top-level blocks of all .tf files.
func blocks(t *testing.T) []*hclsyntax.Block {
	t.Helper()
	var out []*hclsyntax.Block
	p := hclparse.NewParser()
	for _, m := range modules {
		files, err := filepath.Glob(filepath.Join(m, "*.tf"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no configuration in %s (%v)", m, err)
		}
		for _, f := range files {
			parsed, diags := p.ParseHCLFile(f)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			out = append(out, parsed.Body.(*hclsyntax.Body).Blocks...)
		}
	}
	return out
}

// TestCollections compares what Firestore is told with the table of collections.
// TestTerraform compares it with what is planned.
func TestCollections(t *testing.T) {
	data, err := os.ReadFile("gcp/collections.tf.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Locals struct {
			Collections     map[string]struct{ TTL bool }
			TTLField        string   `json:"ttl_field"`
			UnindexedFields []string `json:"unindexed_fields"`
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	l := file.Locals
	if len(l.Collections) != len(store.Collections) {
		t.Errorf("%d collections, want %d", len(l.Collections), len(store.Collections))
	}
	for _, c := range store.Collections {
		if got, ok := l.Collections[c.Name]; !ok || got.TTL != c.TTL {
			t.Errorf("%s: %v %v, want ttl %v", c.Name, ok, got, c.TTL)
		}
	}
	if l.TTLField != firestore.ExpireAtField || !slices.Equal(l.UnindexedFields, firestore.UnindexedFields()) {
		t.Errorf("fields %s %v", l.TTLField, l.UnindexedFields)
	}
	// Firestore takes this many overrides of single fields in a database:
	// https://cloud.google.com/firestore/quotas#indexes
	if n := len(l.Collections)*len(l.UnindexedFields) + len(store.TTLCollections()); n > 200 {
		t.Errorf("%d overrides of single fields; 200 are allowed without billing", n)
	}
}

// planned is a Terraform test that compares the planned resources with the table.
func planned() string {
	var ttl, unindexed []string
	for _, c := range store.Collections {
		if c.TTL {
			ttl = append(ttl, c.Name+"."+firestore.ExpireAtField)
		}
		for _, f := range firestore.UnindexedFields() {
			unindexed = append(unindexed, c.Name+"."+f)
		}
	}
	list := func(names []string) string {
		b, _ := json.Marshal(names)
		return string(b)
	}
	return fmt.Sprintf(`
mock_provider "google" {}

run "collections" {
  command = plan
  variables {
    project      = "acme-apis"
    regions      = ["europe-west1"]
    organization = "acme"
    image        = "image"
    firestore    = { location = "europe-west1" }
    gateways     = { test = {} }
  }
  assert {
    condition     = toset([for f in google_firestore_field.ttl : "${f.collection}.${f.field}"]) == toset(%s)
    error_message = "TTL policies"
  }
  assert {
    condition     = alltrue([for f in google_firestore_field.ttl : length(f.ttl_config) == 1 && length(f.index_config) == 1 && length(f.index_config[0].indexes) == 0])
    error_message = "TTL policies have a TTL and no index"
  }
  assert {
    condition     = toset([for f in google_firestore_field.unindexed : "${f.collection}.${f.field}"]) == toset(%s)
    error_message = "exemptions"
  }
  assert {
    condition     = alltrue([for f in google_firestore_field.unindexed : length(f.ttl_config) == 0 && length(f.index_config) == 1 && length(f.index_config[0].indexes) == 0])
    error_message = "exemptions have no index and no TTL"
  }
}
`, list(ttl), list(unindexed))
}

var (
	environmentName = regexp.MustCompile(`\bPERIGEE_[A-Z_]+`)
	grantedRole     = regexp.MustCompile(`"roles/([\w.]+)"`)
)

// TestVariables holds the environment variables that modules set against those
// that there are.
func TestVariables(t *testing.T) {
	known := map[string]bool{}
	for _, v := range boot.Variables {
		known[v.Name] = true
	}
	for name, text := range sources(t) {
		for _, v := range environmentName.FindAllString(text, -1) {
			if !known[v] && v != "PERIGEE_" {
				t.Errorf("%s: there is no %s", name, v)
			}
		}
	}
}

// TestRoles holds the roles that modules grant against those docs/SECURITY.md
// gives a reason for.
func TestRoles(t *testing.T) {
	doc, err := os.ReadFile("../docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for name, text := range sources(t) {
		for _, m := range grantedRole.FindAllStringSubmatch(text, -1) {
			found++
			if role := m[1]; strings.HasSuffix(role, "dmin") || role == "owner" || role == "editor" || role == "viewer" {
				t.Errorf("%s grants %s", name, role)
			}
			if !strings.Contains(string(doc), "`"+"roles/"+m[1]+"`") {
				t.Errorf("%s grants roles/%s, which docs/SECURITY.md does not explain", name, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no role is granted")
	}
}

// sources are the texts of all .tf files, by name.
func sources(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, m := range modules {
		files, _ := filepath.Glob(filepath.Join(m, "*.tf"))
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out[f] = string(data)
		}
	}
	return out
}
