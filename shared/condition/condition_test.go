package condition

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// call returns a GET of /pets/7.
func call() *flow.Context {
	fc := flow.New(&flow.Proxy{Name: "p", Properties: properties{"cfg.min": "0.8"}}, time.Now)
	fc.Request.Verb = "GET"
	fc.PathSuffix = "/pets/7"
	return fc
}

type properties map[string]string

func (p properties) Property(set, key string) (string, bool) {
	v, ok := p[set+"."+key]
	return v, ok
}

// rows reads a table: lines of cells separated by " | ".
func rows(t testing.TB, name string) [][]string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for _, line := range strings.Split(string(data), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		out = append(out, strings.Split(line, "|"))
	}
	return out
}

var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r")

// cells splits a line of a table at its last n-1 bars, so that the first cell
// may hold bars; escapes are undone.
func cells(row []string, n int) []string {
	k := len(row) - n + 1
	out := append([]string{strings.Join(row[:k], "|")}, row[k:]...)
	for i := range out {
		out[i] = unescape.Replace(strings.TrimSpace(out[i]))
	}
	return out
}

// set assigns variables from a list such as "a=str:x b=int:5".
func set(t testing.TB, fc *flow.Context, vars string) {
	t.Helper()
	for vars != "" {
		var name, kind, text string
		for _, k := range []string{"=str:", "=int:", "=bool:", "=float:", "=list:"} {
			if i := strings.Index(vars, k); i > 0 && (name == "" || i < len(name)) {
				name, kind = vars[:i], k[1:len(k)-1]
			}
		}
		text = vars[len(name)+len(kind)+2:]
		vars = ""
		if i := nextVariable(text); i >= 0 {
			text, vars = text[:i], strings.TrimSpace(text[i:])
		}
		if err := fc.Set(name, value(t, kind, text)); err != nil {
			fc.Put(name, value(t, kind, text))
		}
	}
}

func nextVariable(s string) int {
	for i := range s {
		if s[i] != ' ' {
			continue
		}
		word, _, _ := strings.Cut(s[i+1:], " ")
		if strings.Contains(word, "=") && strings.Contains(word, ":") {
			return i
		}
	}
	return -1
}

func value(t testing.TB, kind, s string) flow.Value {
	t.Helper()
	switch kind {
	case "str":
		return flow.StringValue(s)
	case "int":
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return flow.IntValue(n)
	case "bool":
		return flow.BoolValue(s == "true")
	case "float":
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return flow.FloatValue(f)
	case "list":
		return flow.ListValue(strings.Split(s, ","))
	}
	t.Fatalf("unknown kind %q", kind)
	return flow.Value{}
}

func check(t *testing.T, src, vars, want string) {
	t.Helper()
	c, err := Compile(src)
	if msg, ok := strings.CutPrefix(want, "error: "); ok {
		if err == nil || !strings.Contains(err.Error(), msg) {
			t.Errorf("%s: error %v, want %s", src, err, msg)
		}
		return
	}
	if err != nil {
		t.Errorf("%s: %v", src, err)
		return
	}
	fc := call()
	defer fc.Release()
	set(t, fc, vars)
	if got := strconv.FormatBool(c.True(fc)); got != want {
		t.Errorf("%s with %s = %s, want %s", src, vars, got, want)
	}
	again, err := Compile(c.String())
	if err != nil {
		t.Errorf("%s: String() = %q: %v", src, c.String(), err)
		return
	}
	if again.String() != c.String() || again.True(fc) != c.True(fc) {
		t.Errorf("%s: String() = %q recompiles to %q", src, c.String(), again.String())
	}
}

func TestSyntax(t *testing.T) {
	for _, row := range rows(t, "syntax.txt") {
		c := cells(row, 3)
		check(t, c[0], c[1], c[2])
	}
}

func TestNullOperands(t *testing.T) {
	for _, row := range rows(t, "nulls.txt") {
		c := cells(row, 4)
		check(t, "n "+c[0]+` "x"`, "", c[1])
		if c[2] == "-" {
			continue
		}
		check(t, "n "+c[0]+" x", "x=int:1", c[1])
		for _, null := range []string{"null", "n"} {
			check(t, "x "+c[0]+" "+null, "x=str:x", c[2])
			check(t, "x "+c[0]+" "+null, "x=int:0", c[2])
			check(t, "n "+c[0]+" "+null, "", c[3])
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, row := range rows(t, "paths.txt") {
		if len(row) != 4 {
			t.Fatalf("row %q", row)
		}
		c := cells(row, 4)
		check(t, fmt.Sprintf(`v %s "%s"`, c[0], c[1]), "v=str:"+c[2], c[3])
	}
}

func TestTypes(t *testing.T) {
	for _, row := range rows(t, "types.txt") {
		n := len(row)
		left, sign := strings.TrimSpace(row[0]), strings.TrimSpace(strings.Join(row[1:n-2], "|"))
		right, want := unescape.Replace(strings.TrimSpace(row[n-2])), strings.TrimSpace(row[n-1])
		kind, text, typed := strings.Cut(right, ":")
		literal := right
		if typed {
			literal = text
			if kind == "str" {
				literal = `"` + text + `"`
			}
			if sign != "~" && sign != "~~" {
				check(t, "a "+sign+" b", "a="+left+" b="+right, want)
			}
		}
		if kind != "float" || strings.Contains(text, ".") {
			check(t, "a "+sign+" "+literal, "a="+left, want)
		}
	}
}

func TestVars(t *testing.T) {
	c, err := Compile(`request.content ~ "*x*" and a = b or 'c d' and !(a) and request.verb = "GET"`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range c.Vars() {
		names = append(names, v.Name())
	}
	if got, want := strings.Join(names, ","), "request.content,a,b,c d,request.verb"; got != want {
		t.Errorf("Vars() = %s, want %s", got, want)
	}
	if req, _ := c.Vars()[0].UsesContent(); !req {
		t.Error("request.content does not use the content")
	}
}

func TestString(t *testing.T) {
	for src, want := range map[string]string{
		`(a Equals "x") AND not(b) || c Matches "y*"`: `(a = "x" and !(b)) or c ~ "y*"`,
		`a is not null`:       `a != null`,
		`'a b' >= 5L`:         `'a b' >= 5L`,
		`'and' = 'true'`:      `'and' = 'true'`,
		`a Not JavaRegex "x"`: `!(a ~~ "x")`,
		``:                    ``,
	} {
		c, err := Compile(src)
		if err != nil {
			t.Fatal(err)
		}
		if c.String() != want {
			t.Errorf("%s: String() = %s, want %s", src, c.String(), want)
		}
	}
}

// The message shows where in a condition of several lines the mistake is.
func TestErrorShowsThePlace(t *testing.T) {
	_, err := Compile("(a = \"x\") and\n\t(b MatchesPath c)")
	want := "condition: ~/ needs text in double quotes, not 'c' at column 17\n\t\t(b MatchesPath c)\n\t\t               ^"
	if err == nil || err.Error() != want {
		t.Errorf("error:\n%v\nwant:\n%s", err, want)
	}
	e, ok := err.(*Error)
	if !ok || e.Offset != 30 {
		t.Errorf("%#v", err)
	}
}

func TestNesting(t *testing.T) {
	if _, err := Compile(strings.Repeat("(", 5000) + "a" + strings.Repeat(")", 5000)); err == nil {
		t.Error("nesting is not bounded")
	}
}

// Wildcards cost no more than the product of the lengths.
func TestGlobIsNotExponential(t *testing.T) {
	pattern := strings.Repeat("**a", 40) + "b"
	if newPath(pattern).match(strings.Repeat("a", 5000)) {
		t.Error("matched")
	}
}

func TestNoAllocations(t *testing.T) {
	fc := call()
	defer fc.Release()
	set(t, fc, "a=str:x n=int:404 b=bool:true")
	for _, src := range []string{
		`a = "x"`, `a != "y" and a =| "x"`, `n = "404"`, `n >= 400 and n < 500`, `b = true`, `b`, `a = null`,
		`(proxy.pathsuffix MatchesPath "/pets/*") and (request.verb = "GET")`, `a ~ "*x"`, `a ~~ "[xyz]"`, `a := "X"`, `b = "true"`,
	} {
		c, err := Compile(src)
		if err != nil {
			t.Fatal(err)
		}
		if !c.True(fc) && src != `a = null` {
			t.Errorf("%s is false", src)
		}
		if n := testing.AllocsPerRun(100, func() { c.True(fc) }); n != 0 {
			t.Errorf("%s: %v allocations", src, n)
		}
	}
}

// FuzzCompile: the canonical spelling of a condition compiles to the same
// condition.
func FuzzCompile(f *testing.F) {
	for _, row := range rows(f, "syntax.txt") {
		f.Add(cells(row, 3)[0])
	}
	fc := call()
	set(f, fc, "a=str:x n=int:5 yes=bool:true")
	f.Fuzz(func(t *testing.T, src string) {
		c, err := Compile(src)
		if err != nil {
			_ = err.Error()
			return
		}
		again, err := Compile(c.String())
		if err != nil {
			t.Fatalf("%q: String() = %q: %v", src, c.String(), err)
		}
		if again.String() != c.String() {
			t.Fatalf("%q: %q recompiles to %q", src, c.String(), again.String())
		}
		if again.True(fc) != c.True(fc) {
			t.Fatalf("%q: %q judges otherwise", src, c.String())
		}
	})
}

func BenchmarkTrue(b *testing.B) {
	fc := call()
	set(b, fc, "request.header.x-key=str:k")
	for name, src := range map[string]string{
		"equals": `request.verb = "GET"`,
		"flow":   `(proxy.pathsuffix MatchesPath "/pets/*") and (request.verb = "GET")`,
		"header": `request.header.x-key != null and request.header.x-key = "k"`,
		"regex":  `proxy.pathsuffix ~~ "/pets/[0-9]+"`,
	} {
		c, err := Compile(src)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !c.True(fc) {
					b.Fatal("false")
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(`(proxy.pathsuffix MatchesPath "/pets/*") and (request.verb = "GET")`); err != nil {
			b.Fatal(err)
		}
	}
}
