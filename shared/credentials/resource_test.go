package credentials

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func matches(resource, suffix string) bool {
	p := splitPath(suffix, nil)
	r := compileResource(resource)
	return r.matches(&p)
}

// The table of the reference, and what it leaves to be read between its lines.
// Source: management reference, "Resource matching"
func TestResource(t *testing.T) {
	for _, test := range []struct {
		resource string
		yes, no  string // paths, separated by blanks; "-" is the base path alone
	}{
		{"/", "- / /a /a/b /a/b/ /../x", ""},
		{"", "- / /a", ""},
		{"/*", "/a /b", "- / /a/b /a/"},
		{"/**", "/a /a/b /a/b/c", "- /"},
		{"/a", "/a", "- /b /a/b /a/ /A /ab"},
		{"/a/*", "/a/b", "/a /a/ /a/b/c - /b/b"},
		{"/a/**", "/a/b /a/b/c /a/b/", "/a /a/ - /b/c"},
		{"/*/b", "/x/b", "/b /x/y /x/b/c //b -"},
		{"/a/**/z", "/a/b/z /a/b/c/z", "/a/z /a/b/c /a//z"},
		{"/**/z/**", "/a/z/b /a/z/z/b /a/b/z/c/d", "/z/a /a/z /a/b"},
		{"/v*", "/v*", "/v1"},
		{"a", "/a", "/b"},
		{"/a/**", "", "/a/../b /a/%2e%2E/b /a/.%2e;x=1/b /a/./b"},
		{"/a/*", "/a/... /a/.b /a/%2f", "/a/.. /a/."},
	} {
		for _, s := range strings.Fields(test.yes) {
			if s = strings.Trim(s, "-"); !matches(test.resource, s) {
				t.Errorf("%s does not match %q", test.resource, s)
			}
		}
		for _, s := range strings.Fields(test.no) {
			if s = strings.Trim(s, "-"); matches(test.resource, s) {
				t.Errorf("%s matches %q", test.resource, s)
			}
		}
	}
}

func TestMoreInclusive(t *testing.T) {
	var list []resource
	for _, s := range []string{"/a/b", "/a", "/a/*", "/a/b/**", "/**", "/*", "/", "/a/**"} {
		list = append(list, compileResource(s))
	}
	slices.SortStableFunc(list, func(a, b resource) int { return moreInclusive(&a, &b) })
	var got []string
	for _, r := range list {
		got = append(got, r.text)
	}
	if want := "/ /** /a/** /a/b/** /* /a /a/* /a/b"; strings.Join(got, " ") != want {
		t.Errorf("%v", got)
	}
}

// FuzzResource compares the matcher with the regular expression a resource
// stands for.
func FuzzResource(f *testing.F) {
	f.Add("/a/**", "/a/b/c")
	f.Add("/*/b/**/c", "/x/b/y/c")
	f.Add("/**/**", "/a")
	f.Fuzz(func(t *testing.T, resource, suffix string) {
		if len(resource) > 200 || len(suffix) > 200 || strings.ContainsAny(resource+suffix, "\n\r") {
			return
		}
		p := splitPath(suffix, nil)
		if p.relative || p.base || strings.TrimPrefix(resource, "/") == "" {
			return
		}
		var re strings.Builder
		re.WriteString("^")
		for i, s := range strings.Split(strings.TrimPrefix(resource, "/"), "/") {
			if i > 0 {
				re.WriteString("/")
			}
			switch s {
			case "*":
				re.WriteString("[^/]+")
			case "**":
				re.WriteString("[^/]+(/[^/]*)*?")
			default:
				re.WriteString(regexp.QuoteMeta(s))
			}
		}
		re.WriteString("$")
		want, err := regexp.Compile(re.String())
		if err != nil {
			return // not UTF-8
		}
		if got := matches(resource, suffix); got != want.MatchString(strings.TrimPrefix(suffix, "/")) {
			t.Errorf("%q matches %q: %t; %s", resource, suffix, got, re.String())
		}
	})
}
