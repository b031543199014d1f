package jsonthreatprotection

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestWellFormed has texts that are JSON by RFC 8259, and texts that look like it,
// in the spirit of public suites of parsing tests.
func TestWellFormed(t *testing.T) {
	good := []string{
		`null`, `true`, `false`, `0`, `-0`, `12`, `-1.5`, `0.0`, `1e5`, `1E+2`, `1e-0`, `-0e1`, `123456789012345678901234567890`, `1e400`, `-1e-400`,
		`""`, `" "`, `"\""`, `"\\\/\b\f\n\r\t"`, `"\u0000"`, `"\uD83D\uDE00"`, `"\ud83d"`, `"é"`, "\"\u2028\u2029\"", "\"\x7f\"", `"\u005c"`, `"/"`,
		`[]`, `[ ]`, "[\n\t\r ]", `[[]]`, `[[],{}]`, `[1,2]`, `[null,true,false]`, "\ufeff[]", `{}`, `{ }`, `{"a":1}`, `{"":0}`, `{"a":1,"a":2}`, `{"a":{"b":[{}]}}`,
		" \n[1]\t\r ", `["a" , "b"]`, `{"a" : 1 , "b" : 2}`, strings.Repeat("[", 500) + strings.Repeat("]", 500),
	}
	bad := []string{
		// values that are none
		`nul`, `nulll`, `True`, `FALSE`, `NaN`, `Infinity`, `-Infinity`, `undefined`, `a`, `'a'`, "`a`", `#`, `//1`, `/**/1`, `1/**/`, `<a/>`, "[\ufeff]", "\x00", "[1]\x00",
		// numbers
		`+1`, `01`, `-01`, `-`, `--1`, `1.`, `.5`, `-.5`, `1.e1`, `1e`, `1e+`, `1ee2`, `0x1f`, `1_000`, `1,000`, `1 2`, `- 1`, `0e`, `1.2.3`, `1a`, `٣`, `１`, `2.e3`, `1+2`, `-NaN`, `0.3e+`,
		// strings
		`"`, `"a`, `a"`, `"\"`, `"\x41"`, `"\a"`, `"\u"`, `"\u12"`, `"\u12G4"`, `"\U1234"`, "\"\n\"", "\"\t\"", "\"\x00\"", "\"\x1f\"", `"\`, `""x`, `"a" "b"`, "\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\xbf\xbf\xbf\"", `"\u00A"`, `"\ `,
		// arrays
		`[`, `]`, `[,]`, `[1,]`, `[,1]`, `[1,,2]`, `[1 2]`, `["a" "b"]`, `[1:2]`, `[1}`, `[}`, `[1]]`, `[1];`, `[[]`, `[1,`, `[""`, `["",`, `[a]`, `[-]`, `[*]`, `["a",`, `[1]x`, `[][]`, `[\n]`, "[1\x0b]", "[1\x0c]", "[\u00a0]", "[\u2060]", `[tru]`, `[nul`, `[1,#]`, `["x", truth]`, `['a']`,
		// objects
		`{`, `}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,"a":1}`, `{"a":1,,"b":2}`, `{a:1}`, `{'a':1}`, `{1:1}`, `{null:1}`, `{"a":1 "b":2}`, `{"a",1}`, `{"a"::1}`, `{"a":1:2}`, `{"a":1]`, `{"a":1}}`, `{"a":1}#`, `{"a":1}//`, `{"a" 1}`, `{"a":"b"`, `{"a":"b",`, `{"a":`, `{"a"`, `{"a`, `{[]:1}`, `{"a":{"b":1}`, `{"a":1,"b"}`, `{"a"=1}`, `{"a":1;"b":2}`, `{"a":/*x*/1}`, `{"\u":1}`,
		// what attackers send in the place of JSON
		`)]}',{}`, `__proto__`, `({"a":1})`, `a({"a":1})`, `{"a":1}{"a":2}`, "{}\n{}", `{"$ref":`, strings.Repeat("[", 1000), strings.Repeat(`{"":`, 1000), strings.Repeat("[", 1000) + strings.Repeat("]", 999), strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
	}
	none := limits{-1, -1, -1, -1, -1}
	for _, text := range good {
		if what, err := new(inspection).run([]byte(text), &none); what != "" || err != nil {
			t.Errorf("%.40q: %s %v", text, what, err)
		}
	}
	// encoding/json takes strings that are not UTF-8.
	for _, text := range bad {
		if what, err := new(inspection).run([]byte(text), &none); what == "" && err == nil {
			t.Errorf("%.40q passes", text)
		}
		if utf8.ValidString(text) && json.Valid([]byte(text)) && len(text) < 10000 {
			t.Errorf("%.40q is JSON to encoding/json", text)
		}
	}
	t.Logf("%d are JSON, %d are not", len(good), len(bad))
}
