package jsontoken

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// print writes the tokens of a text.
func print(src []byte, maxDepth int) (string, error) {
	var s Scanner
	s.Reset(src, maxDepth)
	var b bytes.Buffer
	for {
		kind, err := s.Next()
		switch {
		case err != nil:
			return b.String(), err
		case kind == EOF:
			return strings.TrimSpace(b.String()), nil
		case kind == Name:
			fmt.Fprintf(&b, "%s: ", s.Data())
		default:
			fmt.Fprintf(&b, "%s ", s.Data())
		}
	}
}

func TestTokens(t *testing.T) {
	for src, want := range map[string]string{
		`{}`:    "{ }",
		` [ ] `: "[ ]",
		`{"a" : 1 , "b":[true,false,null,"x\n\u00e9"],"a":-0.5E+10}`: `{ a: 1 b: [ true false null x\n\u00e9 ] a: -0.5E+10 }`,
		"\ufeff7":               "7",
		`"a"`:                   "a",
		`[[{}],[]]`:             "[ [ { } ] [ ] ]",
		`{"":{"":{"":[[[]]]}}}`: "{ : { : { : [ [ [ ] ] ] } } }",
		strings.Repeat("[", 70) + strings.Repeat("]", 70): strings.Repeat("[ ", 70) + strings.TrimSpace(strings.Repeat("] ", 70)),
	} {
		if got, err := print([]byte(src), 0); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", src, got, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for src, want := range map[string]string{
		"":                     "Expecting { or [ at line 1",
		" \n":                  "Expecting { or [ at line 2",
		"hello":                "Expecting { or [ at line 1",
		"{\"a\"\n1}":           "Expecting : at line 2",
		`{"a"`:                 "Expecting : at line 1",
		`{"a":`:                "Expecting a value at line 1",
		`{"a":}`:               "Expecting a value at line 1",
		`{"a":1`:               "Expecting , or } at line 1",
		`{"a":1]`:              "Expecting , or } at line 1",
		`{"a":1 "b":2}`:        "Expecting , or } at line 1",
		`{"a":1,}`:             "Expecting a name at line 1",
		`{a:1}`:                "Expecting a name or } at line 1",
		`{`:                    "Expecting a name or } at line 1",
		`[1`:                   "Expecting , or ] at line 1",
		`[1}`:                  "Expecting , or ] at line 1",
		`[1,]`:                 "Expecting a value at line 1",
		`[`:                    "Expecting a value at line 1",
		`[tru]`:                "Expecting a value at line 1",
		`[+1]`:                 "Expecting a value at line 1",
		`[01]`:                 "Invalid number at line 1",
		`[-]`:                  "Invalid number at line 1",
		`[1.]`:                 "Invalid number at line 1",
		`[1e]`:                 "Invalid number at line 1",
		`["a`:                  "Unterminated string at line 1",
		`["\x"]`:               "Invalid escape at line 1",
		`["\u12"]`:             "Invalid escape at line 1",
		"[\"\n\"]":             "Invalid character in a string at line 1",
		"[\"\xff\"]":           "Invalid UTF-8 at line 1",
		"{}\n{}":               "Expecting end of input at line 2",
		`[[[[`:                 "nested deeper than 3 at line 1",
		`{"a":{"b":{"c":{}}}}`: "nested deeper than 3 at line 1",
	} {
		if _, err := print([]byte(src), 3); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
}

func TestText(t *testing.T) {
	for data, want := range map[string]string{
		`a\"\\\/\b\f\n\r\t`: "a\"\\/\b\f\n\r\t", `\u00e9é\ud83d\ude00`: "éé😀", `\ud83d\u0041`: "\ufffdA", `\ude00`: "\ufffd", "😀": "😀",
	} {
		if got := string(AppendText(nil, []byte(data))); got != want {
			t.Errorf("AppendText(%s) = %q", data, got)
		}
	}
	for data, want := range map[string]int{"": 0, `\"a`: 2, `\u00e9é`: 2, `\ud83d\ude00😀`: 4} {
		if got := Length([]byte(data)); got != want {
			t.Errorf("Length(%s) = %d, want %d", data, got, want)
		}
	}
}

// Memory is a bit per level, whatever the text.
func TestBoundedMemory(t *testing.T) {
	for name, src := range map[string][]byte{
		"depth":   bytes.Repeat([]byte("["), 1<<22),
		"objects": bytes.Repeat([]byte(`{"a":`), 1<<20),
		"string":  []byte(`"` + strings.Repeat(`\n`, 1<<21) + `"`),
		"members": []byte("{" + strings.Repeat(`"a":1,`, 1<<19) + `"b":2}`),
	} {
		var s Scanner
		run := func() {
			s.Reset(src, 0)
			for {
				if kind, err := s.Next(); kind == EOF || err != nil {
					return
				}
			}
		}
		run()
		if n := testing.AllocsPerRun(1, run); n > 2 { // the error
			t.Errorf("%s: %v allocations", name, n)
		}
		if cap(s.objects)*64 > 3*len(src)+1024 {
			t.Errorf("%s: %d words", name, cap(s.objects))
		}
	}
}

// TestSuite reads the cases of github.com/nst/JSONTestSuite from the directory
// in PERIGEE_JSONTESTSUITE: y_ must pass, n_ must not.
func TestSuite(t *testing.T) {
	dir := os.Getenv("PERIGEE_JSONTESTSUITE")
	if dir == "" {
		t.Skip("PERIGEE_JSONTESTSUITE names no directory")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) < 300 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, err = print(src, 0)
		switch base := filepath.Base(f); {
		case base[0] == 'y' && err != nil:
			t.Errorf("%s: %v", base, err)
		case base[0] == 'n' && err == nil:
			t.Errorf("%s passes", base)
		}
	}
}

// FuzzScanner: what passes is what encoding/json takes, and nothing else passes,
// but for bytes that are no UTF-8 and a byte order mark.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{`{"a":[1,true,null,"x\u00e9"]}`, `[]`, `"a"`, `-1.5e3`, `[1,]`, `{"a" 1}`, "\ufeff{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var s Scanner
		s.Reset(src, 0)
		var err error
		for kind := Kind(1); kind != EOF && err == nil; {
			if kind, err = s.Next(); kind != String && kind != Name || err != nil {
				continue
			}
			var want string
			quoted := append(append([]byte{'"'}, s.Data()...), '"')
			if json.Unmarshal(quoted, &want) != nil || string(AppendText(nil, s.Data())) != want {
				t.Fatalf("%q: text %q, want %q", src, AppendText(nil, s.Data()), want)
			}
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Offset > len(src) || e.Line < 1) {
			t.Fatalf("%q: %#v", src, err)
		}
		if bytes.HasPrefix(src, []byte("\ufeff")) || !utf8.Valid(src) {
			return
		}
		if valid := json.Valid(src); valid != (err == nil) {
			t.Fatalf("%q: %v, encoding/json says %v", src, err, valid)
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	src := []byte(`{"order":{"id":7,"items":[` + strings.Repeat(`{"sku":"a-1","count":2,"name":"Thing \u0026 more","price":9.95},`, 100) + `{}]}}`)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	var s Scanner
	for b.Loop() {
		s.Reset(src, 0)
		for {
			kind, err := s.Next()
			if err != nil {
				b.Fatal(err)
			}
			if kind == EOF {
				break
			}
		}
	}
}
