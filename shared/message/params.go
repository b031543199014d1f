package message

import (
	"iter"
	"net/url"
	"strings"
)

// Params is an ordered multimap of query or form parameters. Names compare
// exactly. It keeps the raw text it was parsed from: a query string that nobody
// touched goes out byte for byte as it came in, and of one that was changed the
// parameters that were not.
//
// The zero value is an empty set.
type Params struct {
	raw    string
	parsed bool
	dirty  bool
	plus   bool // '+' stands for itself
	fields []param
}

// param is one parameter and, until it is changed, the text it was parsed from.
type param struct {
	Field
	text string
}

// ParseParams returns the parameters of raw (`a=b&c=d`, without '?'). Parsing
// happens on first access.
func ParseParams(raw string) Params { return Params{raw: raw} }

func (p *Params) load() {
	if p.parsed {
		return
	}
	p.parsed = true
	for pair := range strings.SplitSeq(p.raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		p.fields = append(p.fields, param{Field{p.unescape(name), p.unescape(value)}, pair})
	}
}

// KeepPlus has '+' stand for itself, not for a blank as in forms. It comes
// before the first access.
func (p *Params) KeepPlus() { p.plus = true }

func (p *Params) unescape(s string) string {
	if !p.plus {
		return unescape(s)
	}
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}

// unescape decodes %XX and '+'; text that is not valid stays as it is.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// Encode returns the query string: the raw text if nothing changed, otherwise
// the parameters in order, percent-encoded where they were changed.
func (p *Params) Encode() string {
	if !p.dirty {
		return p.raw
	}
	var b strings.Builder
	for i, f := range p.fields {
		if i > 0 {
			b.WriteByte('&')
		}
		if f.text != "" {
			b.WriteString(f.text)
			continue
		}
		b.WriteString(escape(f.Name))
		b.WriteByte('=')
		b.WriteString(escape(f.Value))
	}
	return b.String()
}

// escape percent-encodes with %20 for a blank: a '+' would be read as a plus
// sign by servers that do not treat the query as a form.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// Len returns the number of parameters, repeated ones counted each.
func (p *Params) Len() int { p.load(); return len(p.fields) }

// Lookup returns the first value of name and whether one exists.
func (p *Params) Lookup(name string) (string, bool) {
	p.load()
	for i := range p.fields {
		if p.fields[i].Name == name {
			return p.fields[i].Value, true
		}
	}
	return "", false
}

// Get returns the first value of name, or "".
func (p *Params) Get(name string) string {
	v, _ := p.Lookup(name)
	return v
}

// Has reports whether a parameter named name exists.
func (p *Params) Has(name string) bool {
	_, ok := p.Lookup(name)
	return ok
}

// Values returns every value of name in order.
func (p *Params) Values(name string) []string {
	p.load()
	var out []string
	for i := range p.fields {
		if p.fields[i].Name == name {
			out = append(out, p.fields[i].Value)
		}
	}
	return out
}

// Add appends a parameter.
func (p *Params) Add(name, value string) {
	p.load()
	p.dirty = true
	p.fields = append(p.fields, param{Field: Field{name, value}})
}

// Set replaces every value of name by one, at the place of the first.
func (p *Params) Set(name, value string) {
	p.load()
	p.dirty = true
	for i := range p.fields {
		if p.fields[i].Name == name {
			p.fields[i].Value, p.fields[i].text = value, ""
			p.deleteFrom(i+1, name)
			return
		}
	}
	p.fields = append(p.fields, param{Field: Field{name, value}})
}

// Take replaces the values of name by those that src has, as they are written
// there; if it has none nothing changes.
func (p *Params) Take(src *Params, name string) {
	if !src.Has(name) {
		return
	}
	p.Del(name)
	for _, f := range src.fields {
		if f.Name == name {
			p.take(src, f)
		}
	}
}

// TakeAll is Take for every name that src has.
func (p *Params) TakeAll(src *Params) {
	for _, name := range src.Names() {
		p.Del(name)
	}
	for _, f := range src.fields {
		p.take(src, f)
	}
}

func (p *Params) take(src *Params, f param) {
	p.Add(f.Name, f.Value)
	if p.plus == src.plus {
		p.fields[len(p.fields)-1].text = f.text
	}
}

// Del removes every value of name.
func (p *Params) Del(name string) {
	p.load()
	n := len(p.fields)
	p.deleteFrom(0, name)
	p.dirty = p.dirty || len(p.fields) != n
}

func (p *Params) deleteFrom(i int, name string) {
	kept := p.fields[:i]
	for _, f := range p.fields[i:] {
		if f.Name != name {
			kept = append(kept, f)
		}
	}
	clear(p.fields[len(kept):])
	p.fields = kept
}

// DelIndex removes the n-th value (from 1) of name.
func (p *Params) DelIndex(name string, n int) {
	p.load()
	for i := range p.fields {
		if p.fields[i].Name != name {
			continue
		}
		if n--; n == 0 {
			p.fields = append(p.fields[:i], p.fields[i+1:]...)
			p.dirty = true
			return
		}
	}
}

// Reset empties the set and keeps its memory.
func (p *Params) Reset() {
	clear(p.fields)
	*p = Params{fields: p.fields[:0], parsed: true, dirty: true}
}

// Clone returns a copy that shares nothing with p.
func (p *Params) Clone() Params {
	c := *p
	c.fields = append([]param(nil), p.fields...)
	return c
}

// All yields names and values in order.
func (p *Params) All() iter.Seq2[string, string] {
	p.load()
	return func(yield func(string, string) bool) {
		for i := range p.fields {
			if !yield(p.fields[i].Name, p.fields[i].Value) {
				return
			}
		}
	}
}

// Names returns the distinct names in order of first appearance.
func (p *Params) Names() []string {
	p.load()
	return distinct(len(p.fields), func(i int) string { return p.fields[i].Name }, func(a, b string) bool { return a == b })
}
