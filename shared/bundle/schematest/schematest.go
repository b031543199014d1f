// Package schematest reads Apigee's public schemas (shared/policies/testdata/
// policy-schemas), so that tests can hold what perigee knows against all that they
// list.
package schematest

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Schema is the top-level declarations of a file and of all it includes.
type Schema struct {
	elements, types, groups map[string]*node
	seen                    map[string]bool
}

// node is any element of an XSD.
type node struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []*node    `xml:",any"`
}

func (n *node) attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// Read reads a schema file and those beside it that it includes.
func Read(t testing.TB, file string) *Schema {
	t.Helper()
	s := &Schema{map[string]*node{}, map[string]*node{}, map[string]*node{}, map[string]bool{}}
	s.include(t, filepath.Dir(file), filepath.Base(file))
	return s
}

func (s *Schema) include(t testing.TB, dir, file string) {
	t.Helper()
	if s.seen[file] {
		return
	}
	s.seen[file] = true
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	var root node
	if err := xml.Unmarshal(data, &root); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, n := range root.Children {
		switch n.XMLName.Local {
		case "include":
			s.include(t, dir, n.attr("schemaLocation"))
		case "element":
			s.elements[n.attr("name")] = n
		case "complexType":
			s.types[n.attr("name")] = n
		case "group":
			s.groups[n.attr("name")] = n
		}
	}
}

// Elements lists the elements that may stand inside a root element, as A/B/C.
func (s *Schema) Elements(root string) []string {
	return slices.DeleteFunc(s.Paths(root), func(p string) bool { return strings.Contains(p, "@") })
}

// Paths lists the elements and attributes that may stand inside a root element, as
// A/B and A/@c.
func (s *Schema) Paths(root string) []string {
	w := walk{Schema: s, seen: map[string]bool{}}
	if n := s.elements[root]; n != nil {
		w.inside(n, "", 0)
	}
	return w.out
}

// maxNesting ends recursive types.
const maxNesting = 8

type walk struct {
	*Schema
	seen map[string]bool
	out  []string
}

func (w *walk) inside(n *node, path string, depth int) {
	if depth > maxNesting {
		return
	}
	if t := w.types[n.attr("type")]; t != nil {
		w.content(t, path, depth)
	}
	w.content(n, path, depth)
}

func (w *walk) content(n *node, path string, depth int) {
	for _, c := range n.Children {
		switch c.XMLName.Local {
		case "element":
			w.element(c, path, depth)
		case "attribute":
			w.add(path, "@"+c.attr("name"))
		case "extension", "restriction":
			if t := w.types[c.attr("base")]; t != nil {
				w.content(t, path, depth)
			}
			w.content(c, path, depth)
		case "group":
			if g := w.groups[c.attr("ref")]; g != nil {
				w.content(g, path, depth)
			}
		default:
			w.content(c, path, depth)
		}
	}
}

func (w *walk) element(c *node, path string, depth int) {
	name := c.attr("name")
	if ref := c.attr("ref"); ref != "" {
		name = ref
		if e := w.elements[ref]; e != nil {
			c = e
		}
	}
	if name == "" || strings.Count(path, "/") >= maxNesting {
		return
	}
	if p, fresh := w.add(path, name); fresh {
		w.inside(c, p, depth+1)
	}
}

// add lists a path; fresh is false if it is there already.
func (w *walk) add(path, name string) (p string, fresh bool) {
	p = strings.TrimPrefix(path+"/"+name, "/")
	if w.seen[p] {
		return p, false
	}
	w.seen[p] = true
	w.out = append(w.out, p)
	return p, true
}
