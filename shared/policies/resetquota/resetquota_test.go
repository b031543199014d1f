package resetquota

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/counter/countertest"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policies/quota"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if strings.HasSuffix(t.Name(), "no_quotas") {
			return policy.Services{}
		}
		if strings.HasSuffix(t.Name(), "unavailable") {
			return policy.Services{Quotas: down{}}
		}
		q, _ := countertest.New(t, func() time.Time { return policytest.Now })
		return policy.Services{Quotas: q}
	}))
}

// proxy is a bundle with quotas and one ResetQuota.
type proxy struct {
	t      *testing.T
	quotas map[string]policy.Policy
	reset  policy.Policy
	now    time.Time
}

func newProxy(t *testing.T, reset string) *proxy {
	t.Helper()
	p := &proxy{t: t, quotas: map[string]policy.Policy{}, now: policytest.Now}
	counters, _ := countertest.New(t, func() time.Time { return p.now })
	return p.compile(counters, reset)
}

func (p *proxy) compile(counters policy.Quotas, reset string) *proxy {
	p.t.Helper()
	b := &bundle.Bundle{Kind: bundle.KindAPIProxy, Name: "test"}
	for _, xml := range []string{
		`<Quota name="Q-1"><Identifier ref="id"/><Allow count="10"/><TimeUnit>hour</TimeUnit></Quota>`,
		`<Quota name="Q-2" type="rollingwindow"><Allow><Class ref="c"><Allow class="gold" count="5"/></Class></Allow><TimeUnit>hour</TimeUnit></Quota>`,
		reset,
	} {
		root, err := bundle.ParseXML("policies/policy.xml", []byte(xml))
		if err != nil {
			p.t.Fatal(err)
		}
		name, _ := root.Attr("name")
		b.Policies = append(b.Policies, &bundle.Policy{Name: name, Kind: root.Name, File: "policies/policy.xml", Root: root, Enabled: true})
	}
	var problems bundle.Problems
	env := policy.NewEnv("org", "test", b, policy.Services{Quotas: counters}, &problems)
	p.quotas["Q-1"] = quota.Kind.Build(b.Policies[0], env)
	p.quotas["Q-2"] = quota.Kind.Build(b.Policies[1], env)
	p.reset = Kind.Build(b.Policies[2], env)
	if err := problems.Err(); err != nil {
		p.t.Fatal(err)
	}
	return p
}

func (p *proxy) run(pol policy.Policy, vars ...string) *fault.Fault {
	p.t.Helper()
	p.now = p.now.Add(2 * time.Second)
	fc := flow.New(&flow.Proxy{Name: "proxy"}, func() time.Time { return p.now })
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		fc.PutText(name, value)
	}
	err := pol.Run(p.t.Context(), fc)
	fc.Drain(p.t.Context())
	var f *fault.Fault
	if err != nil && !errors.As(err, &f) {
		p.t.Fatal(err)
	}
	return f
}

func (p *proxy) allowed(quota string, vars ...string) (n int) {
	for n < 50 && p.run(p.quotas[quota], vars...) == nil {
		n++
	}
	return n
}

func TestReset(t *testing.T) {
	for _, tt := range []struct {
		reset  string
		vars   string
		counts string // allowed afterwards: Q-1 _default, Q-1 a, Q-2 gold
	}{
		{`<Quota name="Q-1"><Identifier name="_default"><Allow>4</Allow></Identifier></Quota>`, "", "4 0 0"},
		{`<Quota name="Q-1"><Identifier name="a"><Allow>4</Allow></Identifier></Quota>`, "", "0 4 0"},
		{`<Quota name="Q-1"><Identifier ref="id"><Allow ref="n">3</Allow></Identifier></Quota>`, "id=a n=6", "0 6 0"},
		{`<Quota name="Q-1"><Identifier name="_default" ref="unset"><Allow ref="n">3</Allow></Identifier></Quota>`, "", "3 0 0"},
		{`<Quota name="Q-1"><Identifier name="_default"><Allow>100</Allow></Identifier></Quota>`, "", "10 0 0"},
		{`<Quota name="Q-1"><Identifier name="_default"><Allow>0</Allow></Identifier></Quota>`, "", "0 0 0"},
		{`<Quota name="Q-1"><Identifier name="_default"><Allow>1</Allow></Identifier><Identifier name="a"><Allow>2</Allow></Identifier></Quota>
		  <Quota ref="q"><Identifier name="_default"><Class name="gold"><Allow>3</Allow></Class></Identifier></Quota>`, "q=Q-2", "1 2 3"},
		{`<Quota name="Q-2"><Identifier name="_default"><Class ref="c"><Allow>2</Allow></Class></Identifier></Quota>`, "c=gold", "0 0 2"},
		{`<Quota name="Q-2"><Identifier name="_default"><Allow>2</Allow></Identifier></Quota>`, "c=gold", "0 0 2"},
	} {
		t.Run(tt.reset, func(t *testing.T) {
			p := newProxy(t, `<ResetQuota name="RQ-1">`+tt.reset+`</ResetQuota>`)
			if a, b, c := p.allowed("Q-1"), p.allowed("Q-1", "id=a"), p.allowed("Q-2", "c=gold"); a != 10 || b != 10 || c != 5 {
				t.Fatal(a, b, c)
			}
			if f := p.run(p.reset, strings.Fields(tt.vars)...); f != nil {
				t.Fatal(f)
			}
			want := strings.Fields(tt.counts)
			for i, got := range []int{p.allowed("Q-1"), p.allowed("Q-1", "id=a"), p.allowed("Q-2", "c=gold")} {
				if want[i] != string(rune('0'+got%10)) && !(want[i] == "10" && got == 10) {
					t.Errorf("%d: %d allowed, want %s", i, got, want[i])
				}
			}
		})
	}
}

func TestAllowUnresolved(t *testing.T) {
	p := newProxy(t, `<ResetQuota name="RQ-1"><Quota name="Q-1"><Identifier name="a"><Allow ref="n"/></Identifier></Quota></ResetQuota>`)
	for _, vars := range []string{"", "n=some", "n=-1"} {
		f := p.run(p.reset, strings.Fields(vars)...)
		if f == nil || f.Status != 500 || f.Code != "policies.resetquota.FailedToResolveAllowCountRef" || f.FailedVariables[0] != "resetquota.RQ-1.failed" {
			t.Errorf("%q: %v", vars, f)
		}
	}
}

// down are quotas whose store cannot be reached.
type down struct{ policy.Quotas }

func (down) Reset(context.Context, policy.Counter, policy.Window, int64) error {
	return errors.New("store is down")
}
func (down) Settle(context.Context) {}

func TestUnavailable(t *testing.T) {
	p := (&proxy{t: t, quotas: map[string]policy.Policy{}, now: policytest.Now}).compile(down{},
		`<ResetQuota name="RQ-1"><Quota name="Q-1"><Identifier name="a"><Allow>4</Allow></Identifier></Quota></ResetQuota>`)
	f := p.run(p.reset)
	if f == nil || f.Status != 503 || f.Code != "policies.resetquota.QuotaUnavailable" || f.Text != "Quota cannot be reset. Identifier : a" {
		t.Error(f)
	}
}

func BenchmarkRun(b *testing.B) {
	root, _ := bundle.ParseXML("policies/Q-1.xml", []byte(`<Quota name="Q-1"><Allow count="10"/><TimeUnit>hour</TimeUnit></Quota>`))
	reset, _ := bundle.ParseXML("policies/RQ-1.xml", []byte(`<ResetQuota name="RQ-1"><Quota name="Q-1"><Identifier name="a"><Allow>1</Allow></Identifier></Quota></ResetQuota>`))
	bn := &bundle.Bundle{Policies: []*bundle.Policy{{Name: "Q-1", Kind: "Quota", Root: root, Enabled: true}}}
	counters, _ := countertest.New(b, time.Now)
	var problems bundle.Problems
	p := Kind.Build(&bundle.Policy{Name: "RQ-1", Kind: "ResetQuota", Root: reset, Enabled: true}, policy.NewEnv("org", "test", bn, policy.Services{Quotas: counters}, &problems))
	fc := flow.New(&flow.Proxy{Name: "proxy"}, time.Now)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Run(b.Context(), fc); err != nil {
			b.Fatal(err)
		}
	}
}
