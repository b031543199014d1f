package spikearrest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) call(t testing.TB, at time.Duration) *flow.Context {
	c.now = policytest.Now.Add(at)
	return flow.New(&flow.Proxy{}, func() time.Time { return c.now })
}

func TestRate(t *testing.T) {
	// Each request is "ms[xweight][@identifier]"; "!" marks those refused.
	for _, tt := range []struct{ name, xml, requests string }{
		{"5ps is one per 200 ms", `<Rate>5ps</Rate>`, "0 1! 199! 200 399! 401 2000 2001!"},
		{"12pm is one per 5 s", `<Rate>12pm</Rate><UseEffectiveCount>false</UseEffectiveCount>`, "0 4999! 5000 9999! 10000"},
		{"a tenth of the rate at once", `<Rate>30ps</Rate>`, "0 0 0 0! 33! 34 34! 200 200 200 200!"},
		{"600pm recovers while it waits", `<Rate>60pm</Rate>`, "0 0 0 0 0 0 0! 1000 1000! 3000 3000 3000!"},
		{"identifiers apart", `<Identifier ref="id"/><Rate>1ps</Rate>`, "0@a 0@b 0 0! 1@a! 1@b! 1000@a 1000@b 1000 1000@c"},
		{"weight takes as many intervals", `<Rate>10ps</Rate><MessageWeight ref="weight"/>`, "0x2 100! 199! 200 299! 300x0 300x5 799! 800"},
		{"weight as text", `<Rate>10ps</Rate><MessageWeight>3</MessageWeight>`, "0 299! 300"},
		{"effective count does not smooth", `<Rate>5ps</Rate><UseEffectiveCount>true</UseEffectiveCount>`, "0 0 0 0 0 0! 999! 1300 1500 2600 2600 2600 2600"},
		{"effective count slides", `<Rate>2pm</Rate><UseEffectiveCount>true</UseEffectiveCount>`, "0 59000 60001! 89999! 119000 120000 149000! 151000! 180000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &clock{}
			p := policytest.Compile(t, Kind, `<SpikeArrest name="SA-1">`+tt.xml+`</SpikeArrest>`, policy.Services{})
			var got []string
			for _, r := range strings.Fields(tt.requests) {
				r = strings.TrimSuffix(r, "!")
				at, id, _ := strings.Cut(r, "@")
				ms, weight, _ := strings.Cut(at, "x")
				d, err := time.ParseDuration(ms + "ms")
				if err != nil {
					t.Fatal(err)
				}
				fc := c.call(t, d)
				for name, value := range map[string]string{"id": id, "weight": weight} {
					if value != "" {
						fc.PutText(name, value)
					}
				}
				if err := p.Run(t.Context(), fc); err != nil {
					r += "!"
				}
				got = append(got, r)
			}
			if s := strings.Join(got, " "); s != tt.requests {
				t.Errorf("got  %s\nwant %s", s, tt.requests)
			}
		})
	}
}

// TestVariables checks what is left, and the fault.
func TestVariables(t *testing.T) {
	c := &clock{policytest.Now}
	p := policytest.Compile(t, Kind, `<SpikeArrest name="SA-1"><Rate>30ps</Rate></SpikeArrest>`, policy.Services{})
	for i, want := range []string{"2/0", "1/0", "0/0", "0/1", "0/1"} {
		fc := c.call(t, 0)
		err := p.Run(t.Context(), fc)
		if got := fc.Text("ratelimit.SA-1.available.count") + "/" + fc.Text("ratelimit.SA-1.exceed.count"); got != want {
			t.Errorf("request %d: available/exceed = %s, want %s", i, got, want)
		}
		var f *fault.Fault
		if errors.As(err, &f) != (i > 2) {
			t.Errorf("request %d: %v", i, err)
		}
		if f != nil && (f.Status != 429 || f.Code != "policies.ratelimit.SpikeArrestViolation" ||
			f.Text != "Spike arrest violation. Allowed rate : MessageRate{messagesPerPeriod=30, periodInMicroseconds=1000000, maxBurstMessageCount=3.0}") {
			t.Errorf("request %d: %v", i, f)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<SpikeArrest name="SA-1"><Rate>4000ps</Rate></SpikeArrest>`, policy.Services{})
	b.Run("one", func(b *testing.B) { bench(b, p, "") })
	p = policytest.Compile(b, Kind, `<SpikeArrest name="SA-1"><Identifier ref="id"/><Rate ref="rate"/></SpikeArrest>`, policy.Services{})
	b.Run("identifier", func(b *testing.B) { bench(b, p, "client-7") })
}

func bench(b *testing.B, p policy.Policy, id string) {
	now := policytest.Now
	fc := flow.New(&flow.Proxy{}, func() time.Time { return now })
	fc.PutText("id", id)
	fc.PutText("rate", "4000ps")
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		if err := p.Run(b.Context(), fc); err != nil {
			b.Fatal(err)
		}
	}
}
