// Package monetizationlimitscheck implements the <MonetizationLimitsCheck> policy: it
// blocks the calls of developers who have no subscription to the API product that
// allows the call, or no balance left.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/monetization-limits-check-policy
//
// A product without an active rate plan is not monetized, and the policy has no
// effect on it. Nor has it on a host that does not monetize products at all.
//
// Variables, where the product is monetized: mint.limitscheck.is_request_blocked,
// .is_subscription_found, .prepaid_developer_balance, .prepaid_developer_currency,
// .purchased_product_name, .status_message, mint.subscription_start_time_ms,
// mint.subscription_end_time_ms. And, which Apigee's VerifyAPIKey sets:
// mint.mintng_is_apiproduct_monetized, also where it is not, mint.mintng_rate_plan_id,
// mint.rateplan_start_time_ms, mint.rateplan_end_time_ms.
//
// Faults, which set mint.limitscheck.failed and mint.limitscheck.P.failed:
//
//   - mint.service.REASON (403): the call is blocked; with <FaultResponse>, that is
//     the answer
//   - mintstep.LimitsCheckFailed (500): nobody can say whether it is
package monetizationlimitscheck

import (
	"context"
	"time"

	"github.com/perigee-gateway/perigee/shared/assignment"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the MonetizationLimitsCheck policy.
var Kind = policy.Define("MonetizationLimitsCheck", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// FaultResponse makes the message for a call that is blocked, as that of
	// RaiseFault does.
	FaultResponse *FaultResponse `xml:"FaultResponse,once"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once" default:"true"`

	_ struct{} `ignored:"Variables"` // Edge: it names what Apigee X finds itself
}

// FaultResponse is the grammar of AssignMessage, for a response.
type FaultResponse struct {
	bundle.Pos
	assignment.Changes
	// AssignVariable sets a variable.
	AssignVariable []assignment.Variable `xml:"AssignVariable"`
}

type step struct {
	service policy.Monetization
	answer  *assignment.Program // nil: the default body
	failed  []string
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{service: env.Monetization, failed: []string{"mint.limitscheck.failed", "mint.limitscheck." + env.Name() + ".failed"}}
	if s.service == nil {
		env.Warnf(bundle.Pos{}, "products are not monetized here: <MonetizationLimitsCheck> lets every call pass")
	}
	if f := c.FaultResponse; f != nil {
		s.answer = assignment.Compile(env, env.Policy.Root.Child("FaultResponse"), &f.Changes, f.AssignVariable, assignment.Options{
			Names: assignment.Names{Policy: "MonetizationLimitsCheck", Prefix: "mintstep.", Failed: s.failed},
			To:    "-", IgnoreUnresolved: c.IgnoreUnresolvedVariables,
		})
	}
	return s, nil
}

// Run checks the caller.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	if s.service == nil {
		return nil
	}
	l, err := s.service.Limits(ctx, fc.Caller)
	if err != nil {
		return fault.New("mintstep.LimitsCheckFailed", 500, "Failed to check the limits of the developer").WithCause(err).Failed(s.failed...)
	}
	fc.Put("mint.mintng_is_apiproduct_monetized", flow.BoolValue(l.Monetized))
	if !l.Monetized {
		return nil
	}
	set(fc, &l)
	if l.Blocked == "" {
		return nil
	}
	return s.block(ctx, fc, l.Blocked)
}

func set(fc *flow.Context, l *policy.Limits) {
	fc.Put("mint.limitscheck.is_request_blocked", flow.BoolValue(l.Blocked != ""))
	fc.Put("mint.limitscheck.is_subscription_found", flow.BoolValue(l.Subscribed))
	for name, text := range map[string]string{
		"mint.limitscheck.purchased_product_name": l.Product, "mint.limitscheck.status_message": l.Blocked,
		"mint.limitscheck.prepaid_developer_balance": l.Balance, "mint.limitscheck.prepaid_developer_currency": l.Currency,
		"mint.mintng_rate_plan_id": l.Plan,
	} {
		if text != "" {
			fc.PutText(name, text)
		}
	}
	for name, at := range map[string]time.Time{
		"mint.subscription_start_time_ms": l.Start, "mint.subscription_end_time_ms": l.End,
		"mint.rateplan_start_time_ms": l.PlanStart, "mint.rateplan_end_time_ms": l.PlanEnd,
	} {
		if !at.IsZero() {
			fc.Put(name, flow.IntValue(at.UnixMilli()))
		}
	}
}

func (s *step) block(ctx context.Context, fc *flow.Context, reason string) error {
	f := fault.New(reason, 403, "Request is blocked: "+reason).Failed(s.failed...)
	if s.answer == nil {
		return f
	}
	m := message.NewResponse()
	m.Status = 403
	if err := s.answer.Run(ctx, fc, assignment.Target{Name: "error", Message: m}); err != nil {
		return err
	}
	length := m.Length()
	f.Status, f.Reason = m.Status, m.Reason
	if length > 0 || m.Changed() {
		f.Message = m
		return f
	}
	for i := range m.Header.Len() {
		f.Header = append(f.Header, m.Header.At(i))
	}
	return f
}
