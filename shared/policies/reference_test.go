package policies_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/bundle/schematest"
	"github.com/perigee-gateway/perigee/shared/policies"
	"github.com/perigee-gateway/perigee/shared/policy"
)

//go:generate go test -run TestReference|TestPages -update .

// update says to write the page; the flag is policytest's.
func update() bool { return flag.Lookup("update").Value.String() == "true" }

const (
	page = "../../docs/policies/README.md"
	// schemas are Apigee's public ones (Apache-2.0, see LICENSE and NOTICE there).
	schemas = "testdata/policy-schemas"
)

// unknown is how a policy says that an element is none of its own.
var unknown = regexp.MustCompile(`<([A-Za-z0-9]+)> is not an element of`)

// TestReference counts, for every policy, which elements of its XSD it knows, and
// writes the table of docs/policies/README.md. No element may be ignored without
// a word: one that a policy does not know is a problem of the bundle that has it.
func TestReference(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(head)
	kinds := policies.Kinds()
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		b.WriteString(row(t, kinds[name]))
	}
	got := b.String()
	if update() {
		if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not current: go generate ./shared/policies", page)
	}
}

const head = `# Policies

<!-- Written by go generate ./shared/policies. -->

Elements are those of Apigee's XSD that the policy knows, of all it lists; where there
is no XSD, of those that the documentation's tables have (shared/policies/testdata/elements). An element that a policy does not know is a warning when
a bundle is imported, with what was meant when it looks misspelt: none is ignored without a
word. Cases are txtar files, each with real XML and exact results.

| policy | package | status | elements | cases | benchmark | what it does |
|---|---|---|---|---|---|---|
`

func row(t *testing.T, k policy.Kind) string {
	dir := strings.ToLower(k.Name)
	status := "runs"
	if k.Config == nil {
		status = "refused with the reason"
	}
	if _, err := os.Stat(dir); err != nil {
		return fmt.Sprintf("| %s | | %s | – | – | – | |\n", k.Name, status)
	}
	cases, _ := filepath.Glob(filepath.Join(dir, "testdata", "*.txtar"))
	name, known, bench := k.Name, elements(t, k), benchmarked(t, dir)
	if k.Config != nil {
		name = fmt.Sprintf("[%s](%s.md)", k.Name, dir)
		if known == "–" || bench != "yes" || len(cases) == 0 {
			t.Errorf("%s: elements %s, %d cases, benchmark %s: a policy that runs has all of them", k.Name, known, len(cases), bench)
		}
	}
	return fmt.Sprintf("| %s | [%s](../../shared/policies/%s) | %s | %s | %d | %s | %s |\n",
		name, dir, dir, status, known, len(cases), bench, strings.ReplaceAll(synopsis(t, dir), "<", "&lt;"))
}

// elements counts what the policy knows of its XSD and names what it does not.
func elements(t *testing.T, k policy.Kind) string {
	if k.Config == nil {
		return "–"
	}
	paths := listed(t, k.Name)
	if len(paths) == 0 {
		return "–"
	}
	var missing []string
	for _, p := range paths {
		if !known(k, p) {
			missing = append(missing, p)
		}
	}
	s := fmt.Sprintf("%d of %d", len(paths)-len(missing), len(paths))
	if len(missing) > 0 {
		s += ", not " + strings.Join(missing, ", ")
	}
	return s
}

// listed is what the XSD of a policy lists, or where there is none the list that was
// made from the documentation.
func listed(t *testing.T, kind string) []string {
	root := kind
	if kind == "DeleteOAuthV2Info" {
		root = "DeleteAuthV2Info" // as the schema calls it
	}
	if _, err := os.Stat(filepath.Join(schemas, root+".xsd")); err == nil {
		return schematest.Read(t, filepath.Join(schemas, root+".xsd")).Elements(root)
	}
	data, _ := os.ReadFile(filepath.Join("testdata", "elements", kind+".txt"))
	_, list, _ := strings.Cut(string(data), "\n") // behind the source
	return strings.Fields(list)
}

// known compiles a policy that holds nothing but the element at path and looks
// whether it is reported as unknown.
func known(k policy.Kind, path string) bool {
	names := strings.Split(path, "/")
	var b strings.Builder
	fmt.Fprintf(&b, `<%s name="p">`, k.Name)
	for _, n := range names {
		fmt.Fprintf(&b, "<%s>", n)
	}
	for _, n := range slices.Backward(names) {
		fmt.Fprintf(&b, "</%s>", n)
	}
	fmt.Fprintf(&b, "</%s>", k.Name)
	root, err := bundle.ParseXML("policies/p.xml", []byte(b.String()))
	if err != nil {
		return false
	}
	var problems bundle.Problems
	env := policy.NewEnv("org", "test", &bundle.Bundle{Kind: bundle.KindAPIProxy}, policy.Services{}, &problems)
	k.Build(&bundle.Policy{Name: "p", Kind: k.Name, File: "policies/p.xml", Root: root, Enabled: true}, env)
	for _, p := range problems {
		if m := unknown.FindStringSubmatch(p.Message); m != nil && slices.Contains(names, m[1]) {
			return false
		}
	}
	return true
}

func benchmarked(t *testing.T, dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("func Benchmark")) {
			return "yes"
		}
	}
	return "no"
}

// synopsis is the first sentence of the package comment.
func synopsis(t *testing.T, dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if file.Doc == nil {
			continue
		}
		s := new(doc.Package).Synopsis(file.Doc.Text())
		_, s, _ = strings.Cut(s, " ") // "Package"
		_, s, _ = strings.Cut(s, " ") // its name
		return strings.ReplaceAll(strings.TrimSuffix(s, "."), "|", `\|`)
	}
	return ""
}
