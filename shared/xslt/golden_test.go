package xslt

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

var (
	record = flag.Bool("xsltproc", false, "rewrite testdata/xsltproc with what xsltproc writes")
	update = flag.Bool("update", false, "rewrite testdata/results with what came out")
)

// TestAgainstXsltproc runs the stylesheets of testdata/xsltproc and compares the
// results with those that xsltproc of libxslt 1.1.35 wrote; go test -xsltproc records
// them anew. XML is compared as trees, for references and declarations are a matter of
// taste, text as it is.
func TestAgainstXsltproc(t *testing.T) {
	files, err := filepath.Glob("testdata/xsltproc/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			c := readCase(t, f)
			if *record {
				c.set("want", xsltproc(t, c))
				c.write(t, f)
			}
			got, err := c.run(t)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSuffix(c.section("want"), "\n")
			if got.Method == "xml" {
				if g, w := canonical(t, got.Text), canonical(t, want); g != w {
					t.Errorf("got:\n%s\nwant:\n%s", got.Text, want)
				}
				return
			}
			if strings.TrimSuffix(got.Text, "\n") != want {
				t.Errorf("got:\n%s\nwant:\n%s", got.Text, want)
			}
		})
	}
}

// TestResults runs the stylesheets of testdata/results, whose results were written by
// hand: how they are serialized, the rules of 2.0, and errors.
func TestResults(t *testing.T) {
	files, err := filepath.Glob("testdata/results/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			c := readCase(t, f)
			res, err := c.run(t)
			section, got := "want", res.Text+"\n"
			if err != nil {
				section, got = "want.error", err.Error()+"\n"
			}
			if want := c.section(section); got != want {
				if *update {
					c.set(section, got)
					c.write(t, f)
					return
				}
				t.Errorf("got %s:\n%s\nwant:\n%s", section, got, want)
			}
		})
	}
}

type testCase struct{ *txtar.Archive }

func readCase(t testing.TB, file string) testCase {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return testCase{ar}
}

func (c testCase) section(name string) string {
	for _, f := range c.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func (c testCase) set(name, text string) {
	for i := range c.Files {
		if c.Files[i].Name == name {
			c.Files[i].Data = []byte(text)
			return
		}
	}
	c.Files = append(c.Files, txtar.File{Name: name, Data: []byte(text)})
}

func (c testCase) write(t *testing.T, file string) {
	if err := os.WriteFile(file, txtar.Format(c.Archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (c testCase) params() Params {
	out := Params{}
	for line := range strings.Lines(c.section("params")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		out[name] = value
	}
	return out
}

func (c testCase) run(t *testing.T) (Result, error) {
	s, err := Compile([]byte(c.section("sheet.xsl")))
	if err != nil {
		return Result{}, err
	}
	return s.Run(t.Context(), []byte(strings.TrimSuffix(c.section("source.xml"), "\n")), Options{
		Params: c.params(), Now: time.Date(2026, 4, 1, 14, 5, 6, 789e6, time.UTC)})
}

func xsltproc(t *testing.T, c testCase) string {
	dir := t.TempDir()
	args := []string{"--nonet", "--nowrite"}
	for name, value := range c.params() {
		args = append(args, "--stringparam", name, value)
	}
	for _, name := range []string{"sheet.xsl", "source.xml"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.TrimSuffix(c.section(name), "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	out, err := exec.CommandContext(t.Context(), "xsltproc", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(out), "\n") + "\n"
}

// canonical writes a fragment of XML in one way.
func canonical(t *testing.T, text string) string {
	if strings.HasPrefix(text, "<?xml ") {
		_, text, _ = strings.Cut(text, "?>")
		text = strings.TrimPrefix(text, "\n")
	}
	b := &tree.Budget{Nodes: 1e6, Bytes: 1e9, Steps: 1e9}
	doc, err := tree.Parse([]byte("<_>"+text+"</_>"), b, tree.Options{})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	var w strings.Builder
	dump(&w, doc.Root.First)
	return w.String()
}

func dump(w *strings.Builder, n *tree.Node) {
	switch n.Kind {
	case tree.Element:
		fmt.Fprintf(w, "<%s", n.Name)
		attrs := []string{}
		for _, a := range n.Attrs {
			attrs = append(attrs, fmt.Sprintf(" %s=%q", a.Name, a.Data))
		}
		n.Scope.Each(func(prefix, uri string) {
			attrs = append(attrs, fmt.Sprintf(" xmlns:%s=%q", prefix, uri))
		})
		slices.Sort(attrs)
		w.WriteString(strings.Join(attrs, "") + ">")
		for k := n.First; k != nil; k = k.Next {
			dump(w, k)
		}
		w.WriteString("</>")
	case tree.Text:
		w.WriteString(n.Data)
	case tree.Comment:
		w.WriteString("<!--" + n.Data + "-->")
	case tree.Instruction:
		w.WriteString("<?" + n.Name.Local + " " + n.Data + "?>")
	}
}
