package jsonthreatprotection

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// A body that attacks costs nothing but the fault, however large it is.
func TestBoundedMemory(t *testing.T) {
	l := limits{elements: 10, depth: -1, entries: 10, name: 20, text: 100}
	for name, body := range map[string][]byte{
		"depth":        bytes.Repeat([]byte("["), 4<<20),
		"depth object": bytes.Repeat([]byte(`{"a":`), 1<<20),
		"elements":     []byte("[" + strings.Repeat("1,", 1<<20) + "1]"),
		"entries":      []byte("{" + strings.Repeat(`"a":1,`, 1<<20) + `"b":2}`),
		"name":         []byte(`{"` + strings.Repeat("a", 4<<20) + `":1}`),
		"string":       []byte(`["` + strings.Repeat(`\u00e9`, 1<<20) + `"]`),
		"number":       []byte("[" + strings.Repeat("1", 4<<20) + "]"),
		"unterminated": []byte(`["` + strings.Repeat("a", 99)),
	} {
		in := new(inspection)
		run := func() {
			if what, err := in.run(body, &l); what == "" && err == nil && name != "number" {
				t.Errorf("%s passes", name)
			}
		}
		run()
		if n := testing.AllocsPerRun(1, run); n > 2 { // the error of malformed text
			t.Errorf("%s: %v allocations", name, n)
		}
		if n := allocated(run); n > 4<<10 {
			t.Errorf("%s: %d bytes", name, n)
		}
		if cap(in.counts) > 2*MaxDepth {
			t.Errorf("%s: counts %d containers", name, cap(in.counts))
		}
	}
}

// allocated is how many bytes f takes from the heap: the least of several runs, as
// the runtime takes some for itself.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// What is over a limit is not read on: the steps are bounded by the limit, not by
// the body.
func TestBoundedSteps(t *testing.T) {
	const rest = 1 << 20
	l := limits{elements: 10, depth: 5, entries: 10, name: 20, text: 100}
	for name, tt := range map[string]struct {
		body  string
		steps int
	}{
		"depth":        {strings.Repeat("[", rest), 6},
		"depth mixed":  {strings.Repeat(`{"a":[`, rest), 20},
		"elements":     {"[" + strings.Repeat("1,", rest), 23},
		"entries":      {"{" + strings.Repeat(`"a":1,`, rest), 70},
		"nested":       {"[" + strings.Repeat("[[]],", rest), 60},
		"malformed":    {"[1,,", 5},
		"wrong closer": {"[1}" + strings.Repeat(" ", rest), 5},
		"garbage":      {"<?xml" + strings.Repeat(" ", rest), 2},
		"second value": {"{} {" + strings.Repeat(" ", rest), 5},
	} {
		in := new(inspection)
		what, err := in.run([]byte(tt.body), &l)
		if what == "" && err == nil {
			t.Errorf("%s passes", name)
		}
		if at := in.scan.Offset(); at > tt.steps {
			t.Errorf("%s: read %d bytes, want at most %d", name, at, tt.steps)
		}
	}
}

// shape is what the limits are about, counted on the tree.
func shape(v any) limits {
	var l limits
	var walk func(v any, depth int)
	walk = func(v any, depth int) {
		switch v := v.(type) {
		case string:
			l.text = max(l.text, len([]rune(v)))
		case []any:
			l.depth, l.elements = max(l.depth, depth), max(l.elements, len(v))
			for _, e := range v {
				walk(e, depth+1)
			}
		case map[string]any:
			l.depth, l.entries = max(l.depth, depth), max(l.entries, len(v))
			for k, e := range v {
				l.name = max(l.name, len([]rune(k)))
				walk(e, depth+1)
			}
		}
	}
	walk(v, 1)
	return l
}

// FuzzLimits: a text that encoding/json takes passes with the limits of its own
// shape, and exceeds any of them lowered by one; a text that it does not take is
// refused.
func FuzzLimits(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"bc":"def"}]}`, `[[[]]]`, `"x"`, `{}`, `[1,`, `{"a":1,"a":2}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsFunc(text, func(r rune) bool { return r > 126 || r == '\\' }) {
			return // counted otherwise by the oracle
		}
		in := new(inspection)
		what, err := in.run([]byte(text), &limits{-1, -1, -1, -1, -1})
		if valid := json.Valid([]byte(text)); valid != (err == nil && what == "") {
			t.Fatalf("%q: %q, %v; encoding/json: %v", text, what, err, valid)
		} else if !valid {
			return
		}
		var v any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		again, _ := json.Marshal(v) // names are unique now
		l := shape(v)
		if what, err := in.run(again, &l); what != "" || err != nil {
			t.Fatalf("%s exceeds %s of its own limits %+v: %v", again, what, l, err)
		}
		for i, p := range []*int{&l.elements, &l.depth, &l.entries, &l.name, &l.text} {
			if *p == 0 {
				continue
			}
			*p--
			if what, _ := in.run(again, &l); what == "" {
				t.Fatalf("%s passes with limit %d lowered: %+v", again, i, l)
			}
			*p++
		}
	})
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<JSONThreatProtection name="JTP-1"><Source>request</Source><ArrayElementCount>200</ArrayElementCount><ContainerDepth>10</ContainerDepth><ObjectEntryCount>15</ObjectEntryCount><ObjectEntryNameLength>50</ObjectEntryNameLength><StringValueLength>500</StringValueLength></JSONThreatProtection>`, policy.Services{})
	body := `{"order":{"id":7,"items":[` + strings.Repeat(`{"sku":"a-1","count":2,"name":"Thing and more","price":9.95},`, 20) + `{}]}}`
	b.SetBytes(int64(len(body)))
	policytest.Bench(b, p, map[string]string{"request": fmt.Sprintf("POST /v1/a\nContent-Type: application/json\n\n%s", body)})
}
