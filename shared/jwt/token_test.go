package jwt

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseObject(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{}`, ``},
		{` { "a" : 1 , "b":[1,{"c":"]}"}] } `, `a=1 b=[1,{"c":"]}"}]`},
		{`{"a":"x\"y\\","b":true,"c":null,"d":-1.5e3}`, `a="x\"y\\" b=true c=null d=-1.5e3`},
		{`{"\u0061":1}`, `a=1`},
		{`{"a":{"a":1,"a":2}}`, `a={"a":1,"a":2}`},
		{`{"a":1,"a":2}`, `error`},
		{`{"a":1,"\u0061":2}`, `error`},
		{`[]`, `error`}, {`1`, `error`}, {``, `error`}, {`{`, `error`}, {`{"a":1}x`, `error`}, {`{"a":1,}`, `error`},
		{"{\"a\":\"\xff\"}", `error`},
		{"\ufeff{}", `error`},
	} {
		o, err := ParseObject(tt.in)
		var got []string
		for _, m := range o {
			got = append(got, m.Name+"="+m.Raw)
		}
		s := strings.Join(got, " ")
		if err != nil {
			s = "error"
		}
		if s != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, s, tt.want)
		}
	}
}

// TestLargeObjects: the time that an object takes does not grow with its square.
func TestLargeObjects(t *testing.T) {
	object := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":%d,`, i, i)
		}
		return "{" + b.String() + last + "}"
	}
	for _, tt := range []struct {
		n    int
		last string
		want error
	}{
		{maxMembers - 1, `"x":1`, nil}, {maxMembers - 1, `"k7":1`, errDuplicate}, {maxMembers, `"x":1`, errMembers},
		{20, `"k18":1`, errDuplicate}, {16, `"k15":1`, errDuplicate}, {15, `"k14":1`, errDuplicate}, {100_000, `"x":1`, errMembers},
	} {
		if _, err := ParseObject(object(tt.n, tt.last)); err != tt.want {
			t.Errorf("%d members and %s: %v, want %v", tt.n, tt.last, err, tt.want)
		}
	}
}

// FuzzParseObject compares with encoding/json: the same names, and values of
// the same meaning.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"b":[1,{"c":"]}"}]}`, `{"a":"x\"y\\"}`, `{"a":1,"a":2}`, "{\"\xff\":1}", `{"a" : 1}`, `[1]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseObject(s)
		var want map[string]json.RawMessage
		if json.Unmarshal([]byte(s), &want) != nil || want == nil {
			if err == nil {
				t.Fatalf("%q is accepted", s)
			}
			return
		}
		if err != nil {
			return // duplicates, or not UTF-8
		}
		names := make([]string, len(o))
		for i, m := range o {
			names[i] = m.Name
			if m.Raw != strings.TrimSpace(string(want[m.Name])) {
				t.Fatalf("%q: %s is %q, want %q", s, m.Name, m.Raw, want[m.Name])
			}
			if !equal(m.Raw, m.Raw) && !strings.Contains(m.Raw, "{") && len(m.Raw) < 16 {
				t.Fatalf("%q is not equal to itself", m.Raw)
			}
			value(m.Raw)
			listValue(m.Raw)
			seconds(m.Raw)
		}
		slices.Sort(names)
		if !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
			t.Fatalf("%q: names %q", s, names)
		}
		again, err := ParseObject(o.JSON())
		if err != nil || len(again) != len(o) {
			t.Fatalf("%q is printed as %q: %v", s, o.JSON(), err)
		}
	})
}

// FuzzParse: what parses is one token only: its parts, encoded again, are the
// text.
func FuzzParse(f *testing.F) {
	f.Add("eyJhbGciOiJIUzI1NiJ9.e30.c2ln")
	f.Add("eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..aXY.Y3Q.dGFn")
	f.Add("eyJhbGciOiJIUzI1NiJ9..c2ln")
	f.Add("a.b.c\n")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := Parse(s)
		if err != nil {
			return
		}
		if got := compact(tok); got != s {
			t.Fatalf("%q is read as %q", s, got)
		}
		w := newWriter("jwt.p.", 8)
		w.header(tok)
		if o, err := ParseObject(tok.Payload); err == nil {
			at, _ := readTimes(o)
			w.claims(tok.Payload, o, at)
		}
		v := &Verifier{Signatures: []*Signature{SignatureNamed("HS256")}}
		if h, err := v.read(nil, tok); err == nil && v.open(tok, h, secretKey(make([]byte, 32)), "InvalidToken") == nil && len(tok.signature) != 32 {
			t.Fatalf("%q is verified", s)
		}
	})
}

func compact(t *Token) string {
	parts := [][]byte{[]byte(t.HeaderJSON), []byte(t.Payload), t.signature}
	if t.Encrypted {
		parts = [][]byte{[]byte(t.HeaderJSON), t.key, t.iv, t.ciphertext, t.tag}
	}
	var out []string
	for _, p := range parts {
		out = append(out, strict.EncodeToString(p))
	}
	return strings.Join(out, ".")
}

// FuzzOpen decrypts whatever with each kind of key.
func FuzzOpen(f *testing.F) {
	f.Add("RSA-OAEP-256", "A128GCM", `"p2c":1000`, "a", "b", "c", "d")
	f.Add("ECDH-ES", "A128CBC-HS256", `"epk":{"kty":"EC","crv":"P-256","x":"","y":""}`, "", "0123456789abcdef", "0123456789abcdef", "0123456789abcdef")
	f.Add("PBES2-HS256+A128KW", "A128GCM", `"p2c":1000,"p2s":"AAAAAAAAAAAA"`, strings.Repeat("k", 24), "0123456789ab", "c", "0123456789abcdef")
	f.Add("A128GCMKW", "A256GCM", `"iv":"AAAAAAAAAAAAAAAA","tag":"AAAAAAAAAAAAAAAAAAAAAA"`, strings.Repeat("k", 32), "0123456789ab", "c", "0123456789abcdef")
	f.Add("dir", "A128GCM", `"zip":"DEF"`, "", "0123456789ab", "c", "0123456789abcdef")
	ec, err := parsePrivate(testFile(f, "p256.pem"), "")
	if err != nil {
		f.Fatal(err)
	}
	rsa, err := parsePrivate(testFile(f, "rsa.pem"), "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, alg, enc, extra, key, iv, ciphertext, tag string) {
		a, c := keyAlgorithmNamed(alg), contentNamed(enc)
		h, err := ParseObject(`{"alg":"x",` + extra + `}`)
		if a == nil || c == nil || err != nil {
			return
		}
		if raw, _ := h.Get("p2c"); len(raw) > 4 {
			return // time
		}
		tok := &Token{Header: h, Encrypted: true, key: []byte(key), iv: []byte(iv), ciphertext: []byte(ciphertext), tag: []byte(tag)}
		e := &Encryption{key: a}
		for _, k := range []*Key{ec, rsa, secretKey(make([]byte, 16)), secretKey(make([]byte, 32))} {
			if a.fits(k, c) != nil {
				continue
			}
			if _, err := e.open(tok, c, k, 0); err == nil {
				t.Fatal("it opens")
			}
		}
	})
}

// FuzzParseSet: no text makes a key that is not sound.
func FuzzParseSet(f *testing.F) {
	f.Add(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"}]}`)
	f.Add(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`)
	f.Fuzz(func(t *testing.T, s string) {
		keys, err := parseSet(s)
		if err != nil {
			return
		}
		for _, k := range keys.keys {
			if (k.key == nil) == (k.err == nil) {
				t.Fatalf("%q: key %v, error %v", s, k.key, k.err)
			}
		}
	})
}

func TestParseSpan(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "1": time.Millisecond, "1500ms": 1500 * time.Millisecond, "10s": 10 * time.Second, "60m": time.Hour,
		"12h": 12 * time.Hour, "10d": 240 * time.Hour, "2w": 14 * 24 * time.Hour, " 5 s ": 5 * time.Second,
		"": -1, "s": -1, "-1s": -1, "1.5s": -1, "1y": -1, "9223372036854775807d": -1, "1e3s": -1, "+1s": time.Second,
	} {
		got, ok := ParseSpan(in)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v %v", in, got, ok)
		}
	}
}

func TestFormatSpan(t *testing.T) {
	for in, want := range map[int64]string{0: "00:00:00.000", 3599926: "00:59:59.926", 90061001: "25:01:01.001", -1500: "-00:00:01.500", 360000000: "100:00:00.000"} {
		if got := formatSpan(in); got != want {
			t.Errorf("%d: %s, want %s", in, got, want)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{`1`, `1.0`, true}, {`1`, `1e0`, true}, {`1`, `"1"`, false}, {`"a"`, `"\u0061"`, true}, {`true`, `true`, true}, {`true`, `"true"`, false},
		{`{"a":1,"b":2}`, `{"b":2.0, "a":1}`, true}, {`{"a":1}`, `{"a":1,"b":2}`, false}, {`[1,2]`, `[1, 2]`, true}, {`[1,2]`, `[2,1]`, false},
		{`[]`, `{}`, false}, {`null`, `null`, true}, {`9007199254740993`, `9007199254740992`, false}, {`9007199254740993`, `9007199254740993`, true},
		{`1`, `null`, false}, {`null`, `1`, false}, {`1`, `true`, false}, {`{"a":[{"b":"x"}]}`, `{"a":[{"b":"x"}]}`, true},
	} {
		if got := equal(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: %v", tt.a, tt.b, got)
		}
	}
}

func TestEncodings(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"", "Ab é", "Ab é"}, {"UTF-8", "x", "x"},
		{"hex", "49 4c\n6F", "ILo"}, {"BASE-16", "494C6f", "ILo"}, {"hex", "4", "error"},
		{"base64", "VGhpcy1pcy1hLXNlY3JldA", "This-is-a-secret"}, {"base64", "VGhpcy1pcy1hLXNlY3JldA==", "This-is-a-secret"},
		{"base64url", "_-8", "\xff\xef"}, {"base64url", "/+8=", "\xff\xef"}, {"base64", "!", "error"},
	} {
		decode, ok := EncodingNamed(tt.name)
		if !ok {
			t.Fatalf("no encoding %q", tt.name)
		}
		b, err := decode(tt.in)
		got := string(b)
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
	if _, ok := EncodingNamed("rot13"); ok {
		t.Error("rot13 is an encoding")
	}
}
