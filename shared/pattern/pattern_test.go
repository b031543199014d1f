package pattern

import (
	"slices"
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		src        string
		path, fold bool
		in         string
		want       string // Captures joined with "|"; "-" is no match
	}{
		{"/accounts/{id}", true, false, "/accounts/12", "12"},
		{"/accounts/{id}", true, false, "/Accounts/12", "-"},
		{"/accounts/{id}", true, true, "/Accounts/AbC", "AbC"},
		{"/accounts/{id}", true, false, "/accounts/", "-"},
		{"/accounts/{id}", true, false, "/accounts/1/2", "-"},
		{"/accounts/{id}", true, false, "/accounts", "-"},
		{"/a/{x}/c/{y}", true, false, "/a/b/c/d", "b|d"},
		{"/a/*/{id}", true, false, "/a/b/c", "c"},
		{"/a/*/{id}", true, false, "/a/b/c/d", "-"},
		{"/a/**/{id}", true, false, "/a/foo/bar/baz/c", "c"},
		{"/a/**/{id}", true, false, "/a/b/c", "c"},
		{"/a/**/{id}", true, false, "/a/c", "-"},
		{"/**/b/{x}/**", true, false, "/a/b/b/c/d", "b"},
		{"/{x}/**", true, false, "/a/b/c", "a"},
		{"/v{n}.json", true, false, "/v12.json", "12"},
		{"/{a}-{b}", true, false, "/x-y-z", "x|y-z"},
		{"/a*/{x}", true, false, "/abc/d", "d"},
		{"**/stores/{id}", true, false, "/search/stores/7", "7"},
		{"**/stores/{id}", true, false, "/a/b/stores/7", "7"},
		{"**/stores/{id}", true, false, "/stores/7", "7"},
		{"**/stores/{id}", true, false, "/stores", "-"},
		{"/**/stores/{id}", true, false, "/stores/7", "-"},
		{"stores/{id}", true, false, "/stores/7", "7"},
		{"{a}/{b}", true, false, "/stores/7", "stores|7"},
		{"{a}/{b}", true, false, "/stores", "-"},
		{"/{id}/", true, false, "/7", "-"},
		{"/{id}/", true, false, "/7/", "7"},
		{"/tenants/{tenant.id}/**", true, false, "/tenants/7/x/y", "7"},
		{"{x}", false, false, "", ""},
		{"{x}", false, false, "a/b", "a/b"},
		{"DBN{code}", false, true, "dbn88271", "88271"},
		{"DBN{code}", false, false, "dbn88271", "-"},
		{"Bearer {token}", false, false, "Bearer abc.def", "abc.def"},
		{"*;charset={enc}", false, false, "text/xml;charset=UTF-16", "UTF-16"},
		{"%{user%} {name}", false, false, "{user} Steve", "Steve"},
		{"%{user%} {name}", false, false, "user Steve", "-"},
		{"hello {first} {last}", false, false, "hello ann b c", "ann|b c"},
		{"{a}/{b}/*", false, false, "1/2/3/4", "1|2"},
		{"{a}x", false, false, "axbx", "axb"},
		{"{a}{b}", false, false, "xyz", "|xyz"},
		{"{a},{b},{c},{d},{e},{f},{g},{h},{i},{j}", false, false, "1,2,3,4,5,6,7,8,9,10", "1|2|3|4|5|6|7|8|9|10"},
		{"{a}bc{d}c", false, false, "abcbcc", "a|bc"},
	} {
		p, err := Compile(tt.src, tt.path, tt.fold)
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
			continue
		}
		got := "-"
		if caps, ok := p.texts(tt.in); ok {
			got = strings.Join(caps, "|")
		}
		if got != tt.want {
			t.Errorf("%s on %q = %q, want %q", tt.src, tt.in, got, tt.want)
		}
	}
}

func TestPatternRefused(t *testing.T) {
	for src, want := range map[string]string{
		"/a/b":     "PatternWithoutVariable: ",
		"":         "PatternWithoutVariable: ",
		"/a/{b":    "InvalidPattern: ",
		"/a/b}":    "InvalidPattern: ",
		"/a/{}":    "InvalidPattern: ",
		"/{a{b}":   "InvalidPattern: ",
		"/a**/{b}": "InvalidPattern: ",
	} {
		if _, err := Compile(src, true, false); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", src, err, want)
		}
	}
}

// FuzzPattern checks that a match puts together again what it took apart.
func FuzzPattern(f *testing.F) {
	f.Add("a{x}b{y}", "a1b2")
	f.Add("{x}%*{y}", "1*2")
	f.Add("/a/{x}/{y}", "/a/b/c")
	f.Fuzz(func(t *testing.T, src, in string) {
		for _, path := range []bool{false, true} {
			p, err := Compile(src, path, false)
			if err != nil {
				continue
			}
			caps, ok := p.texts(in)
			if !ok {
				continue
			}
			if len(caps) != len(p.names) {
				t.Fatalf("%q on %q: %d texts for %d variables", src, in, len(caps), len(p.names))
			}
			if whole, ok := p.join(caps); ok && whole != in {
				t.Fatalf("%q on %q gives %q: %q", src, in, caps, whole)
			}
		}
	})
}

func (p *Pattern) texts(in string) ([]string, bool) {
	var c Captures
	ok := p.Match(&c, in)
	out := make([]string, c.n)
	for i := range out {
		out[i] = c.At(i)
	}
	return out, ok
}

// join is the reverse of match for patterns without wildcards.
func (p *Pattern) join(caps []string) (string, bool) {
	var segs []string
	for _, seg := range p.segments {
		var b strings.Builder
		for _, t := range seg {
			switch t.kind {
			case literal:
				b.WriteString(t.text)
			case variable:
				b.WriteString(caps[0])
				caps = caps[1:]
			default:
				return "", false
			}
		}
		segs = append(segs, b.String())
	}
	return strings.Join(segs, "/"), slices.Contains(segs, "") || len(segs) > 0
}
