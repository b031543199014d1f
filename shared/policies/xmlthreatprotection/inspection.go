package xmlthreatprotection

import (
	"bytes"

	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

// MaxDepth is how deep elements may be nested where the policy does not say.
const MaxDepth = 10_000

// limits are the limits of a policy; negative ones limit nothing.
type limits struct {
	name   NameLimits
	struc  StructureLimits
	values ValueLimits
}

// excess is what is over its limit; none if what is "".
type excess struct {
	what  string
	limit int
	at    int // in bytes
}

// inspection is the state of reading one document.
type inspection struct {
	scan     xmltoken.Scanner
	children []int32 // so far, of every element that is open
	text     int     // length of the text so far, in pieces
	begin    int     // of the text
	blank    bool    // it is white space so far
}

func (in *inspection) release() {
	in.scan.Reset(nil, 0, 0)
	inspections.Put(in)
}

// run reads a document and returns what exceeds its limit, at the token that
// the scanner is at then; or why the document is no XML.
func (in *inspection) run(doc []byte, l *limits) (excess, error) {
	depth := MaxDepth
	if l.struc.NodeDepth >= 0 {
		depth = l.struc.NodeDepth + 1 // the policy's own limit comes first
	}
	in.scan.Reset(doc, depth, xmltoken.MaxAttributes)
	in.children = in.children[:0]
	in.endText()
	for {
		kind, err := in.scan.Next()
		if err != nil {
			return in.overflow(err, l)
		}
		if kind == xmltoken.EOF {
			return excess{}, nil
		}
		if over := in.token(kind, l); over.what != "" {
			return over, nil
		}
	}
}

// overflow makes the scanner's own limits the policy's.
func (in *inspection) overflow(err error, l *limits) (excess, error) {
	e, ok := err.(*xmltoken.Error)
	switch {
	case ok && e.Reason == xmltoken.TooDeep:
		return excess{"Node depth", limit(l.struc.NodeDepth, MaxDepth), e.Offset}, nil
	case ok && e.Reason == xmltoken.TooMany:
		return excess{"Attribute count", limit(l.struc.AttributeCountPerElement, xmltoken.MaxAttributes), e.Offset}, nil
	}
	return excess{}, err
}

func limit(n, fallback int) int {
	if n >= 0 {
		return n
	}
	return fallback
}

// token looks at one token.
func (in *inspection) token(kind xmltoken.Kind, l *limits) excess {
	data := in.scan.Data()
	switch kind {
	case xmltoken.Text, xmltoken.CData:
		return in.addText(kind, data, l)
	case xmltoken.Start:
		in.endText()
		return in.start(l)
	case xmltoken.End:
		in.endText()
		in.children = in.children[:len(in.children)-1]
	case xmltoken.Comment:
		in.endText()
		if l.struc.ChildCount.IncludeComment && in.count(l) {
			return in.excess("Children count", l.struc.ChildCount.Limit)
		}
		if plainLonger(data, l.values.Comment) {
			return in.excess("Comment length", l.values.Comment)
		}
	case xmltoken.Instruction:
		in.endText()
		return in.instruction(data, l)
	}
	return excess{}
}

func (in *inspection) excess(what string, limit int) excess {
	return excess{what, limit, in.scan.Offset()}
}

// count counts a child of the element that is open and says whether it is one
// too many.
func (in *inspection) count(l *limits) bool {
	if len(in.children) == 0 {
		return false
	}
	top := &in.children[len(in.children)-1]
	*top++
	return l.struc.ChildCount.Limit >= 0 && int(*top) > l.struc.ChildCount.Limit
}

// endText says that text which follows is another piece.
func (in *inspection) endText() { in.text, in.blank = 0, true }

// addText adds to a piece of text. White space alone is none, but counts once
// there is something else.
func (in *inspection) addText(kind xmltoken.Kind, data []byte, l *limits) excess {
	if in.text == 0 {
		in.begin = in.scan.Offset() - len(data)
	}
	if kind == xmltoken.Text {
		in.text += xmltoken.Length(data)
	} else {
		in.text += units(data)
	}
	if in.blank && len(bytes.TrimLeft(data, " \t\r\n")) > 0 {
		in.blank = false
		if l.struc.ChildCount.IncludeText && in.count(l) {
			return in.excess("Children count", l.struc.ChildCount.Limit)
		}
	}
	if !in.blank && l.values.Text >= 0 && in.text > l.values.Text {
		return excess{"Text length", l.values.Text, in.begin}
	}
	return excess{}
}

func (in *inspection) instruction(data []byte, l *limits) excess {
	switch {
	case l.struc.ChildCount.IncludeProcessingInstruction && in.count(l):
		return in.excess("Children count", l.struc.ChildCount.Limit)
	case longer(in.scan.Name(), l.name.ProcessingInstructionTarget):
		return in.excess("Processing Instruction target length", l.name.ProcessingInstructionTarget)
	case plainLonger(data, l.values.ProcessingInstructionData):
		return in.excess("Processing Instruction data length", l.values.ProcessingInstructionData)
	}
	return excess{}
}

// start looks at an element that starts.
func (in *inspection) start(l *limits) excess {
	if l.struc.ChildCount.IncludeElement && in.count(l) {
		return in.excess("Children count", l.struc.ChildCount.Limit)
	}
	in.children = append(in.children, 0)
	if l.struc.NodeDepth >= 0 && len(in.children) > l.struc.NodeDepth {
		return in.excess("Node depth", l.struc.NodeDepth)
	}
	prefix, local := split(in.scan.Name())
	switch {
	case longer(prefix, l.name.NamespacePrefix):
		return in.excess("Namespace prefix length", l.name.NamespacePrefix)
	case longer(local, l.name.Element):
		return in.excess("Element name length", l.name.Element)
	}
	if over := in.counts(l); over.what != "" {
		return over
	}
	for i := range in.scan.Attrs() {
		if over := in.attribute(in.scan.Attr(i), l); over.what != "" {
			return over
		}
	}
	return excess{}
}

// counts looks at how many attributes and namespaces an element has.
func (in *inspection) counts(l *limits) excess {
	namespaces := 0
	for i := range in.scan.Attrs() {
		if declares(in.scan.Attr(i).Name) {
			namespaces++
		}
	}
	if n := l.struc.NamespaceCountPerElement; n >= 0 && namespaces > n {
		return in.excess("Namespace count", n)
	}
	if n := l.struc.AttributeCountPerElement; n >= 0 && in.scan.Attrs()-namespaces > n {
		return in.excess("Attribute count", n)
	}
	return excess{}
}

func (in *inspection) attribute(a xmltoken.Attr, l *limits) excess {
	prefix, local := split(a.Name)
	switch {
	case declares(a.Name) && prefix != nil && longer(local, l.name.NamespacePrefix):
		return in.excess("Namespace prefix length", l.name.NamespacePrefix)
	case declares(a.Name):
		if longer(a.Value, l.values.NamespaceURI) {
			return in.excess("Namespace uri length", l.values.NamespaceURI)
		}
	case longer(prefix, l.name.NamespacePrefix):
		return in.excess("Namespace prefix length", l.name.NamespacePrefix)
	case longer(local, l.name.Attribute):
		return in.excess("Attribute name length", l.name.Attribute)
	case longer(a.Value, l.values.Attribute):
		return in.excess("Attribute value length", l.values.Attribute)
	}
	return excess{}
}

// declares reports whether an attribute declares a namespace.
func declares(name []byte) bool {
	return bytes.HasPrefix(name, []byte("xmlns")) && (len(name) == 5 || name[5] == ':')
}

// split takes a name apart; prefix is nil if there is none.
func split(name []byte) (prefix, local []byte) {
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return nil, name
}

// longer reports whether a text is longer than a limit. It is never shorter in
// bytes than it is long, so most need not be counted.
func longer(text []byte, limit int) bool {
	return limit >= 0 && len(text) > limit && xmltoken.Length(text) > limit
}

// plainLonger is longer for text without references.
func plainLonger(text []byte, limit int) bool {
	return limit >= 0 && len(text) > limit && units(text) > limit
}

// units is the number of UTF-16 units of text without references.
func units(text []byte) int {
	n := 0
	for _, b := range text {
		if b&0xc0 != 0x80 {
			n++
		}
		if b >= 0xf0 {
			n++
		}
	}
	return n
}
