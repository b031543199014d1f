package gateway

import "testing"

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		base, path string
		want       int
	}{
		{"/", "/anything", 0},
		{"/", "", 0},
		{"/v1/orders", "/v1/orders", 10},
		{"/v1/orders", "/v1/orders/7", 10},
		{"/v1/orders", "/v1/orders/", 10},
		{"/v1/orders", "/v1/orders2", -1},
		{"/v1/orders", "/V1/orders", -1},
		{"/v1/orders", "/v1", -1},
		{"/v1/*/weather", "/v1/eu/weather/today", 14},
		{"/v1/*/weather", "/v1//weather", -1},
		{"/v1/*/weather", "/v1/eu/climate", -1},
		{"/v1/*", "/v1/x", 5},
		{"/v1/*", "/v1/", -1},
	} {
		p := compilePattern(c.base)
		if got := p.match(c.path); got != c.want {
			t.Errorf("%s matches %s up to %d, want %d", c.base, c.path, got, c.want)
		}
	}
}

func TestMoreSpecific(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{"/a", "/"},
		{"/a/b/c", "/a/b"},
		{"/a/b", "/a/*"},
		{"/a/v1/b", "/a/*/b"},
		{"/a/b/*", "/a/*/c"},
	} {
		p, q := compilePattern(c.a), compilePattern(c.b)
		if !p.moreSpecific(&q) || q.moreSpecific(&p) {
			t.Errorf("%s should beat %s", c.a, c.b)
		}
	}
}
