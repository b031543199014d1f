// Package javaproperties reads .properties files as java.util.Properties does:
// the syntax of Apigee's property sets.
//
// Source: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/Properties.html#load(java.io.Reader)
package javaproperties

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Parse reads the text of a .properties file. Of a key given twice the last
// value counts. The only errors are a malformed \uxxxx and text that is not
// UTF-8.
//
// Files are UTF-8, as Apigee's are; a byte order mark is skipped.
func Parse(data []byte) (map[string]string, error) {
	text := string(data)
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("properties are not UTF-8")
	}
	set := map[string]string{}
	text = strings.TrimPrefix(text, "\ufeff")
	for lines := (reader{rest: text}); ; {
		line, number, ok := lines.next()
		if !ok {
			return set, nil
		}
		key, value := split(line)
		k, err := unescape(key)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		v, err := unescape(value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		set[k] = v
	}
}

// reader gives the logical lines.
type reader struct {
	rest   string
	number int // of the natural line read last
}

// next is the next logical line without comments and blank lines, with escapes
// but without continuations, and the number of its first natural line.
func (r *reader) next() (line string, number int, ok bool) {
	for r.rest != "" {
		natural := strings.TrimLeft(r.natural(), blanks)
		if natural == "" || natural[0] == '#' || natural[0] == '!' {
			continue
		}
		number = r.number
		if !continued(natural) {
			return natural, number, true
		}
		return r.join(natural), number, true
	}
	return "", 0, false
}

// join is a line that ends in a backslash with those it goes on in.
func (r *reader) join(natural string) string {
	var b strings.Builder
	for continued(natural) {
		b.WriteString(natural[:len(natural)-1])
		if r.rest == "" {
			return b.String()
		}
		natural = strings.TrimLeft(r.natural(), blanks)
	}
	b.WriteString(natural)
	return b.String()
}

// blanks are what Java takes for white space within a line.
const blanks = " \t\f"

// natural cuts off one line; CR, LF and CR LF end it.
func (r *reader) natural() string {
	r.number++
	i := strings.IndexAny(r.rest, "\r\n")
	if i < 0 {
		line := r.rest
		r.rest = ""
		return line
	}
	line := r.rest[:i]
	if strings.HasPrefix(r.rest[i:], "\r\n") {
		i++
	}
	r.rest = r.rest[i+1:]
	return line
}

// continued reports whether the line ends in an odd number of backslashes.
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// split cuts a logical line at the first separator that is not escaped: blanks,
// or one '=' or ':' with blanks around.
func split(line string) (key, value string) {
	i := 0
	for i < len(line) && !strings.ContainsRune(blanks+"=:", rune(line[i])) {
		if line[i] == '\\' {
			i++
		}
		i++
	}
	i = min(i, len(line))
	key, value = line[:i], strings.TrimLeft(line[i:], blanks)
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], blanks)
	}
	return key, value
}

// unescape resolves \t \n \r \f \uxxxx; before any other character a backslash
// is dropped.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			break
		}
		if s[i] != 'u' {
			b.WriteByte(control(s[i]))
			continue
		}
		r, n, err := unicodeEscape(s[i-1:])
		if err != nil {
			return "", err
		}
		b.WriteRune(r)
		i += n - 2
	}
	return b.String(), nil
}

func control(c byte) byte {
	switch c {
	case 't':
		return '\t'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 'f':
		return '\f'
	}
	return c
}

// unicodeEscape reads the \uxxxx s begins with, or the two of a surrogate pair;
// n is how long they are. A lone surrogate becomes U+FFFD.
func unicodeEscape(s string) (r rune, n int, err error) {
	first, err := hex4(s)
	if err != nil || !utf16.IsSurrogate(first) {
		return first, 6, err
	}
	if strings.HasPrefix(s[6:], `\u`) {
		second, err := hex4(s[6:])
		if err != nil {
			return 0, 0, err
		}
		if pair := utf16.DecodeRune(first, second); pair != utf8.RuneError {
			return pair, 12, nil
		}
	}
	return utf8.RuneError, 6, nil
}

func hex4(s string) (rune, error) {
	if len(s) < 6 {
		return 0, fmt.Errorf(`malformed \uxxxx escape %q`, s)
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	if err != nil {
		return 0, fmt.Errorf(`malformed \uxxxx escape %q`, s[:6])
	}
	return rune(n), nil
}
