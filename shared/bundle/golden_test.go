package bundle

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata")

// TestGolden loads the files of every testdata/*.txtar. A section
// want.problems holds all problems, want.model the fields that are not zero.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { golden(t, name) })
	}
}

func golden(t *testing.T, name string) {
	ar, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{}
	for _, f := range ar.Files {
		if !strings.HasPrefix(f.Name, "want.") {
			fsys[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	b, err := LoadFS(fsys)
	got := map[string]string{"want.problems": problemsOf(b, err)}
	if b != nil {
		got["want.model"] = dump(b)
	}
	if *update {
		rewrite(t, name, ar, got)
		return
	}
	for _, f := range ar.Files {
		if want := string(f.Data); strings.HasPrefix(f.Name, "want.") && got[f.Name] != want {
			t.Errorf("%s: got\n%s\nwant\n%s", f.Name, got[f.Name], want)
		}
	}
}

func rewrite(t *testing.T, name string, ar *txtar.Archive, got map[string]string) {
	for i, f := range ar.Files {
		if strings.HasPrefix(f.Name, "want.") {
			ar.Files[i].Data = []byte(got[f.Name])
		}
	}
	if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}

func problemsOf(b *Bundle, err error) string {
	var ps Problems
	switch {
	case err == nil:
		ps = b.Warnings
	case !errors.As(err, &ps):
		return err.Error() + "\n"
	}
	if len(ps) == 0 {
		return ""
	}
	return ps.String() + "\n"
}

// dump writes what is not zero, one field to a line, positions as file:line.
func dump(b *Bundle) string {
	var d dumper
	for _, part := range []struct {
		name  string
		value any
	}{
		{"Kind", b.Kind}, {"Name", b.Name}, {"Revision", b.Revision},
		{"DisplayName", b.DisplayName}, {"Description", b.Description},
		{"Descriptor", b.Descriptor}, {"Proxies", b.Proxies}, {"Targets", b.Targets},
		{"Integrations", b.Integrations}, {"SharedFlows", b.SharedFlows},
		{"Policies", b.Policies}, {"Resources", b.Resources},
	} {
		d.value(part.name, reflect.ValueOf(part.value), 0)
	}
	return d.String()
}

type dumper struct{ strings.Builder }

func (d *dumper) line(depth int, format string, args ...any) {
	fmt.Fprintf(d, strings.Repeat("  ", depth)+format+"\n", args...)
}

func (d *dumper) value(name string, v reflect.Value, depth int) {
	if v.IsZero() {
		return
	}
	switch x := v.Interface().(type) {
	case *Element:
		d.line(depth, "%s: <%s> at %s", name, x.Name, x.Pos)
		return
	case Pos:
		d.line(depth, "%s: at %s", name, x)
		return
	case []byte:
		d.line(depth, "%s: %q", name, x)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		d.value(name, v.Elem(), depth)
	case reflect.Slice:
		for i := range v.Len() {
			d.value(fmt.Sprintf("%s[%d]", name, i), v.Index(i), depth)
		}
	case reflect.Struct:
		d.line(depth, "%s:", name)
		d.fields(v, depth+1)
	case reflect.String:
		d.line(depth, "%s: %q", name, v.String())
	default:
		d.line(depth, "%s: %v", name, v.Interface())
	}
}

func (d *dumper) fields(v reflect.Value, depth int) {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if sf.Anonymous && sf.Type != posType {
			d.fields(v.Field(i), depth)
			continue
		}
		if sf.IsExported() {
			d.value(sf.Name, v.Field(i), depth)
		}
	}
}
