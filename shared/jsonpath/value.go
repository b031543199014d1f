package jsonpath

import (
	"iter"
	"strconv"
	"unicode/utf8"
)

// Kind is the type of a JSON value.
type Kind uint8

// The JSON types.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// Value is a JSON value. The members of an object keep their order, and a
// number keeps the digits it was written with.
type Value struct {
	kind    Kind
	truth   bool
	text    string // of a string, decoded; of a number, as written
	items   []*Value
	members []member
	index   map[string]int // of members, once there are many
}

type member struct {
	name  string
	value *Value
}

// Kind returns the type of the value.
func (v *Value) Kind() Kind { return v.kind }

// Len returns the number of elements or members.
func (v *Value) Len() int { return len(v.items) + len(v.members) }

// Items returns the elements of an array.
func (v *Value) Items() []*Value { return v.items }

// Members yields the members of an object in their order.
func (v *Value) Members() iter.Seq2[string, *Value] {
	return func(yield func(string, *Value) bool) {
		for _, m := range v.members {
			if !yield(m.name, m.value) {
				return
			}
		}
	}
}

// Replace makes v a string, in whatever it is part of.
func (v *Value) Replace(text string) { *v = Value{kind: String, text: text} }

// First returns the first element of an array, nil if there is none, and any
// other value itself.
func (v *Value) First() *Value {
	if v.kind != Array {
		return v
	}
	if len(v.items) == 0 {
		return nil
	}
	return v.items[0]
}

// Member returns the member of an object called name, or nil.
func (v *Value) Member(name string) *Value {
	if i := v.find(name); i >= 0 {
		return v.members[i].value
	}
	return nil
}

// manyMembers is from where on an object has an index of names.
const manyMembers = 16

func (v *Value) find(name string) int {
	if v.index != nil {
		if i, ok := v.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range v.members {
		if v.members[i].name == name {
			return i
		}
	}
	return -1
}

// add appends a member; of members of one name the last value counts, at the
// place of the first.
func (v *Value) add(name string, value *Value) {
	if i := v.find(name); i >= 0 {
		v.members[i].value = value
		return
	}
	v.members = append(v.members, member{name, value})
	switch {
	case v.index != nil:
		v.index[name] = len(v.members) - 1
	case len(v.members) > manyMembers:
		v.index = make(map[string]int, 2*len(v.members))
		for i := range v.members {
			v.index[v.members[i].name] = i
		}
	}
}

// Text returns a string's characters, and any other value's JSON.
func (v *Value) Text() string {
	if v.kind == String || v.kind == Number {
		return v.text
	}
	return string(v.AppendJSON(nil))
}

// Size is about how many bytes AppendJSON appends: what escapes add is not
// counted.
func (v *Value) Size() int {
	n := len(v.text) + 2
	for _, e := range v.items {
		n += e.Size() + 1
	}
	for i := range v.members {
		n += len(v.members[i].name) + v.members[i].value.Size() + 4
	}
	return n
}

// AppendJSON appends the value as compact JSON.
func (v *Value) AppendJSON(dst []byte) []byte {
	switch v.kind {
	case Null:
		return append(dst, "null"...)
	case Bool:
		return strconv.AppendBool(dst, v.truth)
	case Number:
		return append(dst, v.text...)
	case String:
		return AppendString(dst, v.text)
	case Array:
		dst = append(dst, '[')
		for i, e := range v.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.AppendJSON(dst)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i := range v.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, v.members[i].name)
		dst = append(dst, ':')
		dst = v.members[i].value.AppendJSON(dst)
	}
	return append(dst, '}')
}

// AppendString appends s as a JSON string, quotes included. Only what must be
// escaped is.
func AppendString(dst []byte, s string) []byte {
	return append(AppendEscaped(append(dst, '"'), s), '"')
}

// AppendEscaped is AppendString without the quotes.
func AppendEscaped(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r) // what is no UTF-8 becomes U+FFFD
			i += n
			continue
		}
		i++
	}
	return dst
}

func number(f float64) *Value {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if f == float64(int64(f)) && f < 1e15 && f > -1e15 {
		s = strconv.FormatInt(int64(f), 10) + ".0"
	}
	return &Value{kind: Number, text: s}
}

func integer(n int) *Value { return &Value{kind: Number, text: strconv.Itoa(n)} }
