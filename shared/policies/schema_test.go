package policies_test

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The schemas in testdata/policy-schemas are Apigee's public ones (Apache-2.0, see
// LICENSE and NOTICE there).
const schemas = "testdata/policy-schemas"

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

// schema is the top-level declarations of a file and all it includes.
type schema struct {
	elements, types, groups map[string]*node
	seen                    map[string]bool
}

func readSchema(t *testing.T, file string) *schema {
	t.Helper()
	s := &schema{map[string]*node{}, map[string]*node{}, map[string]*node{}, map[string]bool{}}
	s.include(t, file)
	return s
}

func (s *schema) include(t *testing.T, file string) {
	if s.seen[file] {
		return
	}
	s.seen[file] = true
	data, err := os.ReadFile(filepath.Join(schemas, file))
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
			s.include(t, n.attr("schemaLocation"))
		case "element":
			s.elements[n.attr("name")] = n
		case "complexType":
			s.types[n.attr("name")] = n
		case "group":
			s.groups[n.attr("name")] = n
		}
	}
}

// paths lists the elements that may stand inside the root, as A/B/C.
func (s *schema) paths(root string) []string {
	var out []string
	if n := s.elements[root]; n != nil {
		s.walk(n, "", 0, map[string]bool{}, &out)
	}
	return out
}

// maxNesting ends recursive types.
const maxNesting = 8

func (s *schema) walk(n *node, path string, depth int, seen map[string]bool, out *[]string) {
	if depth > maxNesting {
		return
	}
	if t := s.types[n.attr("type")]; t != nil {
		s.content(t, path, depth, seen, out)
	}
	s.content(n, path, depth, seen, out)
}

func (s *schema) content(n *node, path string, depth int, seen map[string]bool, out *[]string) {
	for _, c := range n.Children {
		switch c.XMLName.Local {
		case "element":
			s.element(c, path, depth, seen, out)
		case "extension", "restriction":
			if t := s.types[c.attr("base")]; t != nil {
				s.content(t, path, depth, seen, out)
			}
			s.content(c, path, depth, seen, out)
		case "group":
			if g := s.groups[c.attr("ref")]; g != nil {
				s.content(g, path, depth, seen, out)
			}
		default:
			s.content(c, path, depth, seen, out)
		}
	}
}

func (s *schema) element(c *node, path string, depth int, seen map[string]bool, out *[]string) {
	name := c.attr("name")
	if ref := c.attr("ref"); ref != "" {
		name = ref
		if e := s.elements[ref]; e != nil {
			c = e
		}
	}
	p := strings.TrimPrefix(path+"/"+name, "/")
	if name == "" || seen[p] || strings.Count(p, "/") > maxNesting {
		return
	}
	seen[p] = true
	*out = append(*out, p)
	s.walk(c, p, depth+1, seen, out)
}
