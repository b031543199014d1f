package quota

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/counter/countertest"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// TestCases counts with real counters, which are empty at first.
func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		switch {
		case strings.HasSuffix(t.Name(), "no_quotas"):
			return policy.Services{}
		case strings.HasSuffix(t.Name(), "unavailable"):
			return policy.Services{Quotas: down{}}
		}
		q, _ := countertest.New(t, func() time.Time { return policytest.Now })
		return policy.Services{Quotas: q}
	}))
}

// down are quotas whose store cannot be reached.
type down struct{ policy.Quotas }

func (down) Use(context.Context, policy.QuotaRequest) (policy.QuotaResult, error) {
	return policy.QuotaResult{}, errors.New("store is down")
}
func (down) Settle(context.Context) {}

// host runs policies over the same quotas, at a time that tests move.
type host struct {
	t      *testing.T
	now    time.Time
	quotas policy.Quotas
	bundle *bundle.Bundle
}

func newHost(t *testing.T) *host {
	h := &host{t: t, now: policytest.Now, bundle: &bundle.Bundle{Kind: bundle.KindAPIProxy, Name: "test"}}
	h.quotas, _ = countertest.New(t, func() time.Time { return h.now })
	return h
}

func (h *host) compile(xml string) policy.Policy {
	h.t.Helper()
	root, err := bundle.ParseXML("policies/policy.xml", []byte(xml))
	if err != nil {
		h.t.Fatal(err)
	}
	name, _ := root.Attr("name")
	var problems bundle.Problems
	env := policy.NewEnv("org", "test", h.bundle, policy.Services{Quotas: h.quotas}, &problems)
	p := Kind.Build(&bundle.Policy{Name: name, Kind: root.Name, File: "policies/policy.xml", Root: root, Enabled: true}, env)
	if err := problems.Err(); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// call runs a policy with "name=value" variables; proxy=NAME is the proxy.
func (h *host) call(p policy.Policy, vars ...string) (*flow.Context, *fault.Fault) {
	h.t.Helper()
	info := &flow.Proxy{Organization: "org", Environment: "test", Name: "proxy", Revision: "1", Endpoint: "default"}
	fc := flow.New(info, func() time.Time { return h.now })
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		if name == "proxy" {
			info.Name = value
			continue
		}
		fc.PutText(name, value)
	}
	err := p.Run(h.t.Context(), fc)
	fc.Drain(h.t.Context())
	var f *fault.Fault
	if err != nil && !errors.As(err, &f) {
		h.t.Fatal(err)
	}
	return fc, f
}

// allowed is how many calls in a row are let through, of at most 50.
func (h *host) allowed(p policy.Policy, vars ...string) int {
	h.t.Helper()
	for n := range 50 {
		if _, f := h.call(p, vars...); f != nil {
			if f.Code != "policies.ratelimit.QuotaViolation" {
				h.t.Error(f)
			}
			return n
		}
	}
	return 50
}

// TestTypes lets intervals pass. Each step is "time: how many are allowed".
func TestTypes(t *testing.T) {
	for _, tt := range []struct{ xml, steps string }{
		{`<Quota name="Q"><Allow count="3"/><TimeUnit>minute</TimeUnit></Quota>`,
			"2026-04-01 12:00:59.999: 3; 2026-04-01 12:00:59.999: 0; 2026-04-01 12:01:00: 3; 2026-04-01 12:01:59: 0"},
		{`<Quota name="Q"><Allow count="3"/><Interval>2</Interval><TimeUnit>hour</TimeUnit><Synchronous>true</Synchronous></Quota>`,
			"2026-04-01 12:10:00: 3; 2026-04-01 13:59:59: 0; 2026-04-01 14:00:00: 3"},
		{`<Quota name="Q"><Allow count="3"/><TimeUnit>week</TimeUnit></Quota>`,
			"2026-04-04 12:00:00: 3; 2026-04-04 23:59:59: 0; 2026-04-05 00:00:00: 3"},
		{`<Quota name="Q"><Allow count="3"/><TimeUnit>month</TimeUnit></Quota>`,
			"2026-04-01 00:00:00: 3; 2026-04-30 23:59:59: 0; 2026-05-01 00:00:00: 3"},
		{`<Quota name="Q" type="calendar"><Allow count="3"/><Interval>1</Interval><TimeUnit>month</TimeUnit><StartTime>2017-1-19 12:00:00</StartTime></Quota>`,
			"2026-04-01 12:00:00: 3; 2026-04-19 11:59:59: 0; 2026-04-19 12:00:00: 3; 2026-05-19 11:59:59: 0; 2026-05-19 12:00:00: 3"},
		{`<Quota name="Q" type="flexi"><Allow count="3"/><Interval>1</Interval><TimeUnit>hour</TimeUnit></Quota>`,
			"2026-04-01 12:10:00: 3; 2026-04-01 13:09:59: 0; 2026-04-01 13:10:00: 3; 2026-04-01 14:10:00: 3"},
		{`<Quota name="Q" type="flexi"><Allow count="3"/><TimeUnit>month</TimeUnit></Quota>`,
			"2026-01-31 12:00:00: 3; 2026-02-28 11:59:59: 0; 2026-02-28 12:00:00: 3; 2026-03-28 11:59:59: 0; 2026-03-28 12:00:00: 3"},
		{`<Quota name="Q" type="rollingwindow"><Allow count="3"/><Interval>1</Interval><TimeUnit>hour</TimeUnit></Quota>`,
			"2026-04-01 12:10:00: 3; 2026-04-01 13:09:59: 0; 2026-04-01 13:10:00: 3; 2026-04-01 14:09:59: 0; 2026-04-01 15:00:00: 3"},
	} {
		t.Run(tt.xml, func(t *testing.T) {
			h := newHost(t)
			p := h.compile(tt.xml)
			for s := range strings.SplitSeq(tt.steps, "; ") {
				i := strings.LastIndex(s, ": ")
				at, err := time.Parse("2006-01-02 15:04:05", s[:i])
				if err != nil {
					t.Fatal(err)
				}
				h.now = at
				if got := fmt.Sprint(h.allowed(p)); got != s[i+2:] {
					t.Errorf("%s: %s allowed", s, got)
				}
			}
		})
	}
}

// TestAllow finds how many are allowed, in one hour.
func TestAllow(t *testing.T) {
	for _, tt := range []struct {
		elements string
		vars     []string
		want     int
	}{
		{`<Allow count="5"/>`, nil, 5},
		{`<Allow count="0"/>`, nil, 0},
		{`<Allow count="5" countRef="n"/>`, nil, 5},
		{`<Allow count="5" countRef="n"/>`, []string{"n=7"}, 7},
		{`<Allow count="5" countRef="n"/>`, []string{"n=0"}, 0},
		{`<Allow count="5" countRef="n"/>`, []string{"n=many"}, 5},
		{`<Allow countRef="n"/>`, nil, 0}, // what is not known allows nothing
		{`<Allow countRef="n"/>`, []string{"n=2"}, 2},
		{`<Allow><Class ref="c"><Allow class="gold" count="9"/><Allow class="silver" count="4"/></Class></Allow>`, []string{"c=gold"}, 9},
		{`<Allow count="2"><Class ref="c"><Allow class="gold" count="9"/><Allow class="silver" count="4"/></Class></Allow>`, []string{"c=silver"}, 4},
		{`<Allow count="2"><Class ref="c"><Allow class="gold" count="9"/></Class></Allow>`, []string{"c=iron"}, 2},
		{`<Allow count="2"><Class ref="c"><Allow class="gold" count="9"/></Class></Allow>`, nil, 2},
		{`<Allow count="2"><Class ref="c"><Allow class="gold" count="3" countRef="n"/></Class></Allow>`, []string{"c=gold", "n=8"}, 8},
		{`<Allow count="2"/><Allow><Class ref="c"><Allow class="gold" count="9"/></Class></Allow>`, []string{"c=gold"}, 9},
		{`<Allow count="2"/><Allow><Class ref="c"><Allow class="gold" count="9"/></Class></Allow>`, nil, 2},
		{`<Allow><Class ref="c"><Allow class="gold" count="9"/></Class></Allow><Allow count="2" countRef="n"/>`, []string{"n=4"}, 4},
		{`<Allow count="5"/><Allow countRef="n"/>`, []string{"n=3"}, 3},
		{`<Allow count="5"/><Interval/><Identifier/><MessageWeight/><Distributed/><StartTime/>`, nil, 5},
		{`<Allow count="10"/><MessageWeight ref="w"/>`, []string{"w=3"}, 3},
		{`<Allow count="10"/><MessageWeight ref="w"/>`, nil, 10},
		{`<Allow count="10"/><MessageWeight ref="w"/>`, []string{"w=11"}, 0},
		{`<Allow count="10"/><MessageWeight ref="w"/>`, []string{"w=0"}, 50},
		{`<Allow count="10"/><MessageWeight>5</MessageWeight>`, nil, 2},
	} {
		h := newHost(t)
		p := h.compile(`<Quota name="Q">` + tt.elements + `<TimeUnit>hour</TimeUnit></Quota>`)
		if got := h.allowed(p, tt.vars...); got != tt.want {
			t.Errorf("%s %v: %d allowed, want %d", tt.elements, tt.vars, got, tt.want)
		}
	}
	h := newHost(t) // nothing given
	fc, f := h.call(h.compile(`<Quota name="Q"><TimeUnit>hour</TimeUnit></Quota>`))
	if f != nil || fc.Text("ratelimit.Q.allowed.count") != "2000" {
		t.Errorf("%v allowed, %v", fc.Text("ratelimit.Q.allowed.count"), f)
	}
}

// TestApart checks what has counters of its own.
func TestApart(t *testing.T) {
	h := newHost(t)
	p := h.compile(`<Quota name="Q"><Identifier ref="id"/><Allow count="2"><Class ref="c"><Allow class="gold" count="3"/></Class></Allow><Interval ref="i">1</Interval><TimeUnit>hour</TimeUnit></Quota>`)
	for _, tt := range []struct {
		vars string
		want int
	}{
		{"id=a", 2}, {"id=a", 0}, {"id=b", 2}, {"", 2}, {"id=", 0}, {"id=_default", 0},
		{"id=a c=gold", 3}, {"id=b c=gold", 3}, {"c=gold", 3}, {"c=iron", 2},
		{"id=a proxy=other", 2}, {"id=a i=2", 2}, {"id=a i=1", 0},
	} {
		if got := h.allowed(p, strings.Fields(tt.vars)...); got != tt.want {
			t.Errorf("%q: %d allowed, want %d", tt.vars, got, tt.want)
		}
	}
	if got := h.allowed(h.compile(`<Quota name="Q2"><Allow count="4"/><TimeUnit>hour</TimeUnit></Quota>`)); got != 4 {
		t.Errorf("another policy: %d", got)
	}
	h.now = h.now.Add(time.Hour)
	if got := h.allowed(p, "id=a"); got != 2 {
		t.Errorf("an hour later: %d", got)
	}
}

// TestShared counts in one policy and enforces in another, as the samples with
// token quotas do.
func TestShared(t *testing.T) {
	h := newHost(t)
	const common = `<Identifier ref="id"/><Allow countRef="limit"/><Interval ref="interval"/><TimeUnit ref="unit"/><Distributed>true</Distributed><Synchronous>true</Synchronous><SharedName>tokens</SharedName></Quota>`
	enforce := h.compile(`<Quota name="Q-Enforce" type="flexi"><EnforceOnly>true</EnforceOnly>` + common)
	count := h.compile(`<Quota name="Q-Count" type="flexi"><CountOnly>true</CountOnly><MessageWeight ref="tokens"/>` + common)
	vars := []string{"id=a", "limit=1000", "interval=1", "unit=hour"}
	for i, tokens := range []string{"400", "599", "500"} {
		h.now = h.now.Add(time.Millisecond)
		if _, f := h.call(enforce, vars...); f != nil {
			t.Fatalf("use %d: %v", i, f)
		}
		fc, f := h.call(count, append(vars, "tokens="+tokens)...)
		if f != nil {
			t.Fatal(f)
		}
		want := []string{"400 600 0", "999 1 0", "1499 0 1"}[i]
		if got := fc.Text("ratelimit.Q-Count.used.count") + " " + fc.Text("ratelimit.Q-Count.available.count") + " " + fc.Text("ratelimit.Q-Count.exceed.count"); got != want {
			t.Errorf("use %d: %s, want %s", i, got, want)
		}
	}
	h.now = h.now.Add(time.Millisecond)
	fc, f := h.call(enforce, vars...)
	if f == nil || f.Status != 429 || fc.Text("ratelimit.Q-Enforce.used.count") != "1499" {
		t.Errorf("%v, %s used", f, fc.Text("ratelimit.Q-Enforce.used.count"))
	}
	if _, f := h.call(enforce, "id=b", "limit=1000", "interval=1", "unit=hour"); f != nil {
		t.Errorf("another identifier: %v", f)
	}
}

// TestProduct takes the quota of the API product that a key or a token has.
func TestProduct(t *testing.T) {
	h := newHost(t)
	h.bundle.Policies = []*bundle.Policy{{Name: "VA-1", Kind: "VerifyAPIKey"}, {Name: "OA-1", Kind: "OAuthV2"}}
	for _, tt := range []struct {
		step, prefix string
	}{{"VA-1", "verifyapikey.VA-1."}, {"OA-1", ""}} {
		p := h.compile(`<Quota name="Q-` + tt.step + `"><UseQuotaConfigInAPIProduct stepName="` + tt.step + `">
			<DefaultConfig><Allow>4</Allow><Interval>1</Interval><TimeUnit>hour</TimeUnit></DefaultConfig>
		</UseQuotaConfigInAPIProduct><Allow count="99"/><Interval>1</Interval><TimeUnit>minute</TimeUnit></Quota>`)
		for _, c := range []struct {
			vars string
			want int
		}{
			{"apiproduct.name=bronze", 4},
			{"apiproduct.name=bronze apiproduct.operation=/x", 0}, // the default is the product's
			{"apiproduct.name=gold apiproduct.developer.quota.limit=6 apiproduct.developer.quota.interval=2 apiproduct.developer.quota.timeunit=day apiproduct.operation=/a", 6},
			{"apiproduct.name=gold apiproduct.developer.quota.limit=6 apiproduct.developer.quota.interval=2 apiproduct.developer.quota.timeunit=day apiproduct.operation=/b", 0},
			{"apiproduct.name=gold apiproduct.developer.quota.limit=6 apiproduct.developer.quota.interval=2 apiproduct.developer.quota.timeunit=day apiproduct.operation=/a apiproduct.operation.quota.limit=3 apiproduct.operation.quota.interval=1 apiproduct.operation.quota.timeunit=HOUR", 3},
			{"apiproduct.name=iron apiproduct.developer.quota.limit=5 apiproduct.developer.quota.timeunit=day apiproduct.quotaCounterScope=OPERATION apiproduct.operation=/a", 5},
			{"apiproduct.name=iron apiproduct.developer.quota.limit=5 apiproduct.developer.quota.timeunit=day apiproduct.quotaCounterScope=OPERATION apiproduct.operation=/b", 5},
			{"apiproduct.name=iron apiproduct.developer.quota.limit=5 apiproduct.developer.quota.timeunit=day apiproduct.quotaCounterScope=PROXY apiproduct.operation=/c", 5},
			{"apiproduct.name=iron apiproduct.developer.quota.limit=5 apiproduct.developer.quota.timeunit=day apiproduct.quotaCounterScope=PROXY apiproduct.operation=/d", 0},
		} {
			var vars []string
			for _, v := range strings.Fields(c.vars) {
				vars = append(vars, tt.prefix+v)
			}
			if got := h.allowed(p, vars...); got != c.want {
				t.Errorf("%s %s: %d allowed, want %d", tt.step, c.vars, got, c.want)
			}
		}
	}
}

// TestDefaultClasses takes the default of a product by class.
func TestDefaultClasses(t *testing.T) {
	h := newHost(t)
	h.bundle.Policies = []*bundle.Policy{{Name: "VA-1", Kind: "VerifyAPIKey"}}
	p := h.compile(`<Quota name="Q-1"><UseQuotaConfigInAPIProduct stepName="VA-1"><DefaultConfig>
		<Allow><Class ref="c"><Allow class="peak" count="3"/><Allow class="off" count="5"/></Class></Allow>
		<Interval>1</Interval><TimeUnit>hour</TimeUnit></DefaultConfig></UseQuotaConfigInAPIProduct></Quota>`)
	for _, tt := range []struct {
		vars string
		want int
	}{
		{"verifyapikey.VA-1.apiproduct.name=a c=peak", 3},
		{"verifyapikey.VA-1.apiproduct.name=a c=off", 5},
		{"verifyapikey.VA-1.apiproduct.name=b c=off", 5},
		{"verifyapikey.VA-1.apiproduct.name=a c=peak", 0},
		{"verifyapikey.VA-1.apiproduct.name=a c=peak verifyapikey.VA-1.apiproduct.developer.quota.limit=2 verifyapikey.VA-1.apiproduct.developer.quota.timeunit=hour", 2},
	} {
		if got := h.allowed(p, strings.Fields(tt.vars)...); got != tt.want {
			t.Errorf("%s: %d allowed, want %d", tt.vars, got, tt.want)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	for _, bb := range []struct{ name, elements string }{
		{"plain", `<Allow count="1000000000000"/><Interval>1</Interval><TimeUnit>month</TimeUnit>`},
		{"product", `<Identifier ref="client"/><Allow countRef="limit" count="5"/><Interval ref="interval">1</Interval><TimeUnit ref="unit">month</TimeUnit>`},
		{"refused", `<Allow count="0"/><Interval>1</Interval><TimeUnit>month</TimeUnit>`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			q, _ := countertest.New(b, time.Now)
			p := policytest.Compile(b, Kind, `<Quota name="Q-1">`+bb.elements+`</Quota>`, policy.Services{Quotas: q})
			fc := flow.New(&flow.Proxy{Name: "proxy"}, time.Now)
			for name, value := range map[string]string{"client": "c1", "limit": "1000000000000", "interval": "1", "unit": "month"} {
				fc.PutText(name, value)
			}
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Run(ctx, fc); (err != nil) != (bb.name == "refused") {
					b.Fatal(err)
				}
				fc.Drain(ctx)
			}
		})
	}
}
