package rhino

import "strings"

// translate rewrites the forms of E4X that a runtime has objects for, and
// for each loops, into standard syntax of the same lines:
//
//	x.@id   x["@id"]      x..name   x["..name"]      x.*   x["*"]
//	for each (v in x)     for (v of values(x))
//
// The error names the first form that is not supported. It is only asked about
// files that are no standard ECMAScript, so it cannot misread one that is.
func translate(src string) (string, *SyntaxError) {
	t := translator{scanner: newScanner(src)}
	for {
		tok := t.next()
		if tok.kind == tokEnd {
			return t.apply(), nil
		}
		if msg := t.token(tok); msg != "" {
			return "", &SyntaxError{Line: tok.line, Msg: msg}
		}
	}
}

type edit struct {
	start, end int
	text       string
}

type translator struct {
	*scanner
	edits []edit
	loops []loop // open for each loops
	two   [2]string
}

// loop is the head of a for each: for each ( v in x ).
type loop struct {
	depth int  // outside the parentheses
	in    bool // "in" was seen
}

func (t *translator) replace(start, end int, text string) {
	t.edits = append(t.edits, edit{start, end, text})
}

func (t *translator) apply() string {
	var b strings.Builder
	at := 0
	for _, e := range t.edits {
		b.WriteString(t.src[at:e.start])
		b.WriteString(e.text)
		at = e.end
	}
	b.WriteString(t.src[at:])
	return b.String()
}

// token handles one token and returns why the file is refused, or "".
func (t *translator) token(tok token) string {
	text := t.text(tok)
	before := t.two
	t.two = [2]string{before[1], text}
	switch {
	case tok.kind == tokName:
		return t.name(tok, text, before)
	case tok.kind != tokPunct:
		return ""
	}
	switch text {
	case "<":
		if c := t.peek(0); tok.value && (isNameStart(c) || c == '>' || c == '!' || c == '?') {
			return "E4X XML literals (<a/>) are not supported: use new XML(text)"
		}
	case ":":
		if t.peek(0) == ':' {
			return "E4X namespaces (a::b) are not supported"
		}
	case ".":
		return t.dot(tok)
	case ")":
		if n := len(t.loops); n > 0 && t.loops[n-1].depth == t.depth {
			if t.loops[n-1].in {
				t.replace(tok.start, tok.start, ")")
			}
			t.loops = t.loops[:n-1]
		}
	}
	return ""
}

func (t *translator) name(tok token, text string, before [2]string) string {
	switch text {
	case "each":
		if before[1] == "for" {
			t.replace(tok.start, tok.end, "")
			t.loops = append(t.loops, loop{depth: t.depth})
		}
	case "in":
		if n := len(t.loops); n > 0 && !t.loops[n-1].in && t.loops[n-1].depth+1 == t.depth {
			t.loops[n-1].in = true
			t.replace(tok.start, tok.end, "of "+valuesHelper+"(")
		}
	case "namespace":
		if before == [2]string{"default", "xml"} {
			return "E4X default xml namespace is not supported"
		}
	case "if":
		if before[0] == "(" && t.catchBefore(tok) {
			return "conditional catch clauses (catch (e if ...)) are not supported"
		}
	}
	return ""
}

// catchBefore reports whether tok follows "catch (name".
func (t *translator) catchBefore(tok token) bool {
	head := strings.TrimRight(t.src[:tok.start], " \t\r\n")
	i := strings.LastIndexByte(head, '(')
	return i >= 0 && strings.HasSuffix(strings.TrimRight(head[:i], " \t\r\n"), "catch")
}

// dot handles what may follow a dot in E4X.
func (t *translator) dot(tok token) string {
	rest := t.src[t.pos:]
	switch {
	case strings.HasPrefix(rest, ".."): // spread
		t.pos += 2
	case strings.HasPrefix(rest, "("):
		return "E4X filters (.(condition)) are not supported"
	case strings.HasPrefix(rest, "*"):
		t.pos++
		t.selector(tok.start, `["*"]`)
	case strings.HasPrefix(rest, "@["):
		t.pos += 2
		t.depth++
		t.replace(tok.start, t.pos, `["@"+`)
	case strings.HasPrefix(rest, "@"):
		t.pos++
		t.selector(tok.start, `["@`+t.selected()+`"]`)
	case strings.HasPrefix(rest, ".@"):
		t.pos += 2
		t.selector(tok.start, `["..@`+t.selected()+`"]`)
	case strings.HasPrefix(rest, "."):
		t.pos++
		t.selector(tok.start, `["..`+t.selected()+`"]`)
	}
	return ""
}

// selected reads the name or * after @ or .. .
func (t *translator) selected() string {
	start := t.pos
	if t.peek(0) == '*' {
		t.pos++
		return "*"
	}
	for t.pos < len(t.src) && isNamePart(t.src[t.pos]) && t.src[t.pos] != '\\' {
		t.pos++
	}
	return t.src[start:t.pos]
}

// selector replaces what was read since start. What follows it is no operand.
func (t *translator) selector(start int, text string) {
	t.replace(start, t.pos, text)
	t.prev, t.prevText = token{kind: tokPunct, start: start, end: t.pos}, "]"
}
