package message

import (
	"iter"
	"strings"
)

// Field is one header line or one parameter: a name and one value.
type Field struct{ Name, Value string }

// Header is an ordered multimap of HTTP header fields. Names compare without
// regard to case and keep the spelling they arrived with (RFC 9110 section
// 5.1). Values are kept as received: a comma is never a separator here,
// because Set-Cookie and dates hold commas; Split does that on access.
//
// The zero value is an empty header.
type Header struct{ fields []Field }

// NewHeader returns a header that owns fields.
func NewHeader(fields ...Field) Header { return Header{fields: fields} }

// Len returns the number of field lines.
func (h *Header) Len() int { return len(h.fields) }

// At returns the i-th field line, counted from 0 in arrival order.
func (h *Header) At(i int) Field { return h.fields[i] }

// Get returns the value of the first field named name, or "".
func (h *Header) Get(name string) string {
	v, _ := h.Lookup(name)
	return v
}

// Lookup returns the value of the first field named name and whether one exists.
func (h *Header) Lookup(name string) (string, bool) {
	for i := range h.fields {
		if equalFold(h.fields[i].Name, name) {
			return h.fields[i].Value, true
		}
	}
	return "", false
}

// Has reports whether a field named name exists.
func (h *Header) Has(name string) bool {
	_, ok := h.Lookup(name)
	return ok
}

// Values returns the raw values of every field line named name.
func (h *Header) Values(name string) []string {
	var out []string
	for i := range h.fields {
		if equalFold(h.fields[i].Name, name) {
			out = append(out, h.fields[i].Value)
		}
	}
	return out
}

// Joined returns the values of all field lines named name joined by ", "; for
// a single line it is that line's raw text.
func (h *Header) Joined(name string) string {
	first, n := "", 0
	for i := range h.fields {
		if equalFold(h.fields[i].Name, name) {
			if n == 0 {
				first = h.fields[i].Value
			}
			n++
		}
	}
	if n < 2 {
		return first
	}
	return strings.Join(h.Values(name), ", ")
}

// Split returns the values of name split at commas, as Apigee's
// header.NAME.N and header.NAME.values see them. Quoted strings are not
// treated specially, as on Apigee. A date or a cookie is never split.
func (h *Header) Split(name string) []string {
	var out []string
	for i := range h.fields {
		if !equalFold(h.fields[i].Name, name) {
			continue
		}
		v := h.fields[i].Value
		if !Splittable(name) || strings.IndexByte(v, ',') < 0 {
			out = append(out, v)
			continue
		}
		for part := range strings.SplitSeq(v, ",") {
			out = append(out, strings.TrimSpace(part))
		}
	}
	return out
}

// First returns the first value of name up to its first comma, as
// request.header.NAME reads.
func (h *Header) First(name string) (string, bool) {
	v, ok := h.Lookup(name)
	if !ok || !Splittable(name) {
		return v, ok
	}
	if i := strings.IndexByte(v, ','); i >= 0 {
		return strings.TrimSpace(v[:i]), true
	}
	return v, true
}

// Splittable reports whether a header's value may be read as a comma list:
// Set-Cookie, dates and the single-valued fields below may not.
func Splittable(name string) bool {
	switch len(name) {
	case 4:
		return !equalFold(name, "Date")
	case 6:
		return !equalFold(name, "Cookie")
	case 7:
		return !equalFold(name, "Expires")
	case 8:
		return !equalFold(name, "If-Range")
	case 10:
		return !equalFold(name, "Set-Cookie") && !equalFold(name, "User-Agent")
	case 13:
		return !equalFold(name, "Last-Modified") && !equalFold(name, "Authorization")
	case 17:
		return !equalFold(name, "If-Modified-Since")
	case 19:
		return !equalFold(name, "If-Unmodified-Since")
	}
	return true
}

// Add appends a field line.
func (h *Header) Add(name, value string) {
	h.fields = append(h.fields, Field{name, value})
}

// Set replaces every field line named name by one, at the place of the first.
func (h *Header) Set(name, value string) {
	for i := range h.fields {
		if equalFold(h.fields[i].Name, name) {
			h.fields[i].Value = value
			h.deleteFrom(i+1, name)
			return
		}
	}
	h.Add(name, value)
}

// SetValues replaces every field line named name by one line per value.
func (h *Header) SetValues(name string, values []string) {
	h.Del(name)
	for _, v := range values {
		h.Add(name, v)
	}
}

// Del removes every field line named name.
func (h *Header) Del(name string) { h.deleteFrom(0, name) }

func (h *Header) deleteFrom(i int, name string) {
	kept := h.fields[:i]
	for _, f := range h.fields[i:] {
		if !equalFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	clear(h.fields[len(kept):])
	h.fields = kept
}

// DelIndex removes the n-th value (from 1) of name, counted as Split counts.
func (h *Header) DelIndex(name string, n int) {
	values := h.Split(name)
	if n < 1 || n > len(values) {
		return
	}
	values = append(values[:n-1], values[n:]...)
	h.SetValues(name, values)
}

// Reset empties the header and keeps its memory.
func (h *Header) Reset() {
	clear(h.fields)
	h.fields = h.fields[:0]
}

// Clone returns a copy that shares nothing with h.
func (h *Header) Clone() Header {
	return Header{fields: append([]Field(nil), h.fields...)}
}

// All yields the field lines in order.
func (h *Header) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := range h.fields {
			if !yield(h.fields[i].Name, h.fields[i].Value) {
				return
			}
		}
	}
}

// Names returns the distinct names in order of first appearance.
func (h *Header) Names() []string {
	return distinct(len(h.fields), func(i int) string { return h.fields[i].Name }, equalFold)
}

// distinct are the names of n fields, each once.
func distinct(n int, name func(i int) string, same func(a, b string) bool) []string {
	var out []string
next:
	for i := range n {
		for _, have := range out {
			if same(have, name(i)) {
				continue next
			}
		}
		out = append(out, name(i))
	}
	return out
}

// equalFold is strings.EqualFold for ASCII, which header names are.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z' {
			return false
		}
	}
	return true
}
