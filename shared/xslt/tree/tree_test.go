package tree

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func parse(t testing.TB, text string, o Options) *Tree {
	t.Helper()
	d, err := Parse([]byte(text), &Budget{Nodes: 1000, Bytes: 10000, Steps: 1000}, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestOrder compares all nodes of a document: an element, its namespaces, its
// attributes, its children.
func TestOrder(t *testing.T) {
	d := parse(t, `<a x="1" xmlns:p="urn:p" y="2"><b p:z="3">t<!--c--></b><?d e?></a>`, Options{})
	var all []*Node
	for n := d.Root; n != nil; n = n.Following(d.Root) {
		all = append(all, n)
		all = append(all, n.Namespaces()...)
		all = append(all, n.Attrs...)
	}
	if len(all) != 13 {
		t.Errorf("%d nodes", len(all))
	}
	shuffled := slices.Clone(all)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, Compare)
	if !slices.Equal(all, shuffled) {
		t.Error("not in document order")
	}
	ids := map[string]bool{}
	for _, n := range all {
		ids[n.ID()] = true
	}
	if len(ids) != len(all) {
		t.Errorf("%d IDs of %d nodes", len(ids), len(all))
	}
}

func TestParse(t *testing.T) {
	d := parse(t, "<a xmlns='urn:a' x='&lt;&#10;'>1<![CDATA[2]]>&amp;\r\n<b xmlns=''/></a>", Options{Lines: true})
	a := d.Root.First
	if x, _ := a.Attr("x"); a.Text() != "12&\n" || x != "<\n" || a.Name.String() != "Q{urn:a}a" || a.Last.Name != (Name{"", "b"}) || a.Last.Line != 2 {
		t.Errorf("%q %q %v %v %d", a.Text(), x, a.Name, a.Last.Name, a.Last.Line)
	}
	if a.First.Next != a.Last || a.Last.Prev != a.First {
		t.Error("text is not one node")
	}
	d = parse(t, "<a> <b> </b> <c xml:space='preserve'> <d> </d></c></a>", Options{Strip: func(n Name) bool { return n.Local != "b" }})
	if d.Root.Text() != "   " {
		t.Errorf("%q is left", d.Root.Text())
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"<p:a/>":                 `The prefix "p" for "p:a" is not bound. at line 1`,
		"<a p:b=''/>":            `The prefix "p" for "p:b" is not bound. at line 1`,
		"<a xmlns:p=''/>":        `namespace of prefix "p" is empty at line 1`,
		"<a xmlns:xml='urn:x'/>": `namespace declaration xmlns:xml="urn:x" is not allowed at line 1`,
		"<a xmlns:p='u' xmlns:q='u' p:x='' q:x=''/>": `attribute "q:x" is there twice at line 1`,
		"<a:b:c xmlns:a='u'/>":                       `"a:b:c" is not a name with one prefix at line 1`,
		"<!DOCTYPE a><a/>":                           "document type declarations are not allowed at line 1",
		"":                                           "Premature end of document at line 1",
	} {
		_, err := Parse([]byte(text), &Budget{Nodes: 100, Bytes: 100}, Options{})
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	var limit Limit
	if _, err := Parse([]byte(strings.Repeat("<a>", 100)), &Budget{Nodes: 50, Bytes: 100}, Options{}); !errors.As(err, &limit) {
		t.Errorf("a hundred nodes: %v", err)
	}
	deep := ""
	for i := range 21 {
		deep += "<a"
		for j := range 10 {
			deep += fmt.Sprintf(" xmlns:p%d='u%d'", i*10+j, j)
		}
		deep += ">"
	}
	if _, err := Parse([]byte(deep), &Budget{Nodes: 50, Bytes: 10000}, Options{}); !errors.As(err, &limit) {
		t.Errorf("two hundred and ten namespaces: %v", err)
	}
	if _, err := Parse([]byte("<a>"+strings.Repeat("b", 101)+"</a>"), &Budget{Nodes: 50, Bytes: 100}, Options{}); !errors.As(err, &limit) {
		t.Errorf("a hundred bytes: %v", err)
	}
}

func TestScope(t *testing.T) {
	s := (*Scope)(nil).Declare("q", "urn:outer").Declare("", "urn:d").Declare("p", "urn:outer").Declare("", "").Declare("p", "urn:inner")
	list := ""
	s.Each(func(prefix, uri string) { list += prefix + "=" + uri + " " })
	if list != "q=urn:outer p=urn:inner " {
		t.Error(list)
	}
	if p, ok := s.PrefixOf("urn:outer"); p != "q" || !ok {
		t.Error("a prefix that has another meaning further in", p)
	}
	if _, ok := s.Lookup("none"); ok {
		t.Error("an unknown prefix has a URI")
	}
	if uri, ok := s.Lookup("xml"); uri != XML || !ok {
		t.Error("xml")
	}
}
