package javaproperties_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/perigee-gateway/perigee/shared/javaproperties"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]string
	}{
		{"empty", "", map[string]string{}},
		{"three separators", "a=1\nb:2\nc 3\n", map[string]string{"a": "1", "b": "2", "c": "3"}},
		{"blanks around", "  a \t=\f 1 \n", map[string]string{"a": "1 "}},
		{"second separator is text", "a==1\nb=:2\nc = = 3", map[string]string{"a": "=1", "b": ":2", "c": "= 3"}},
		{"key only", "a\nb=\nc :", map[string]string{"a": "", "b": "", "c": ""}},
		{"empty key", "=1", map[string]string{"": "1"}},
		{"comments", "# a=1\n  ! b=2\n#c\\\nd=4\na=#1", map[string]string{"d": "4", "a": "#1"}},
		{"line ends", "a=1\r\nb=2\rc=3\n\r\nd=4", map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}},
		{"continuation", "fruits = apple, \\\n    banana, \\\r\n\tpear\nx=1", map[string]string{"fruits": "apple, banana, pear", "x": "1"}},
		{"a comment sign does not begin a comment in a continuation", "a=1\\\n#2", map[string]string{"a": "1#2"}},
		{"even backslashes do not continue", "a=1\\\\\nb=2", map[string]string{"a": `1\`, "b": "2"}},
		{"continuation at the end", "a=1\\", map[string]string{"a": "1"}},
		{"continued key", "long\\\n  key=1", map[string]string{"longkey": "1"}},
		{"escapes", `a=\t\n\r\f\\\q\"`, map[string]string{"a": "\t\n\r\f\\q\""}},
		{"escaped separators", `a\ b\:c\=d = 1`, map[string]string{"a b:c=d": "1"}},
		{"unicode", `a=\u00e9\u4f60 é`, map[string]string{"a": "é你 é"}},
		{"surrogates", `a=\ud83d\ude00 \ud83d \ude00x`, map[string]string{"a": "😀 \ufffd \ufffdx"}},
		{"last wins", "a=1\na=2", map[string]string{"a": "2"}},
		{"byte order mark", "\ufeffa=1", map[string]string{"a": "1"}},
		{"trailing blanks of a value stay", "a=1 \t\nb=2", map[string]string{"a": "1 \t", "b": "2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := javaproperties.Parse([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a=1\nb=\\u12":    `line 2: malformed \uxxxx escape "\\u12"`,
		`\uzzzz=1`:        `line 1: malformed \uxxxx escape "\\uzzzz"`,
		`a=\ud83d\u12`:    `line 1: malformed \uxxxx escape "\\u12"`,
		"a=1\\\n2\\u+123": `line 1: malformed \uxxxx escape "\\u+123"`,
		"a=\xff":          "properties are not UTF-8",
	} {
		if _, err := javaproperties.Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// store writes a set as java.util.Properties.store does.
func store(set map[string]string) string {
	var b strings.Builder
	for k, v := range set {
		fmt.Fprintf(&b, "%s=%s\n", escape(k, true), escape(v, false))
	}
	return b.String()
}

func escape(s string, key bool) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == ' ' && (key || i == 0), r == '\\', r == '=', r == ':', r == '#', r == '!':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\ufeff': // could be taken for a byte order mark
			b.WriteString(`\ufeff`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\f':
			b.WriteString(`\f`)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// What is parsed, stored and parsed again is the same.
func FuzzParse(f *testing.F) {
	f.Add("a=1\nb:2\nc 3\\\n 4\n#x\n\\u00e9=\\t")
	f.Add("\ufeff = \\\n\\")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := javaproperties.Parse([]byte(text))
		if err != nil {
			return
		}
		for k, v := range set {
			if !utf8.ValidString(k) || !utf8.ValidString(v) {
				t.Errorf("%q = %q is not UTF-8", k, v)
			}
		}
		again, err := javaproperties.Parse([]byte(store(set)))
		if err != nil || !maps.Equal(set, again) {
			t.Errorf("got %q, then %q, %v", set, again, err)
		}
	})
}
