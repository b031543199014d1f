package javaregex

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestAgainstJava holds every pattern to what the JDK's own engine answered;
// see testdata/Oracle.java.
func TestAgainstJava(t *testing.T) {
	data, err := os.ReadFile("testdata/java.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(data), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		pattern, text, replacement := unescape(f[0]), unescape(f[1]), unescape(f[2])
		t.Run(fmt.Sprintf("line %d", i+1), func(t *testing.T) {
			if got, want := judge(pattern, text, replacement), strings.Join(f[3:], "\t"); got != want {
				t.Errorf("pattern %q text %q replacement %q\n got %q\nJava %q", pattern, text, replacement, got, want)
			}
		})
	}
}

func judge(pattern, text, replacement string) string {
	r, err := Compile(pattern)
	if err != nil {
		return "E"
	}
	whole, err := r.Matches(text)
	if err != nil {
		return err.Error()
	}
	find, err := r.Find(text)
	if err != nil {
		return err.Error()
	}
	replaced, err := r.ReplaceAll(text, replacement)
	if err == nil {
		replaced = escape(replaced)
	} else if find {
		replaced = "E"
	} else {
		replaced = escape(text) // Java looks at the replacement only when it is used
	}
	return fmt.Sprintf("%t\t%t\t%s", whole, find, replaced)
}

var escaper = strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`, `\`, `\\`, "\x07", `\u0007`, "\x0b", `\u000b`,
	"\x0c", `\u000c`, "\x1b", `\u001b`, "\x01", `\u0001`, "\u0085", `\u0085`, "\u2028", `\u2028`, "\u2029", `\u2029`)

func escape(s string) string { return escaper.Replace(s) }

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'u':
			n, _ := strconv.ParseUint(s[i+1:i+5], 16, 32)
			b.WriteRune(rune(n))
			i += 4
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func TestReplaceFirst(t *testing.T) {
	for _, c := range []struct{ pattern, text, replacement, want string }{
		{"a", "banana", "o", "bonana"},
		{"(?<=n)a", "banana", "o", "banona"},
		{"x*", "abc", "-", "-abc"},
		{"q", "banana", "o", "banana"},
	} {
		got, err := mustCompile(t, c.pattern).ReplaceFirst(c.text, c.replacement)
		if got != c.want || err != nil {
			t.Errorf("replaceFirst(%q, %q) of %q = %q, %v; want %q", c.pattern, c.replacement, c.text, got, err, c.want)
		}
	}
}

func TestIgnoreCase(t *testing.T) {
	r, err := CompileIgnoreCase("drop table")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := r.Find("x; DROP Table y"); !ok {
		t.Error("case matters")
	}
	if r.String() != "drop table" {
		t.Errorf("String() = %q", r.String())
	}
}

func TestLinearWherePossible(t *testing.T) {
	for pattern, want := range map[string]bool{
		`/token/users(/.*)?`: true, `^a|b$`: true, `(?i)[a-z&&[^b]]+`: true, `\bor\b`: true,
		`a(?=b)`: false, `(a)\1`: false, `a++`: false, `(?m)^a`: false, `a$b`: false,
	} {
		if got := mustCompile(t, pattern).Linear(); got != want {
			t.Errorf("%q linear = %t, want %t", pattern, got, want)
		}
	}
}

// A pattern that explodes ends with an error, not with a stuck call.
func TestTimeLimit(t *testing.T) {
	r := mustCompile(t, `(?=(x+x+)+y)x`)
	if _, err := r.Find(strings.Repeat("x", 40)); err == nil {
		t.Error("no error from a match that cannot end")
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	_, err := Compile("ab(c")
	if err == nil || !strings.Contains(err.Error(), "Unclosed group near index 4") {
		t.Errorf("error = %v", err)
	}
	if _, err := Compile(strings.Repeat("(", 10000) + strings.Repeat(")", 10000)); err == nil {
		t.Error("nesting is not bounded")
	}
}

func mustCompile(t testing.TB, pattern string) *Regexp {
	t.Helper()
	r, err := Compile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// FuzzCompile: a text quoted as a literal matches itself and nothing longer,
// and whatever compiles agrees between Matches and Find.
func FuzzCompile(f *testing.F) {
	data, err := os.ReadFile("testdata/java.tsv")
	if err != nil {
		f.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		if fields := strings.Split(line, "\t"); len(fields) > 3 {
			f.Add(unescape(fields[0]), unescape(fields[1]))
		}
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(text) {
			return
		}
		if !strings.Contains(text, `\E`) {
			r := mustCompile(t, `\Q`+text+`\E`)
			if ok, err := r.Matches(text); !ok || err != nil {
				t.Errorf("%q does not match itself: %v", text, err)
			}
		}
		r, err := Compile(pattern)
		if err != nil {
			return
		}
		whole, err := r.Matches(text)
		if err != nil {
			return
		}
		if found, err := r.Find(text); err == nil && whole && !found {
			t.Errorf("%q matches %q but does not find it", pattern, text)
		}
	})
}

func BenchmarkMatches(b *testing.B) {
	for name, pattern := range map[string]string{"linear": `/token/users(/.*)?`, "backtracking": `/token/users(?=/)/.*`} {
		r := mustCompile(b, pattern)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if ok, _ := r.Matches("/token/users/7/addresses"); !ok {
					b.Fatal("no match")
				}
			}
		})
	}
}
