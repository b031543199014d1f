package template

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// TestMain sets the local time that the documentation's examples assume.
func TestMain(m *testing.M) {
	loc, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		panic(err)
	}
	time.Local = loc
	os.Exit(m.Run())
}

func request() *flow.Context {
	fc := flow.New(&flow.Proxy{Name: "p"}, time.Now)
	fc.Request.Verb = "GET"
	return fc
}

var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n")

type row struct {
	src, vars, want string
	ignore          bool
}

func rows(t testing.TB) []row {
	t.Helper()
	data, err := os.ReadFile("testdata/templates.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []row
	for _, line := range strings.Split(string(data), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.Index(line, " | ")
		j := strings.LastIndex(line, " |")
		if i < 0 || j < i {
			t.Fatalf("row %q", line)
		}
		vars := ""
		if j > i+3 {
			vars = line[i+3 : j]
		}
		r := row{src: unescape.Replace(line[:i]), vars: unescape.Replace(vars), want: unescape.Replace(line[j+2:])}
		r.src, r.ignore = strings.CutPrefix(r.src, "~ ")
		if strings.HasPrefix(r.want, "unresolved:") || strings.HasPrefix(r.want, "error:") || strings.HasPrefix(r.want, "fails:") {
			r.want = strings.TrimSpace(r.want)
		}
		out = append(out, r)
	}
	return out
}

func set(t testing.TB, fc *flow.Context, vars string) {
	t.Helper()
	if vars == "" {
		return
	}
	for _, a := range strings.Split(vars, ";") {
		name, text, _ := strings.Cut(a, "=")
		v := flow.StringValue(text)
		switch kind, rest, _ := strings.Cut(text, ":"); kind {
		case "int":
			n, err := strconv.ParseInt(rest, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			v = flow.IntValue(n)
		case "float":
			f, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				t.Fatal(err)
			}
			v = flow.FloatValue(f)
		case "bool":
			v = flow.BoolValue(rest == "true")
		case "list":
			v = flow.ListValue(strings.Split(rest, ","))
		}
		if err := fc.Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTemplates(t *testing.T) {
	for _, r := range rows(t) {
		tmpl, err := Compile(r.src)
		if msg, ok := strings.CutPrefix(r.want, "error: "); ok {
			if err == nil || !strings.Contains(err.Error(), msg) {
				t.Errorf("%s: error %v, want %s", r.src, err, msg)
			}
			continue
		}
		if err != nil {
			if msg, ok := strings.CutPrefix(r.want, "fails: "); !ok || !strings.Contains(err.Error(), msg) {
				t.Errorf("%s: %v", r.src, err)
			}
			continue
		}
		check(t, tmpl, r)
	}
}

func check(t *testing.T, tmpl *Template, r row) {
	t.Helper()
	fc := request()
	defer fc.Release()
	set(t, fc, r.vars)
	got, err := tmpl.Expand(fc, r.ignore)
	if name, ok := strings.CutPrefix(r.want, "unresolved: "); ok {
		var u *Unresolved
		if !errors.As(err, &u) || u.Name != name {
			t.Errorf("%s: error %v, want an unresolved %s", r.src, err, name)
		}
		return
	}
	if msg, ok := strings.CutPrefix(r.want, "fails: "); ok {
		var f *FunctionError
		if !errors.As(err, &f) || !strings.Contains(err.Error(), msg) {
			t.Errorf("%s: error %v, want %s", r.src, err, msg)
		}
		return
	}
	if err != nil || got != r.want {
		t.Errorf("%s with %s\n got %q, %v\nwant %q", r.src, r.vars, got, err, r.want)
	}
	appended, err := tmpl.Append([]byte("pre "), fc, r.ignore)
	if err != nil || string(appended) != "pre "+r.want {
		t.Errorf("%s: appended %q, %v", r.src, appended, err)
	}
	if s, err := Text(fc, r.src, r.ignore); err != nil || s != r.want {
		t.Errorf("%s: Text gave %q, %v", r.src, s, err)
	}
}

// Every function is in the table of cases.
func TestEveryFunctionHasCases(t *testing.T) {
	data, err := os.ReadFile("testdata/templates.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name := range functions {
		if !strings.Contains(string(data), "{"+name+"(") {
			t.Errorf("no case for %s", name)
		}
	}
}

// Control characters, as commons-text escapes them.
func TestEscapeControlCharacters(t *testing.T) {
	const s = "a<\x00\x01\x08\t\n\x0b\x0c\x0e\x1f\x7f\u0084\u0085\u0086\u009fé\ufffe\uffff😀"
	if got, want := string(escapeXML(nil, s)), "a&lt;\t\n&#127;&#132;\u0085&#134;&#159;é😀"; got != want {
		t.Errorf("escapeXML\n got %q\nwant %q", got, want)
	}
	if got, want := string(escapeXML11(nil, s)), "a&lt;&#1;&#8;\t\n&#11;&#12;&#14;&#31;&#127;&#132;\u0085&#134;&#159;é😀"; got != want {
		t.Errorf("escapeXML11\n got %q\nwant %q", got, want)
	}
}

func TestRandomFunctions(t *testing.T) {
	fc := request()
	defer fc.Release()
	set(t, fc, "low=int:10;re=[1-9]{7}")
	for src, pattern := range map[string]string{
		`{createUuid()}`: `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`,
		`{randomLong()}`: `-?\d+`, `{randomLong(low)}`: `\d{2,}`, `{randomLong(low,19)}`: `1\d`, `{randomLong(-3,-1)}`: `-[123]`,
		`{xeger('[1-9]{7}')}`: `[1-9]{7}`, `{xeger(re)}`: `[1-9]{7}`, `{xeger('(ab|cd)+x?\d*[^a-z].')}`: `(ab|cd)+x?\d*[^a-z].`,
		`{xeger('[A-Z]{3}-\d{2,4}(-é)?')}`: `[A-Z]{3}-\d{2,4}(-é)?`,
	} {
		tmpl, err := Compile(src)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := tmpl.Constant(); ok {
			t.Errorf("%s is constant", src)
		}
		re := regexp.MustCompile(`(?s)^(?:` + pattern + `)$`)
		seen := map[string]bool{}
		for range 50 {
			s, err := tmpl.Expand(fc, false)
			if err != nil || !re.MatchString(s) {
				t.Fatalf("%s = %q, %v", src, s, err)
			}
			seen[s] = true
		}
		if len(seen) < 2 {
			t.Errorf("%s is always %v", src, seen)
		}
	}
}

func TestDelimiters(t *testing.T) {
	fc := request()
	defer fc.Release()
	set(t, fc, "variable_name=x;a=y")
	for _, c := range []struct{ prefix, suffix, src, want string }{
		{"@", "#", `{ "name" : "foo", "type" : "@variable_name#" }`, `{ "name" : "foo", "type" : "x" }`},
		{"@", "#", `{a} me@a.com #1 @a`, `{a} me@a.com #1 @a`},
		{"@", "#", `@toUpperCase(a)#`, `Y`},
		{"${", "}", `{a} ${a} $`, `{a} y $`},
		{"$", "$", `$a$ 5$`, `y 5$`},
		{"%", "%", `100% %a% %a:d%`, `100% y y`},
		{"[[", "]]", `[[a]] [a]`, `y [a]`},
		{"", "", `{a}`, `y`},
	} {
		tmpl, err := Compile(c.src, Delimiters(c.prefix, c.suffix))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tmpl.Expand(fc, false); err != nil || got != c.want {
			t.Errorf("%s between %s and %s = %q, %v; want %q", c.src, c.prefix, c.suffix, got, err, c.want)
		}
	}
}

func TestConstantAndVars(t *testing.T) {
	tmpl, err := Compile(`a{sha256Hex('abc')}b`)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := tmpl.Constant(); !ok || !strings.HasPrefix(s, "aba7816bf") {
		t.Errorf("Constant() = %q, %t", s, ok)
	}
	tmpl, err = Compile(`{request.content}{a}{a:d}{substring(b,c,1)}{firstnonnull(d,'e')}`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range tmpl.Vars() {
		names = append(names, v.Name())
	}
	if got := strings.Join(names, ","); got != "request.content,a,b,c,d" {
		t.Errorf("Vars() = %s", got)
	}
	if _, ok := tmpl.Constant(); ok || tmpl.Source() == "" {
		t.Error("a template with variables is constant")
	}
}

// An error of a function does not tell the key it was given.
func TestErrorsHideKeys(t *testing.T) {
	fc := request()
	defer fc.Release()
	set(t, fc, "private.key=s3cret;v=x")
	tmpl, err := Compile(`{hmacSha256(private.key,v,'hex')}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Expand(fc, false); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error = %v", err)
	}
}

func TestLongDynamicText(t *testing.T) {
	fc := request()
	defer fc.Release()
	set(t, fc, "a=x;r="+strings.Repeat("y*", maxCached))
	if s, err := Text(fc, strings.Repeat(" ", maxCached)+"{replaceAll(a,r,'')}", false); err != nil || strings.TrimSpace(s) != "x" {
		t.Errorf("%q, %v", strings.TrimSpace(s), err)
	}
}

// Text of nothing but beginnings of placeholders is compiled in linear time.
func TestManyBraces(t *testing.T) {
	for _, s := range []string{"{a:", "{md5Hex('", "{md5Hex(a:", "{a", "{", "{xpath('a','b',"} {
		src := strings.Repeat(s, 10000)
		tmpl, err := Compile(src)
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := tmpl.Constant(); !ok || text != src {
			t.Errorf("text of %s changed", s)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	fc := request()
	defer fc.Release()
	set(t, fc, "a=x")
	for src, want := range map[string]float64{`constant {}`: 0, `{a}`: 0, `{b:default}`: 0, `x {a} y`: 1, `{toLowerCase(a)}`: 1} {
		tmpl, err := Compile(src)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(200, func() {
			if _, err := tmpl.Expand(fc, false); err != nil {
				t.Fatal(err)
			}
		}); n > want && !raceEnabled {
			t.Errorf("%s: %v allocations, want %v", src, n, want)
		}
	}
}

// FuzzCompile: a text without braces is itself, also after another template,
// and no template panics.
func FuzzCompile(f *testing.F) {
	for _, r := range rows(f) {
		f.Add(r.src)
	}
	fc := request()
	set(f, fc, "a=x;v=1;j={};xml=<a/>")
	f.Fuzz(func(t *testing.T, src string) {
		tmpl, err := Compile(src)
		if err != nil {
			return
		}
		out, err := tmpl.Expand(fc, true)
		if err != nil {
			return
		}
		if !strings.Contains(src, "{") && out != src {
			t.Fatalf("%q becomes %q", src, out)
		}
		if s, ok := tmpl.Constant(); ok && s != out {
			t.Fatalf("%q: Constant() = %q, Expand = %q", src, s, out)
		}
		if tmpl.Source() != src {
			t.Fatalf("%q: Source() = %q", src, tmpl.Source())
		}
		again, err := Compile("{a}" + src)
		if err != nil {
			t.Fatalf("%q: %v", src, err)
		}
		if _, err := again.Expand(fc, true); err != nil {
			t.Fatalf("%q: %v", src, err)
		}
	})
}

func BenchmarkExpand(b *testing.B) {
	fc := request()
	set(b, fc, "user.name=jdoe;ratelimit.Q.allowed.count=int:5;j={\"a\":{\"b\":\"c\"}};p=$.a.b")
	for name, src := range map[string]string{
		"constant": "application/json",
		"variable": "{user.name}",
		"payload":  `{"name":"Alert","message":"You entered an invalid username: {user.name}","n":{ratelimit.Q.allowed.count}}`,
		"function": "{toLowerCase(user.name)}",
		"jsonPath": "{jsonPath('$.a.b',j)}",
		"dynamic":  "{jsonPath(p,j)}",
	} {
		tmpl, err := Compile(src)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tmpl.Expand(fc, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(`{"name":"Alert","message":"You entered an invalid username: {user.name}"}`); err != nil {
			b.Fatal(err)
		}
	}
}
