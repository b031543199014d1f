package ratelimit

import (
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Compile checks and compiles the settings of the policy called name. Problems go
// to env.
func (s *Settings) Compile(env *policy.Env, name string, kind Kind) *Quota {
	q := &Quota{
		kind: kind, quotas: env.Quotas, policy: name, name: name,
		identifier: compileRef(env, s.Identifier),
		exact:      s.Synchronous, count: s.CountOnly, enforce: s.EnforceOnly,
		vars: variablesOf(name),
	}
	if env.Quotas == nil {
		env.Errorf(bundle.Pos{}, "<%s> cannot run: nothing counts quotas here", env.Policy.Kind)
	} else {
		q.settle = env.Quotas.Settle
	}
	s.compileForm(env, q)
	s.compileConfig(env, q)
	s.compileProduct(env, q)
	s.checkShared(env, q)
	s.checkAsynchronous(env)
	return q
}

func (s *Settings) compileForm(env *policy.Env, q *Quota) {
	switch s.Type {
	case "", "default":
		q.form = byClock
	case "calendar":
		q.form = calendar
	case "flexi":
		q.form = flexi
	case "rollingwindow":
		q.form = rolling
	default:
		env.Errorf(bundle.Pos{}, "InvalidQuotaType: Invalid quota type %s in quota policy %s", s.Type, q.policy)
		return
	}
	start := s.StartTime
	if start != nil && strings.TrimSpace(start.Text) == "" {
		start = nil // as the proxy editor leaves it
	}
	switch {
	case q.form != calendar:
		if start != nil {
			env.Errorf(start.Pos, "StartTimeNotSupported: StartTime is not supported for quota type %s in quota policy %s", s.Type, q.policy)
		}
	case start == nil:
		env.Errorf(bundle.Pos{}, "InvalidStartTime: a quota of type calendar needs a <StartTime>")
	default:
		at, err := time.Parse("2006-1-2 15:4:5", strings.TrimSpace(start.Text))
		if err != nil {
			env.Errorf(start.Pos, "InvalidStartTime: Invalid start time %s in quota policy %s", start.Text, q.policy)
		}
		q.start = at
	}
}

func (s *Settings) compileConfig(env *policy.Env, q *Quota) {
	q.config = config{count: defaultCount, interval: ref{text: "1"}}
	if len(s.Allow) > 0 {
		a := s.allow(env)
		q.config.allow = compileAllow(env, a.Pos, a.CountRef, a.Count)
		if a.CountRef != "" {
			q.config.count = 0 // what is not known allows nothing
		}
		q.config.compileClasses(env, a.Class)
	}
	if s.Interval != nil && !s.Interval.empty() {
		q.config.interval = compileRef(env, s.Interval)
		checkInterval(env, s.Interval, q.policy)
	}
	q.config.unit = compileRef(env, s.TimeUnit)
	if s.TimeUnit != nil && !s.TimeUnit.empty() {
		checkUnit(env, s.TimeUnit, q.policy)
		if Unit(strings.TrimSpace(s.TimeUnit.Text)) == Second && s.Distributed {
			env.Errorf(s.TimeUnit.Pos, "InvalidTimeUnitForDistributedQuota: Invalid time unit second for distributed quota in quota policy %s", q.policy)
		}
	} else if s.UseQuotaConfigInAPIProduct == nil {
		env.Warnf(bundle.Pos{}, "a quota without <TimeUnit> fails when it runs: FailedToResolveQuotaIntervalTimeUnitReference")
	}
}

// allow is the <Allow> elements as one. Each says something of its own: nothing may
// be said twice.
func (s *Settings) allow(env *policy.Env) Allow {
	all := s.Allow[0]
	for _, a := range s.Allow[1:] {
		if a.Count != "" && all.Count != "" || a.CountRef != "" && all.CountRef != "" || a.Class != nil && all.Class != nil {
			env.Errorf(a.Pos, "second <Allow> in <%s>", env.Policy.Kind)
			continue
		}
		if a.Count != "" || a.CountRef != "" {
			all.Pos = a.Pos
		}
		all.Count, all.CountRef = or(all.Count, a.Count), or(all.CountRef, a.CountRef)
		if a.Class != nil {
			all.Class = a.Class
		}
	}
	return all
}

func compileAllow(env *policy.Env, pos bundle.Pos, variable, count string) ref {
	r := newRef(env, variable, count)
	if r.text != "" {
		if n, err := strconv.ParseInt(r.text, 10, 64); err != nil || n < 0 {
			env.Errorf(pos, "InvalidAllowCount: the count of <Allow> is %q, want a whole number", count)
		}
	}
	return r
}

func (to *config) compileClasses(env *policy.Env, c *Class) {
	if c == nil {
		return
	}
	to.classRef = env.Var(c.Ref)
	to.classes = make(map[string]ref, len(c.Allow))
	for _, a := range c.Allow {
		to.classes[a.Class] = compileAllow(env, a.Pos, a.CountRef, a.Count)
	}
}

func checkInterval(env *policy.Env, r *Ref, name string) {
	text := strings.TrimSpace(r.Text)
	if text == "" {
		return
	}
	if n, err := strconv.ParseInt(text, 10, 64); err != nil || n <= 0 {
		env.Errorf(r.Pos, "InvalidQuotaInterval: Invalid quota interval %s in quota policy %s", text, name)
	}
}

func checkUnit(env *policy.Env, r *Ref, name string) {
	if text := strings.TrimSpace(r.Text); text != "" && !Unit(text).valid() {
		env.Errorf(r.Pos, "InvalidQuotaTimeUnit: Invalid quota time unit %s in quota policy %s", text, name)
	}
}

// compileProduct finds the variables of the step that verifies the caller:
// VerifyAPIKey sets them with its own prefix, OAuthV2 without one. A step of another
// bundle, of the proxy or of another shared flow, may be either.
func (s *Settings) compileProduct(env *policy.Env, q *Quota) {
	c := s.UseQuotaConfigInAPIProduct
	if c == nil {
		return
	}
	key := "verifyapikey." + c.StepName + "."
	product := &product{}
	switch p := env.Bundle.Policy(c.StepName); {
	case p == nil:
		env.Warnf(c.Pos, "no policy of the bundle is called %q: it must be one of the proxy, or of a shared flow that runs before", c.StepName)
		product.places = []place{placeOf(env, key, q.kind), placeOf(env, "", q.kind)}
	case p.Kind == "OAuthV2":
		product.places = []place{placeOf(env, "", q.kind)}
	default:
		product.places = []place{placeOf(env, key, q.kind)}
	}
	if d := c.DefaultConfig; d != nil {
		product.otherwise = &config{
			allow: compileAllow(env, d.Allow.Pos, d.Allow.CountRef, or(d.Allow.Text, d.Allow.Count)), count: defaultCount,
			interval: compileRef(env, &d.Interval), unit: compileRef(env, &d.TimeUnit),
		}
		product.otherwise.compileClasses(env, d.Allow.Class)
		checkInterval(env, &d.Interval, q.policy)
		checkUnit(env, &d.TimeUnit, q.policy)
	}
	q.product = product
}

func placeOf(env *policy.Env, prefix string, kind Kind) place {
	return place{
		own:       quotaIn(env, prefix+"apiproduct.operation."+kind.Quota),
		all:       quotaIn(env, prefix+"apiproduct.developer."+kind.Quota),
		name:      env.Var(prefix + "apiproduct.name"),
		operation: env.Var(prefix + "apiproduct.operation"),
		scope:     env.Var(prefix + "apiproduct.quotaCounterScope"),
	}
}

func or(s, otherwise string) string {
	if strings.TrimSpace(s) == "" {
		return otherwise
	}
	return s
}

func quotaIn(env *policy.Env, prefix string) config {
	return config{
		allow:    newRef(env, prefix+".limit", ""),
		interval: newRef(env, prefix+".interval", "1"),
		unit:     newRef(env, prefix+".timeunit", ""),
	}
}

// checkShared holds the schema's rule: policies that share a counter say what they
// do with it, and only those do.
func (s *Settings) checkShared(env *policy.Env, q *Quota) {
	switch {
	case s.SharedName != nil && strings.TrimSpace(s.SharedName.Text) == "":
		env.Errorf(s.SharedName.Pos, "<SharedName> is empty")
	case s.SharedName != nil && s.CountOnly == s.EnforceOnly:
		env.Errorf(s.SharedName.Pos, "with <SharedName> one of <CountOnly> and <EnforceOnly> must be true, and only one")
	case s.SharedName == nil && (s.CountOnly || s.EnforceOnly):
		env.Errorf(bundle.Pos{}, "<CountOnly> and <EnforceOnly> need a <SharedName>")
	case s.SharedName != nil:
		q.name = "shared:" + strings.TrimSpace(s.SharedName.Text)
	}
}

func (s *Settings) checkAsynchronous(env *policy.Env) {
	a := s.AsynchronousConfiguration
	if a == nil {
		return
	}
	if s.Synchronous {
		env.Errorf(a.Pos, "InvalidAsynchronizeConfigurationForSynchronousQuota: AsynchronousConfiguration is not valid for a synchronous quota in quota policy %s", env.Name())
	}
	for _, text := range []string{a.SyncIntervalInSeconds, a.SyncMessageCount} {
		if text == "" {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err != nil || n < 0 {
			env.Errorf(a.Pos, "InvalidSynchronizeIntervalForAsyncConfiguration: Invalid sync interval %s in quota policy %s", text, env.Name())
		}
	}
}

// Find compiles the settings of another policy of the bundle as that runs them; nil
// if it is no quota.
func Find(env *policy.Env, name string) *Quota {
	p := env.Bundle.Policy(name)
	if p == nil {
		return nil
	}
	kind := Requests
	switch p.Kind {
	case "Quota":
	case "LLMTokenQuota":
		kind = Tokens
	default:
		return nil
	}
	var c struct {
		policy.Header
		Settings
		Rest []*bundle.Element `xml:",any"`
	}
	bundle.Decode(p.Root, &c, new(bundle.Problems)) // its own compilation reports them
	other := policy.NewEnv(env.Organization, env.Environment, env.Bundle, env.Services, new(bundle.Problems))
	other.Policy, other.Pos = p, p.Pos()
	return c.Compile(other, name, kind)
}
