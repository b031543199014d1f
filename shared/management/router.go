package management

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// prefix is before every path but /healthz.
const prefix = "/v1/"

// tree finds routes by the segments of a path. A literal segment is tried before
// a parameter, a parameter before the rest of the path.
//
// Patterns are "organizations/{org}/apis/{api}"; "{api}:move" is a parameter
// followed by a custom method, "{key...}" the rest of the path with its slashes.
type tree struct {
	literals map[string]*tree
	verbs    map[string]*tree // of the parameter
	param    *tree
	rest     *tree
	routes   map[string]*route // by method
}

func (t *tree) add(r *route) {
	for s := range strings.SplitSeq(r.pattern, "/") {
		t = t.grow(s)
	}
	if t.routes == nil {
		t.routes = map[string]*route{}
	}
	if t.routes[r.method] != nil {
		panic("management: two routes for " + r.method + " " + r.pattern)
	}
	t.routes[r.method] = r
}

// grow is the child for a segment of a pattern, made if there is none.
func (t *tree) grow(segment string) *tree {
	name, verb, _ := strings.Cut(segment, "}")
	switch {
	case !strings.HasPrefix(segment, "{"):
		return child(&t.literals, segment)
	case verb != "":
		return child(&t.verbs, verb)
	case strings.HasSuffix(name, "..."):
		if t.rest == nil {
			t.rest = new(tree)
		}
		return t.rest
	case t.param == nil:
		t.param = new(tree)
	}
	return t.param
}

func child(m *map[string]*tree, key string) *tree {
	if *m == nil {
		*m = map[string]*tree{}
	}
	if (*m)[key] == nil {
		(*m)[key] = new(tree)
	}
	return (*m)[key]
}

// find returns the route of a path and the values of its parameters.
func (t *tree) find(method string, segments []string) (*route, map[string]string) {
	r, values := t.walk(method, segments, nil)
	if r == nil {
		return nil, nil
	}
	params := map[string]string{}
	for i, name := range r.parameters() {
		params[name] = values[i]
	}
	return r, params
}

func (t *tree) walk(method string, segments, values []string) (*route, []string) {
	if len(segments) == 0 || len(segments) == 1 && segments[0] == "" { // a slash at the end
		return t.routes[method], values
	}
	s, others := segments[0], segments[1:]
	if next := t.literals[s]; next != nil {
		if r, v := next.walk(method, others, values); r != nil {
			return r, v
		}
	}
	if s != "" && !strings.Contains(s, "/") {
		if i := strings.LastIndexByte(s, ':'); i > 0 && t.verbs[s[i:]] != nil {
			if r, v := t.verbs[s[i:]].walk(method, others, with(values, s[:i])); r != nil {
				return r, v
			}
		}
		if t.param != nil {
			if r, v := t.param.walk(method, others, with(values, s)); r != nil {
				return r, v
			}
		}
	}
	if t.rest != nil {
		return t.rest.routes[method], with(values, strings.Join(segments, "/"))
	}
	return nil, nil
}

// with is values and one more, not sharing memory with another branch's.
func with(values []string, v string) []string { return append(values[:len(values):len(values)], v) }

// parameters are the names in a pattern, in order.
func (r *route) parameters() []string {
	var names []string
	for s := range strings.SplitSeq(r.pattern, "/") {
		if name, _, ok := strings.Cut(strings.TrimPrefix(s, "{"), "}"); ok {
			names = append(names, strings.TrimSuffix(name, "..."))
		}
	}
	return names
}

// split is the segments of a path behind the prefix, each unescaped once. Clients
// that escape twice are understood by who knows what can be in a name: see
// unescapeAgain.
func split(escaped string) ([]string, error) {
	path, ok := strings.CutPrefix(escaped, prefix)
	if !ok {
		return []string{"", ""}, nil // no route has empty segments
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		s, err := url.PathUnescape(s)
		if err != nil || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return nil, entity.Errorf(entity.InvalidArgument, "the path has an invalid escape or is not UTF-8")
		}
		segments[i] = s
	}
	return segments, nil
}

// unescapeAgain undoes a second escape: apigeecli sends %2540 for the @ of an
// e-mail address, which the path then holds as %40.
func unescapeAgain(s string) string {
	if again, err := url.PathUnescape(s); err == nil && utf8.ValidString(again) {
		return again
	}
	return s
}

func errNoRoute(r *http.Request) error {
	return notFound("Method %s is not available at %s.", r.Method, r.URL.EscapedPath())
}
