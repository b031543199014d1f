package message

import "testing"

// TestParamsKeepText changes one parameter: the others go out as they came in, with
// what their sender encoded and what not.
func TestParamsKeepText(t *testing.T) {
	const raw = "$top=5&d=2020-01-01T00:00:00Z&l=a,b&apikey=k&e=%2f%7E+x&flag&&bad=%zz&apikey=2"
	for name, tt := range map[string]struct {
		change func(p *Params)
		want   string
	}{
		"nothing": {func(*Params) {}, raw},
		"read":    {func(p *Params) { p.Get("e") }, raw},
		"removed": {func(p *Params) { p.Del("apikey") }, "$top=5&d=2020-01-01T00:00:00Z&l=a,b&e=%2f%7E+x&flag&bad=%zz"},
		"one removed": {func(p *Params) { p.DelIndex("apikey", 2) },
			"$top=5&d=2020-01-01T00:00:00Z&l=a,b&apikey=k&e=%2f%7E+x&flag&bad=%zz"},
		"added": {func(p *Params) { p.Add("n", "a b:c") }, "$top=5&d=2020-01-01T00:00:00Z&l=a,b&apikey=k&e=%2f%7E+x&flag&bad=%zz&apikey=2&n=a%20b%3Ac"},
		"set":   {func(p *Params) { p.Set("l", "a,b"); p.Set("apikey", "") }, "$top=5&d=2020-01-01T00:00:00Z&l=a%2Cb&apikey=&e=%2f%7E+x&flag&bad=%zz"},
		"copy":  {func(p *Params) { c := p.Clone(); c.Set("flag", "1"); *p = c }, "$top=5&d=2020-01-01T00:00:00Z&l=a,b&apikey=k&e=%2f%7E+x&flag=1&bad=%zz&apikey=2"},
		"taken": {func(p *Params) {
			var c Params
			c.Set("l", "old")
			c.Take(p, "l")
			c.Take(p, "none")
			c.Take(p, "apikey")
			*p = c
		}, "l=a,b&apikey=k&apikey=2"},
		"all taken": {func(p *Params) {
			var c Params
			c.Add("flag", "old")
			c.Add("own", "1")
			c.TakeAll(p)
			*p = c
		}, "own=1&$top=5&d=2020-01-01T00:00:00Z&l=a,b&apikey=k&e=%2f%7E+x&flag&bad=%zz&apikey=2"},
		"none": {func(p *Params) { p.Reset() }, ""},
	} {
		p := ParseParams(raw)
		if tt.change(&p); p.Encode() != tt.want {
			t.Errorf("%s: %s\nwant %s", name, p.Encode(), tt.want)
		}
	}
}
