package xpath

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/antchfx/xmlquery"

	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

// Bounds of a document.
const (
	MaxDepth = 500
	MaxSize  = 30 << 20 // bytes; the largest payload that Apigee buffers
)

// Doc is a parsed XML document.
type Doc struct{ root *xmlquery.Node }

// Parse parses XML. A document type declaration, and so every entity beyond
// the five of XML itself, is refused. The encoding is told by a byte order mark or
// the XML declaration, else it is UTF-8.
func Parse(text []byte) (*Doc, error) { return ParseIn(text, "") }

// ParseIn is Parse for a document that comes with a charset, which may be empty: it
// counts where the document itself does not tell its encoding.
func ParseIn(text []byte, charset string) (*Doc, error) {
	if len(text) > MaxSize {
		return nil, ErrSize
	}
	utf8, err := xmltoken.Decode(text, charset)
	if err != nil {
		return nil, fmt.Errorf("parse XML: %w", err)
	}
	return parse(utf8)
}

// ParseText is Parse for a text that was decoded before, so that the encoding it
// declares is not its own any more.
func ParseText(text string) (*Doc, error) {
	if len(text) > MaxSize {
		return nil, ErrSize
	}
	return parse([]byte(text))
}

// parse parses a document that is UTF-8.
func parse(text []byte) (*Doc, error) {
	text = xmltoken.Redeclare(text)
	if err := scan(text); err != nil {
		return nil, err
	}
	root, err := xmlquery.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parse XML: %w", err)
	}
	if bytes.Contains(text, []byte("<![CDATA[")) {
		join(root)
	}
	for n := root.FirstChild; n != nil; n = n.NextSibling {
		if n.Type == xmlquery.ElementNode {
			return &Doc{root}, nil
		}
	}
	return nil, errors.New("parse XML: no element")
}

// join makes one text node of CDATA sections and the text beside them, as XPath's
// data model has it (XPath 1.0, section 5.7); xmlquery gives sections no value.
func join(n *xmlquery.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type == xmlquery.ElementNode {
			join(c)
			continue
		}
		if !isText(c) {
			continue
		}
		c.Type = xmlquery.TextNode
		if next := c.NextSibling; next == nil || !isText(next) {
			continue
		}
		var b strings.Builder
		b.WriteString(c.Data)
		for next := c.NextSibling; next != nil && isText(next); next = c.NextSibling {
			b.WriteString(next.Data)
			xmlquery.RemoveFromTree(next)
		}
		c.Data = b.String()
	}
}

func isText(n *xmlquery.Node) bool {
	return n.Type == xmlquery.TextNode || n.Type == xmlquery.CharDataNode
}

// FromTree returns the document of a tree that somebody else parsed and bounded.
func FromTree(root *xmlquery.Node) *Doc { return &Doc{root} }

// XML returns the document as text.
func (d *Doc) XML() string {
	return d.root.OutputXMLWithOptions(xmlquery.WithEmptyTagSupport(), xmlquery.WithPreserveSpace())
}

// Root returns the document node, for those who walk it themselves.
func (d *Doc) Root() *xmlquery.Node { return d.root }

// scan looks for what must not be parsed at all: declarations and nesting that
// is too deep. It does not check the syntax otherwise.
func scan(s []byte) error {
	depth := 0
	for {
		i := bytes.IndexByte(s, '<')
		if i < 0 {
			return nil
		}
		s = s[i:]
		switch {
		case bytes.HasPrefix(s, []byte("<!--")):
			s = after(s[4:], "-->")
		case bytes.HasPrefix(s, []byte("<![CDATA[")):
			s = after(s[9:], "]]>")
		case bytes.HasPrefix(s, []byte("<?")):
			s = after(s[2:], "?>")
		case bytes.HasPrefix(s, []byte("<!")):
			return ErrDTD
		case bytes.HasPrefix(s, []byte("</")):
			depth--
			s = after(s, ">")
		default:
			var empty bool
			if s, empty = tag(s); !empty {
				depth++
			}
			if depth > MaxDepth {
				return ErrDepth
			}
		}
	}
}

func after(s []byte, mark string) []byte {
	i := bytes.Index(s, []byte(mark))
	if i < 0 {
		return nil
	}
	return s[i+len(mark):]
}

// tag skips an opening tag, with ">" in attribute values, and reports whether
// it closes itself.
func tag(s []byte) (rest []byte, empty bool) {
	var quote byte
	for i, c := range s {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return s[i+1:], s[i-1] == '/'
		}
	}
	return nil, false
}
