package jwt

import (
	"encoding/json"
	"errors"
	"iter"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// Object is a JSON object with its members in order. Each name occurs once
// (RFC 7515 section 4: parsers must reject duplicates or take the last).
type Object []Member

// Member is one member of an Object. Raw is the JSON of its value.
type Member struct {
	Name string
	Raw  string
}

// maxMembers is the most members of an object: each becomes variables.
const maxMembers = 10_000

var (
	errObject    = errors.New("not a JSON object")
	errDuplicate = errors.New("a member occurs twice")
	errMembers   = errors.New("an object has too many members")
)

// ParseObject reads a JSON object in UTF-8.
func ParseObject(data string) (Object, error) { return parseObject([]byte(data), data) }

// parseObject is ParseObject of data, given both ways.
func parseObject(b []byte, data string) (Object, error) {
	if !json.Valid(b) || !utf8.Valid(b) {
		return nil, errObject
	}
	return scanObject(data)
}

// scanObject takes valid JSON apart.
func scanObject(data string) (Object, error) {
	s := strings.TrimSpace(data)
	if s[0] != '{' {
		return nil, errObject
	}
	o := make(Object, 0, 8)
	var seen map[string]bool // of large objects
	s = space(s[1:])
	for s[0] != '}' {
		n := valueEnd(s)
		name := unquote(s[:n])
		s = space(s[n:])
		s = space(s[1:]) // the colon
		n = valueEnd(s)
		if o.repeats(name, &seen) {
			return nil, errDuplicate
		}
		if len(o) == maxMembers {
			return nil, errMembers
		}
		o = append(o, Member{Name: name, Raw: s[:n]})
		s = space(s[n:])
		if s[0] == ',' {
			s = space(s[1:])
		}
	}
	return o, nil
}

// repeats reports whether name is the name of a member; an object that grows
// large gets an index.
func (o Object) repeats(name string, seen *map[string]bool) bool {
	if len(o) < 16 {
		_, dup := o.Get(name)
		return dup
	}
	if *seen == nil {
		*seen = make(map[string]bool, 2*len(o))
		for _, m := range o {
			(*seen)[m.Name] = true
		}
	}
	dup := (*seen)[name]
	(*seen)[name] = true
	return dup
}

// elements yields the values of a valid JSON array, nothing for other values.
func elements(raw string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if raw == "" || raw[0] != '[' {
			return
		}
		s := space(raw[1:])
		for s[0] != ']' {
			n := valueEnd(s)
			if !yield(s[:n]) {
				return
			}
			s = space(s[n:])
			if s[0] == ',' {
				s = space(s[1:])
			}
		}
	}
}

// space returns s without the white space in front.
func space(s string) string {
	for i := range len(s) {
		if c := s[i]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return s[i:]
		}
	}
	return ""
}

// valueEnd returns the length of the value that s, valid JSON, begins with.
func valueEnd(s string) int {
	switch s[0] {
	case '"':
		return stringEnd(s)
	case '{', '[':
		depth := 0
		for i := 0; ; i++ {
			switch s[i] {
			case '"':
				i += stringEnd(s[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	if i := strings.IndexAny(s, ",]} \t\r\n"); i >= 0 {
		return i
	}
	return len(s)
}

func stringEnd(s string) int {
	for i := 1; ; i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// unquote returns the text of a valid JSON string.
func unquote(raw string) string {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var s string
	_ = json.Unmarshal([]byte(raw), &s)
	return s
}

// Get returns the JSON of the member called name.
func (o Object) Get(name string) (raw string, ok bool) {
	for i := range o {
		if o[i].Name == name {
			return o[i].Raw, true
		}
	}
	return "", false
}

// Text returns the string called name; false if there is none or it is no
// string.
func (o Object) Text(name string) (string, bool) {
	raw, ok := o.Get(name)
	if !ok || raw[0] != '"' {
		return "", false
	}
	return unquote(raw), true
}

// set gives a member a value, in its place if it exists.
func (o *Object) set(name, raw string) {
	for i := range *o {
		if (*o)[i].Name == name {
			(*o)[i].Raw = raw
			return
		}
	}
	*o = append(*o, Member{name, raw})
}

func (o *Object) setText(name, value string) { o.set(name, quote(value)) }

func (o *Object) setInt(name string, n int64) { o.set(name, strconv.FormatInt(n, 10)) }

// JSON returns the object's text without white space between members.
func (o Object) JSON() string {
	size := 2
	for _, m := range o {
		size += len(m.Name) + len(m.Raw) + 4
	}
	b := append(make([]byte, 0, size), '{')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, quote(m.Name)...), ':'), m.Raw...)
	}
	return string(append(b, '}'))
}

// quote returns s as a JSON string. What is not UTF-8 becomes U+FFFD.
func quote(s string) string {
	plain := utf8.ValidString(s)
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= 0x20 && s[i] != '"' && s[i] != '\\'
	}
	if plain {
		return `"` + s + `"`
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}

// value returns a JSON value as a flow variable: text, number or boolean as
// such, null as unset, objects and arrays as their JSON.
func value(raw string) flow.Value {
	switch raw[0] {
	case '"':
		return flow.StringValue(unquote(raw))
	case 't':
		return flow.BoolValue(true)
	case 'f':
		return flow.BoolValue(false)
	case 'n':
		return flow.Value{}
	case '{', '[':
		return flow.StringValue(raw)
	}
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return flow.IntValue(n)
	}
	if f, err := strconv.ParseFloat(raw, 64); err == nil && f != math.Trunc(f) {
		return flow.FloatValue(f)
	}
	return flow.StringValue(raw)
}

// listValue is value, but an array of strings is a list.
func listValue(raw string) flow.Value {
	if raw[0] != '[' {
		return value(raw)
	}
	if l, ok := stringsOf(raw); ok {
		return flow.ListValue(l)
	}
	return flow.StringValue(raw)
}

// stringsOf returns the members of an array of strings.
func stringsOf(raw string) (list []string, ok bool) {
	if raw == "" || raw[0] != '[' {
		return nil, false
	}
	list = []string{}
	for e := range elements(raw) {
		if e[0] != '"' {
			return nil, false
		}
		list = append(list, unquote(e))
	}
	return list, true
}

// seconds reads a NumericDate (RFC 7519 section 2) as milliseconds.
func seconds(raw string) (ms int64, ok bool) {
	if c := raw[0]; c != '-' && (c < '0' || c > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil || math.Abs(f) > 1e14 {
		return 0, false
	}
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return n * 1000, true
	}
	return int64(f * 1000), true
}
