package message

import "testing"

// FuzzParams: what was parsed and changed is the same once it is written and parsed
// again.
func FuzzParams(f *testing.F) {
	for _, s := range []string{"", "a=1", "a=1&b=2&a=3", "a", "&&", "=x", "a=%41%zz", "a+b=c%20d", "%=1", "a=b=c", "\xff=\x00", "a;b=1"} {
		f.Add(s, "n", "v")
	}
	f.Fuzz(func(t *testing.T, raw, name, value string) {
		p := ParseParams(raw)
		p.Add(name, value)
		again := ParseParams(p.Encode())
		if again.Len() != p.Len() {
			t.Fatalf("%q: %d parameters, then %d", raw, p.Len(), again.Len())
		}
		type pair struct{ name, value string }
		var want, got []pair
		for n, v := range p.All() {
			want = append(want, pair{n, v})
		}
		for n, v := range again.All() {
			got = append(got, pair{n, v})
		}
		for i := range want {
			if want[i] != got[i] {
				t.Fatalf("%q: %q became %q in %q", raw, want[i], got[i], p.Encode())
			}
		}
	})
}
