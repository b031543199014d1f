package policies_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/perigee-gateway/perigee/shared/policies"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// headings are those of every page, in order.
var headings = []string{"Name", "Description", "Elements", "Variables", "Errors", "Examples", "Differences from Apigee"}

// TestPages writes a page for each policy from its package comment, its Config and
// its cases, which the package's own tests compile and run; and holds the pages to
// that.
func TestPages(t *testing.T) {
	for _, k := range policies.All {
		if k.Config == nil {
			continue
		}
		got := pageOf(t, k)
		file := filepath.Join(filepath.Dir(page), strings.ToLower(k.Name)+".md")
		if update() {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not current (%v): go generate ./shared/policies", file, err)
		}
	}
}

func pageOf(t *testing.T, k policy.Kind) []byte {
	t.Helper()
	dir := strings.ToLower(k.Name)
	doc := splitDoc(packageComment(t, dir))
	var b bytes.Buffer
	for _, h := range headings {
		fmt.Fprintf(&b, "## %s\n\n", h)
		switch h {
		case "Name":
			fmt.Fprintf(&b, "`<%s>`, package [%s](../../shared/policies/%s)\n\n", k.Name, dir, dir)
		case "Elements":
			b.WriteString(elementTable(t, k))
		case "Examples":
			b.WriteString(examples(t, dir))
		default:
			text := doc[h]
			if text == "" {
				text = map[string]string{"Variables": "None of its own.", "Errors": "None.", "Differences from Apigee": "None that is known; see [DIFFERENCES](../DIFFERENCES.md) for what is common to all."}[h]
			}
			if text == "" {
				t.Errorf("%s: the package comment has no %s", dir, h)
			}
			b.WriteString(text + "\n\n")
		}
	}
	return append([]byte("# "+k.Name+"\n\n<!-- Written by go generate ./shared/policies. -->\n\n"), bytes.TrimRight(b.Bytes(), "\n")...)
}

// packageComment is the text of a policy's package comment.
func packageComment(t *testing.T, dir string) string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, f := range files {
		file, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if file.Doc != nil && !strings.HasSuffix(f, "_test.go") {
			return file.Doc.Text()
		}
	}
	t.Fatalf("%s has no package comment", dir)
	return ""
}

// splitDoc sorts the paragraphs of a package comment under the headings. What begins
// with "Variables", "Faults", "Refused at deployment" or "Differences" is that, until
// the next of them; all else is the description.
func splitDoc(text string) map[string]string {
	out := map[string]string{}
	heading := "Description"
	_, text, _ = strings.Cut(text, " ") // "Package"
	for _, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		switch {
		case strings.HasPrefix(p, "Variable"):
			heading = "Variables"
		case strings.HasPrefix(p, "Fault"), strings.HasPrefix(p, "Refused at deployment"):
			heading = "Errors"
		case strings.HasPrefix(p, "Differences"), strings.HasPrefix(p, "# Differences"):
			heading = "Differences from Apigee"
		case !strings.HasPrefix(p, "  ") && heading != "Differences from Apigee":
			if strings.HasPrefix(p, "Source") {
				heading = "Description"
			}
		}
		if p = markdown(p); p != "" {
			out[heading] = strings.TrimLeft(out[heading]+"\n\n"+p, "\n")
		}
	}
	return out
}

// markdown makes a paragraph of a Go comment safe for Markdown.
func markdown(p string) string {
	if rest, ok := strings.CutPrefix(p, "# "); ok {
		_, p, _ = strings.Cut(rest, "\n")
	}
	if strings.HasPrefix(p, "\t") {
		return "```\n" + strings.ReplaceAll(strings.TrimPrefix(p, "\t"), "\n\t", "\n") + "\n```"
	}
	var lines []string
	for _, l := range strings.Split(p, "\n") {
		if rest, ok := strings.CutPrefix(l, "  - "); ok {
			l = "- " + rest
		} else if strings.HasPrefix(l, "    ") {
			l = "  " + strings.TrimSpace(l)
		}
		lines = append(lines, strings.NewReplacer("<", "&lt;", "*", `\*`, "_", `\_`).Replace(l))
	}
	return strings.Join(lines, "\n")
}

// elementTable lists what the Config reads.
func elementTable(t *testing.T, k policy.Kind) string {
	t.Helper()
	var rows []string
	w := walker{comments: comments(t), rows: &rows}
	w.structure(k.Config, k.Config.PkgPath()+"."+k.Config.Name(), "", 0)
	return "| element or attribute | kind | default | what it is |\n|---|---|---|---|\n" + strings.Join(rows, "") + "\n"
}

type walker struct {
	comments map[string]string // by PKGPATH.TYPE.FIELD
	rows     *[]string
}

// maxPath bounds how deep a page follows types that hold themselves.
const maxPath = 5

func (w walker) structure(typ reflect.Type, key, path string, depth int) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if f.Anonymous && inner.Kind() == reflect.Struct {
			if inner.Name() != "Common" || path == "" {
				w.structure(inner, nameOf(inner, key+"."+f.Name), path, depth)
			}
			continue
		}
		tag, ok := f.Tag.Lookup("xml")
		name, options, _ := strings.Cut(tag, ",")
		if !ok || name == "" {
			continue
		}
		w.field(f, inner, key, path, name, options, depth)
	}
}

func (w walker) field(f reflect.StructField, inner reflect.Type, key, path, name, options string, depth int) {
	at := strings.TrimPrefix(path+"/"+strings.ReplaceAll(name, ">", "/"), "/")
	if strings.Contains(options, "attr") {
		at = path + "@" + name
	}
	kind := map[reflect.Kind]string{reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer", reflect.Float64: "number", reflect.Struct: "", reflect.String: "text"}[inner.Kind()]
	if e := f.Tag.Get("enum"); e != "" {
		kind = strings.ReplaceAll(e, ",", ", ")
	}
	if f.Type.Kind() == reflect.Slice {
		kind = strings.TrimSpace(kind + " (any number)")
	}
	value := f.Tag.Get("default")
	switch {
	case strings.Contains(options, "required"):
		value = "required"
	case value == "" && inner.Kind() == reflect.Bool:
		value = "`false`"
	case value != "":
		value = "`" + value + "`"
	}
	text := strings.TrimSuffix(strings.TrimSpace(strings.ReplaceAll(w.comments[key+"."+f.Name], "\n", " ")), ".")
	text = strings.TrimPrefix(strings.TrimPrefix(text, f.Name+" "), "is ")
	cell := strings.NewReplacer("|", `\|`, "<", "&lt;")
	*w.rows = append(*w.rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", at, cell.Replace(kind), cell.Replace(value), cell.Replace(text)))
	if inner.Kind() == reflect.Struct && inner.Name() != "Element" && depth < maxPath {
		w.structure(inner, nameOf(inner, key+"."+f.Name), at, depth+1)
	}
}

// nameOf is the key of a type's comments; a struct without a name has that of its
// field.
func nameOf(t reflect.Type, field string) string {
	if t.Name() == "" {
		return field
	}
	return t.PkgPath() + "." + t.Name()
}

// comments are the comments of the fields of all structs beneath shared.
var comments = func() func(t *testing.T) map[string]string {
	var once sync.Once
	out := map[string]string{}
	return func(t *testing.T) map[string]string {
		once.Do(func() {
			const module = "github.com/perigee-gateway/perigee/shared/"
			err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
					return err
				}
				parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
				if err != nil {
					return err
				}
				pkg := module + strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "../")
				for _, decl := range parsed.Decls {
					g, ok := decl.(*ast.GenDecl)
					for i := 0; ok && i < len(g.Specs); i++ {
						if ts, ok := g.Specs[i].(*ast.TypeSpec); ok {
							fields(out, pkg+"."+ts.Name.Name, ts.Type)
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		return out
	}
}()

func fields(out map[string]string, key string, typ ast.Expr) {
	switch x := typ.(type) {
	case *ast.StarExpr:
		fields(out, key, x.X)
	case *ast.ArrayType:
		fields(out, key, x.Elt)
	case *ast.StructType:
		for _, f := range x.Fields.List {
			for _, n := range f.Names {
				if text := f.Doc.Text(); text != "" {
					out[key+"."+n.Name] = text
				} else {
					out[key+"."+n.Name] = f.Comment.Text()
				}
				fields(out, key+"."+n.Name, f.Type)
			}
		}
	}
}

// maxExamples is how many cases a page shows: those that say why they are there and
// are short come first.
const maxExamples = 4

// examples are cases of the policy's testdata as they are, which its tests run.
func examples(t *testing.T, dir string) string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "testdata", "*.txtar"))
	type example struct {
		name, text string
		refused    bool
	}
	var list []example
	for _, f := range files {
		ar, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		e := example{name: filepath.Base(f)}
		var b strings.Builder
		for line := range strings.Lines(string(ar.Comment)) {
			b.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
		}
		text := strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(strings.TrimSpace(b.String()))
		b.Reset()
		for _, s := range ar.Files {
			e.refused = e.refused || s.Name == "want.refused"
			fmt.Fprintf(&b, "-- %s --\n%s", s.Name, s.Data)
		}
		e.text = fmt.Sprintf("%s ([%s](../../shared/policies/%s/testdata/%s))\n\n````\n%s\n````\n\n", text, e.name, dir, e.name, strings.TrimRight(b.String(), "\n"))
		if text != "" {
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b example) int {
		if a.refused != b.refused {
			return map[bool]int{false: -1, true: 1}[a.refused]
		}
		return cmp.Compare(len(a.text), len(b.text))
	})
	if len(list) == 0 {
		return "The tests of the package have them in Go.\n\n"
	}
	var b strings.Builder
	b.WriteString("Each is a case that the tests of the package run; the sections are described in package policytest.\n\n")
	for _, e := range list[:min(len(list), maxExamples)] {
		b.WriteString(e.text)
	}
	return b.String()
}

// TestHeadings reads the pages as they are committed.
func TestHeadings(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(page), "*.md"))
	pages := 0
	for _, f := range files {
		if filepath.Base(f) == "README.md" {
			continue
		}
		pages++
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(data)) {
			if h, ok := strings.CutPrefix(line, "## "); ok {
				got = append(got, strings.TrimSpace(h))
			}
		}
		if !slices.Equal(got, headings) {
			t.Errorf("%s has the headings %q, want %q", f, got, headings)
		}
	}
	if pages < 40 {
		t.Errorf("%d pages", pages)
	}
}
