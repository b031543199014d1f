// Package spikearrest implements the <SpikeArrest> policy: it smooths traffic to
// a rate. State is local to the process, as on Apigee's message processors; each
// policy and identifier has its own.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/spike-arrest-policy
//
// Without UseEffectiveCount a request is let through every period/N, and a tenth
// of the rate (whole requests) at once after a pause. With it up to N requests are let through
// in any period, counted by a sliding window of this process.
//
// Variables: ratelimit.P.available.count, how many requests would be let
// through now; ratelimit.P.exceed.count, the weight that was too much;
// ratelimit.P.failed.
//
// Faults, which set ratelimit.P.failed:
//
//   - policies.ratelimit.SpikeArrestViolation (429): the rate is exceeded
//   - policies.ratelimit.InvalidMessageWeight (500): the weight is no integer
//   - policies.ratelimit.FailedToResolveSpikeArrestRate (500): the rate's
//     variable is not set
//   - policies.ratelimit.InvalidAllowedRate (500): the variable holds no rate
//
// Refused at deployment: InvalidAllowedRate.
package spikearrest

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/spike"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the SpikeArrest policy.
var Kind = policy.Define("SpikeArrest", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Rate is Nps (per second) or Npm (per minute): the variable in ref, else
	// the content, which may be a template. Required.
	Rate Rate `xml:"Rate,once,required"`
	// Identifier is the variable by which requests are counted apart.
	Identifier Ref `xml:"Identifier,once"`
	// MessageWeight is how many requests this one counts for: the variable in
	// ref, else the content, else 1.
	MessageWeight Ref `xml:"MessageWeight,once"`
	// UseEffectiveCount counts in a sliding window instead of smoothing.
	UseEffectiveCount bool `xml:"UseEffectiveCount,once"`
}

// Rate is the <Rate>.
type Rate struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`
}

// Ref is a variable, and a text where it is not set.
type Ref struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`
}

// Limits that Apigee documents.
const (
	maxPerSecond = 4000
	maxPerMinute = 240000
)

type step struct {
	policy     string
	rateRef    flow.Var
	rateText   *template.Template // nil if fixed is set or there is none
	fixed      spike.Rate
	identifier flow.Var
	weightRef  flow.Var
	weight     int64
	limiter    *spike.Limiter

	available, exceed, failed string // variables
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	prefix := "ratelimit." + env.Name()
	s := &step{
		policy: env.Name(), weight: 1, limiter: spike.New(c.UseEffectiveCount),
		available: prefix + ".available.count", exceed: prefix + ".exceed.count", failed: prefix + ".failed",
	}
	s.compileRate(c.Rate, env)
	if c.Identifier.Ref != "" {
		s.identifier = env.Var(c.Identifier.Ref)
	}
	if c.MessageWeight.Ref != "" {
		s.weightRef = env.Var(c.MessageWeight.Ref)
	}
	if t := c.MessageWeight.Text; t != "" {
		n, err := strconv.ParseInt(t, 10, 64)
		if err != nil || n < 0 {
			env.Errorf(c.MessageWeight.Pos, "InvalidMessageWeight: <MessageWeight> is %q, want a whole number", t)
		}
		s.weight = n
	}
	return s, nil
}

func (s *step) compileRate(r Rate, env *policy.Env) {
	if r.Ref != "" {
		s.rateRef = env.Var(r.Ref)
	}
	if r.Text == "" {
		if r.Ref == "" {
			env.Errorf(r.Pos, "InvalidAllowedRate: <Rate> is empty")
		}
		return
	}
	t := env.Template(r.Pos, r.Text)
	if _, constant := t.Constant(); !constant {
		s.rateText = t
		return
	}
	rate, ok := spike.ParseRate(r.Text)
	if !ok {
		env.Errorf(r.Pos, "InvalidAllowedRate: Invalid spike arrest rate %s.", r.Text)
		return
	}
	if rate.Messages > maxPerMinute || rate.Period == time.Second && rate.Messages > maxPerSecond {
		env.Warnf(r.Pos, "<Rate> is %s, Apigee enforces at most %dps or %dpm", r.Text, maxPerSecond, maxPerMinute)
	}
	s.fixed = rate
}

// Run counts the request and refuses it if it comes too soon.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	r, err := s.rate(fc)
	if err != nil {
		return err
	}
	weight, err := s.messageWeight(fc)
	if err != nil {
		return err
	}
	id := ""
	if !s.identifier.IsZero() {
		id = s.identifier.Get(fc).String()
	}
	available, ok := s.limiter.Take(id, r, weight, fc.Now())
	exceeded := int64(0)
	if !ok {
		exceeded = max(weight, 1)
	}
	fc.Put(s.available, flow.IntValue(available))
	fc.Put(s.exceed, flow.IntValue(exceeded))
	fc.Put(s.failed, flow.BoolValue(false)) // as Quota; a fault makes it true
	if !ok {
		return s.fault("SpikeArrestViolation", 429, "Spike arrest violation. Allowed rate : "+r.String())
	}
	return nil
}

func (s *step) rate(fc *flow.Context) (spike.Rate, error) {
	text := ""
	if !s.rateRef.IsZero() {
		text = s.rateRef.Get(fc).String()
	}
	switch {
	case text != "":
	case s.fixed.Messages > 0:
		return s.fixed, nil
	case s.rateText != nil:
		var err error
		if text, err = s.rateText.Expand(fc, false); err != nil {
			return spike.Rate{}, s.unresolvedRate(s.rateText.Source()).WithCause(err)
		}
	default:
		return spike.Rate{}, s.unresolvedRate(s.rateRef.Name())
	}
	r, ok := spike.ParseRate(text)
	if !ok {
		return spike.Rate{}, s.fault("InvalidAllowedRate", 500, "Invalid spike arrest rate "+text+".")
	}
	return r, nil
}

func (s *step) unresolvedRate(ref string) *fault.Fault {
	return s.fault("FailedToResolveSpikeArrestRate", 500, "Failed to resolve Spike Arrest Rate reference "+ref+" in SpikeArrest policy "+s.policy)
}

func (s *step) messageWeight(fc *flow.Context) (int64, error) {
	if s.weightRef.IsZero() {
		return s.weight, nil
	}
	v := s.weightRef.Get(fc)
	if v.IsNull() {
		return s.weight, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v.String()), 10, 32)
	if err != nil || n < 0 {
		return 0, s.fault("InvalidMessageWeight", 500, "Invalid message weight value "+v.String())
	}
	return n, nil
}

func (s *step) fault(name string, status int, text string) *fault.Fault {
	return fault.New("policies.ratelimit."+name, status, text).Failed(s.failed)
}
