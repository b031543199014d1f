package bundle

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of one XML file.
const (
	MaxXMLBytes    = 10 << 20 // before decoding
	MaxXMLDepth    = 100      // elements inside each other
	MaxXMLElements = 100_000
	MaxXMLAttrs    = 256 // of one element
)

// ParseXML reads one XML 1.0 document. file names it in positions and errors.
// Document type declarations are refused, so there are no entities but the five
// standard ones. Namespaces are not resolved. The error is a Problems of one.
//
// It takes a third of the time of encoding/xml, to whose results the fuzz test
// holds it: a cold start waits for this.
func ParseXML(file string, data []byte) (*Element, error) {
	if len(data) > MaxXMLBytes {
		return nil, Problems{{Pos: Pos{File: file}, Message: fmt.Sprintf("XML is larger than %d bytes", MaxXMLBytes)}}
	}
	src, err := decodeText(data)
	if err != nil {
		return nil, Problems{{Pos: Pos{file, 1}, Message: err.Error()}}
	}
	p := parser{file: file, src: src, line: 1}
	if fault := p.document(); fault != "" {
		return nil, Problems{{Pos: p.pos(p.at), Message: fault}}
	}
	return p.root, nil
}

// parser reads src from left to right. Its methods return what is wrong at
// position at, or "".
type parser struct {
	file  string
	src   string
	at    int
	line  int // of offset lined
	lined int
	count int
	root  *Element
	open  []frame
	slab  []Element
}

// frame is an element whose end tag is not read yet. Its text is one piece of
// src until a second piece comes.
type frame struct {
	el    *Element
	text  string
	parts []byte
}

func (f *frame) add(s string) {
	switch {
	case f.parts != nil:
		f.parts = append(f.parts, s...)
	case f.text == "":
		f.text = s
	case s != "":
		f.parts = append(append(make([]byte, 0, 2*(len(f.text)+len(s))), f.text...), s...)
	}
}

func (f *frame) string() string {
	if f.parts != nil {
		return string(f.parts)
	}
	return f.text
}

// pos returns the place of an offset that is not before the last one asked for,
// or one close before it.
func (p *parser) pos(at int) Pos {
	if at < p.lined {
		p.line -= strings.Count(p.src[at:p.lined], "\n")
	} else {
		p.line += strings.Count(p.src[p.lined:at], "\n")
	}
	p.lined = at
	return Pos{p.file, p.line}
}

func (p *parser) document() string {
	if i := badChar(p.src); i >= 0 {
		r, _ := utf8.DecodeRuneInString(p.src[i:])
		p.at = i
		return fmt.Sprintf("character %U is not allowed in XML", r)
	}
	if p.declared() {
		if fault := p.until("?>", "XML declaration"); fault != "" {
			return fault
		}
	}
	for p.at < len(p.src) {
		if fault := p.next(); fault != "" {
			return fault
		}
	}
	if n := len(p.open); n > 0 {
		el := p.open[n-1].el
		p.at = el.Start - 1
		return fmt.Sprintf("<%s> is not closed", el.Name)
	}
	if p.root == nil {
		p.at = 0
		return "no XML element"
	}
	return ""
}

func (p *parser) declared() bool {
	rest, ok := strings.CutPrefix(p.src, "<?xml")
	return ok && rest != "" && isSpace(rest[0])
}

// badChar returns the offset of the first character that is none of XML 1.0
// section 2.2, or -1. src is valid UTF-8, so there are no surrogates.
func badChar(src string) int {
	for i := 0; i < len(src); i++ {
		c := src[i]
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return i
		}
		if c == 0xef && (strings.HasPrefix(src[i:], "\uFFFE") || strings.HasPrefix(src[i:], "\uFFFF")) {
			return i
		}
	}
	return -1
}

// next reads one piece of markup or the text before it.
func (p *parser) next() string {
	rest := p.src[p.at:]
	switch {
	case rest[0] != '<':
		return p.text()
	case strings.HasPrefix(rest, "</"):
		return p.endTag()
	case strings.HasPrefix(rest, "<!--"):
		return p.comment()
	case strings.HasPrefix(rest, "<![CDATA["):
		return p.cdata()
	case strings.HasPrefix(rest, "<!"):
		return "document type declarations are not allowed"
	case strings.HasPrefix(rest, "<?"):
		return p.instruction()
	}
	return p.startTag()
}

// until moves behind the next mark.
func (p *parser) until(mark, what string) string {
	i := strings.Index(p.src[p.at:], mark)
	if i < 0 {
		return what + " is not closed"
	}
	p.at += i + len(mark)
	return ""
}

func (p *parser) comment() string {
	i := strings.Index(p.src[p.at+4:], "--")
	if i < 0 {
		return "comment is not closed"
	}
	end := p.at + 4 + i + 2
	if end == len(p.src) || p.src[end] != '>' {
		return "-- is not allowed in a comment"
	}
	p.at = end + 1
	return ""
}

func (p *parser) instruction() string {
	start := p.at
	p.at += 2
	name := p.name()
	switch {
	case name == "":
		p.at = start
		return "<? without a name"
	case strings.EqualFold(name, "xml"):
		p.at = start
		return "XML declaration is not at the start of the file"
	case !strings.HasPrefix(p.src[p.at:], "?>") && (p.at == len(p.src) || !isSpace(p.src[p.at])):
		p.at = start
		return "malformed processing instruction"
	}
	p.at = start
	return p.until("?>", "processing instruction")
}

func (p *parser) cdata() string {
	if len(p.open) == 0 {
		return "text outside of the root element"
	}
	from := p.at + len("<![CDATA[")
	if fault := p.until("]]>", "CDATA section"); fault != "" {
		return fault
	}
	p.top().add(p.src[from : p.at-3])
	return ""
}

func (p *parser) top() *frame { return &p.open[len(p.open)-1] }

func (p *parser) text() string {
	end := strings.IndexByte(p.src[p.at:], '<')
	if end < 0 {
		end = len(p.src) - p.at
	}
	piece := p.src[p.at : p.at+end]
	if len(p.open) == 0 {
		if i := strings.IndexFunc(piece, notSpace); i >= 0 {
			p.at += i
			return "text outside of the root element"
		}
		p.at += end
		return ""
	}
	if i := strings.Index(piece, "]]>"); i >= 0 {
		p.at += i
		return "]]> is not allowed in text"
	}
	value, fault := p.unescape(piece)
	if fault != "" {
		return fault
	}
	p.top().add(value)
	p.at += end
	return ""
}

func notSpace(r rune) bool { return r > 127 || !isSpace(byte(r)) }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (p *parser) space() (any bool) {
	from := p.at
	for p.at < len(p.src) && isSpace(p.src[p.at]) {
		p.at++
	}
	return p.at > from
}

// name reads a qualified name, "" if there is none: a name with two colons is
// none (Namespaces in XML 1.0, section 4).
func (p *parser) name() string {
	name := p.plainName()
	if strings.Count(name, ":") > 1 {
		return ""
	}
	return name
}

func (p *parser) plainName() string {
	from := p.at
	for i, r := range p.src[from:] {
		if !isNameRune(r, i == 0) {
			p.at = from + i
			return p.src[from:p.at]
		}
	}
	p.at = len(p.src)
	return p.src[from:]
}

func isNameRune(r rune, first bool) bool {
	switch {
	case r < utf8.RuneSelf:
		c := byte(r)
		return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == ':' ||
			!first && (c >= '0' && c <= '9' || c == '-' || c == '.')
	case r == utf8.RuneError:
		return false
	case first:
		return unicode.IsLetter(r)
	}
	return unicode.In(r, unicode.Letter, unicode.Digit, unicode.Mn, unicode.Mc) || r == '\u00b7'
}

func (p *parser) startTag() string {
	from := p.at
	p.at++
	name := p.name()
	if name == "" {
		p.at = from
		return "< is not followed by a name; write &lt; for the character"
	}
	if fault := p.allowed(name); fault != "" {
		p.at = from
		return fault
	}
	el := p.element()
	*el = Element{Name: name, Pos: p.pos(from), src: p.src}
	closed, fault := p.attrs(el)
	if fault != "" {
		return fault
	}
	el.Start, el.End = p.at, p.at
	if n := len(p.open); n > 0 {
		parent := p.open[n-1].el
		parent.Children = append(parent.Children, el)
	} else {
		p.root = el
	}
	if !closed {
		p.open = append(p.open, frame{el: el})
	}
	return ""
}

// allowed says what is wrong with an element here, or "".
func (p *parser) allowed(name string) string {
	p.count++
	switch {
	case p.root != nil && len(p.open) == 0:
		return fmt.Sprintf("second root element <%s>", name)
	case len(p.open) >= MaxXMLDepth:
		return fmt.Sprintf("elements are nested deeper than %d", MaxXMLDepth)
	case p.count > MaxXMLElements:
		return fmt.Sprintf("more than %d elements", MaxXMLElements)
	}
	return ""
}

// element allocates by the dozen.
func (p *parser) element() *Element {
	if len(p.slab) == 0 {
		p.slab = make([]Element, 12)
	}
	el := &p.slab[0]
	p.slab = p.slab[1:]
	return el
}

// attrs reads up to the end of the start tag; closed is true for "/>".
func (p *parser) attrs(el *Element) (closed bool, fault string) {
	for {
		spaced := p.space()
		rest := p.src[p.at:]
		switch {
		case strings.HasPrefix(rest, ">"):
			p.at++
			return false, ""
		case strings.HasPrefix(rest, "/>"):
			p.at += 2
			return true, ""
		case !spaced || rest == "":
			return false, fmt.Sprintf("start tag <%s is malformed", el.Name)
		}
		if fault := p.attr(el); fault != "" {
			return false, fault
		}
	}
}

func (p *parser) attr(el *Element) string {
	from := p.at
	name := p.name()
	if name == "" {
		return fmt.Sprintf("start tag <%s is malformed", el.Name)
	}
	p.space()
	if !strings.HasPrefix(p.src[p.at:], "=") {
		return fmt.Sprintf("attribute %s of <%s> has no value", name, el.Name)
	}
	p.at++
	p.space()
	value, fault := p.quoted(name, el)
	if fault != "" {
		return fault
	}
	if _, dup := el.Attr(name); dup {
		p.at = from
		return fmt.Sprintf("attribute %s appears twice in <%s>", name, el.Name)
	}
	if len(el.Attrs) == MaxXMLAttrs {
		return fmt.Sprintf("<%s> has more than %d attributes", el.Name, MaxXMLAttrs)
	}
	el.Attrs = append(el.Attrs, Attr{name, value})
	return ""
}

var flattenSpace = strings.NewReplacer("\n", " ", "\t", " ")

// quoted reads an attribute's value; line ends and tabs in it become blanks
// (XML 1.0 section 3.3.3).
func (p *parser) quoted(name string, el *Element) (value, fault string) {
	rest := p.src[p.at:]
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return "", fmt.Sprintf("attribute %s of <%s> is not quoted", name, el.Name)
	}
	end := strings.IndexByte(rest[1:], rest[0])
	if end < 0 {
		return "", fmt.Sprintf("attribute %s of <%s> is not closed", name, el.Name)
	}
	piece := rest[1 : 1+end]
	p.at++
	if strings.IndexByte(piece, '<') >= 0 {
		return "", fmt.Sprintf("< is not allowed in attribute %s of <%s>; write &lt;", name, el.Name)
	}
	if strings.ContainsAny(piece, "\n\t") {
		piece = flattenSpace.Replace(piece)
	}
	if value, fault = p.unescape(piece); fault != "" {
		return "", fault
	}
	p.at += end + 1
	return value, ""
}

func (p *parser) endTag() string {
	from := p.at
	p.at += 2
	name := p.name()
	p.space()
	n := len(p.open)
	switch {
	case !strings.HasPrefix(p.src[p.at:], ">"):
		p.at = from
		return fmt.Sprintf("end tag </%s is malformed", name)
	case n == 0:
		p.at = from
		return fmt.Sprintf("</%s> closes nothing", name)
	case p.open[n-1].el.Name != name:
		p.at = from
		el := p.open[n-1].el
		return fmt.Sprintf("</%s> does not close <%s> of line %d", name, el.Name, el.Pos.Line)
	}
	p.at++
	f := &p.open[n-1]
	f.el.End, f.el.Text = from, f.string()
	p.open = p.open[:n-1]
	return ""
}

// unescape resolves the references in s, which stands at p.at.
func (p *parser) unescape(s string) (value, fault string) {
	i := strings.IndexByte(s, '&')
	if i < 0 {
		return s, ""
	}
	var out strings.Builder
	whole := len(s)
	out.Grow(whole)
	for i >= 0 {
		out.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexByte(s[:min(len(s), 16)], ';')
		if end < 0 {
			p.at += whole - len(s)
			return "", "& does not begin a reference; write &amp; for the character"
		}
		r, ok := reference(s[1:end])
		if !ok {
			p.at += whole - len(s)
			return "", fmt.Sprintf("reference %s is not allowed", s[:end+1])
		}
		out.WriteRune(r)
		s = s[end+1:]
		i = strings.IndexByte(s, '&')
	}
	out.WriteString(s)
	return out.String(), ""
}

// reference resolves what stands between "&" and ";".
func reference(name string) (rune, bool) {
	switch name {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	digits, ok := strings.CutPrefix(name, "#")
	base := 10
	if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if !ok || err != nil || n > unicode.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, false
	}
	return rune(n), badChar(string(rune(n))) < 0
}

// decodeText turns data into UTF-8 without a byte order mark and with "\n" as
// the only line end (XML 1.0 section 2.11).
func decodeText(data []byte) (string, error) {
	utf, err := toUTF8(data)
	if err != nil {
		return "", err
	}
	text := string(utf)
	if strings.IndexByte(text, '\r') >= 0 {
		text = lineEnds.Replace(text)
	}
	return text, nil
}

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")
