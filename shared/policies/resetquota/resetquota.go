// Package resetquota implements the <ResetQuota> policy: it gives back some of
// what a Quota policy of the same bundle counted.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/reset-quota-policy
//
// The count of the quota's identifier is lowered by the number in <Allow>, at most
// to zero; "_default" is the identifier of requests that the quota does not tell
// apart. What other instances took from the counter in advance they still use.
//
// Variables: resetquota.P.failed.
//
// Faults (500), which set resetquota.P.failed:
//
//   - policies.resetquota.InvalidRLPolicy: there is no quota of that name
//   - policies.resetquota.FailedToResolveRLPolicy: the variable with the quota's
//     name is not set
//   - policies.resetquota.FailedToResolveAllowCountRef: the variable in <Allow> is
//     not set, or no whole number
//   - policies.resetquota.QuotaUnavailable (503): the counter cannot be reached
//
// Refused at deployment: InvalidCount.
package resetquota

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/ratelimit"
)

// Kind is the ResetQuota policy.
var Kind = policy.Define("ResetQuota", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Quota is a quota whose counts are to be lowered.
	Quota []Quota `xml:"Quota,required"`
}

// Quota names a Quota policy: the variable in ref, else name.
type Quota struct {
	bundle.Pos
	Name       string       `xml:"name,attr"`
	Ref        string       `xml:"ref,attr"`
	Identifier []Identifier `xml:"Identifier,required"`
}

// Identifier names an identifier of the quota: the variable in ref, else name.
type Identifier struct {
	bundle.Pos
	Name string `xml:"name,attr"`
	Ref  string `xml:"ref,attr"`
	// Allow is by how much the count is lowered.
	Allow *Allow `xml:"Allow,once"`
	// Class has its own counts.
	Class []Class `xml:"Class"`
}

// Class names a class of the quota: the variable in ref, else name.
type Class struct {
	bundle.Pos
	Name  string `xml:"name,attr"`
	Ref   string `xml:"ref,attr"`
	Allow *Allow `xml:"Allow,once"`
}

// Allow is a number: the variable in ref, else the text.
type Allow struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`
}

type step struct {
	quotas policy.Quotas
	known  map[string]*ratelimit.Quota // of the bundle, by name
	resets []reset
	failed string
}

// reset is one count to lower.
type reset struct {
	quota, identifier, class, allow text
	hasClass                        bool
}

// text is the variable's value if it is set, else fixed.
type text struct {
	ref   flow.Var
	fixed string
}

func (t *text) get(fc *flow.Context) string {
	if !t.ref.IsZero() {
		if s := t.ref.Get(fc).String(); s != "" {
			return s
		}
	}
	return t.fixed
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Quotas == nil {
		return nil, errors.New("<ResetQuota> cannot run: nothing counts quotas here")
	}
	s := &step{quotas: env.Quotas, known: map[string]*ratelimit.Quota{}, failed: "resetquota." + env.Name() + ".failed"}
	for _, p := range env.Bundle.Policies {
		if q := ratelimit.Find(env, p.Name); q != nil {
			s.known[p.Name] = q
		}
	}
	for _, q := range c.Quota {
		quota := s.compile(env, q.Pos, "Quota", q.Ref, q.Name)
		for _, id := range q.Identifier {
			r := reset{quota: quota, identifier: s.compile(env, id.Pos, "Identifier", id.Ref, id.Name)}
			if id.Allow == nil && len(id.Class) == 0 {
				env.Errorf(id.Pos, "InvalidCount: <Identifier> has no <Allow>")
			}
			s.add(env, r, id.Allow)
			for _, class := range id.Class {
				r.class, r.hasClass = s.compile(env, class.Pos, "Class", class.Ref, class.Name), true
				if class.Allow == nil {
					env.Errorf(class.Pos, "InvalidCount: <Class> has no <Allow>")
				}
				s.add(env, r, class.Allow)
			}
		}
	}
	return s, nil
}

func (s *step) compile(env *policy.Env, pos bundle.Pos, element, ref, name string) text {
	if ref == "" && name == "" {
		env.Errorf(pos, "<%s> has neither name nor ref", element)
	}
	t := text{fixed: name}
	if ref = strings.TrimSpace(ref); ref != "" {
		t.ref = env.Var(ref)
	}
	return t
}

func (s *step) add(env *policy.Env, r reset, a *Allow) {
	if a == nil {
		return
	}
	r.allow.fixed = strings.TrimSpace(a.Text)
	if ref := strings.TrimSpace(a.Ref); ref != "" {
		r.allow.ref = env.Var(ref)
	}
	n, err := strconv.ParseInt(r.allow.fixed, 10, 64)
	switch {
	case r.allow.fixed == "" && r.allow.ref.IsZero(), r.allow.fixed != "" && (err != nil || n < 0):
		env.Errorf(a.Pos, "InvalidCount: Invalid count value for reset quota policy %s: %q", env.Name(), a.Text)
	}
	s.resets = append(s.resets, r)
}

// Run lowers the counts.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	for i := range s.resets {
		if err := s.reset(ctx, fc, &s.resets[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *step) reset(ctx context.Context, fc *flow.Context, r *reset) error {
	name := r.quota.get(fc)
	if name == "" {
		return s.fault("FailedToResolveRLPolicy", 500, "Failed to resolve rate limit policy")
	}
	quota := s.known[name]
	if quota == nil {
		return s.fault("InvalidRLPolicy", 500, "Invalid rate limit policy "+name)
	}
	amount, err := strconv.ParseInt(strings.TrimSpace(r.allow.get(fc)), 10, 64)
	if err != nil || amount < 0 {
		return s.fault("FailedToResolveAllowCountRef", 500, "Failed to resolve allow count reference "+r.allow.ref.Name())
	}
	if amount == 0 {
		return nil
	}
	u, err := quota.Use(fc)
	if err != nil {
		return err
	}
	if id := r.identifier.get(fc); id != "" {
		u.Counter.Identifier = id
	}
	if r.hasClass {
		u.Counter.Class = r.class.get(fc)
	}
	if err := s.quotas.Reset(ctx, u.Counter, u.Window, amount); err != nil {
		return s.fault("QuotaUnavailable", 503, "Quota cannot be reset. Identifier : "+u.Counter.Identifier).WithCause(err)
	}
	return nil
}

func (s *step) fault(name string, status int, text string) *fault.Fault {
	return fault.New("policies.resetquota."+name, status, text).Failed(s.failed)
}
