// Package assertcondition implements the <AssertCondition> policy: it judges a
// condition once and keeps the result in a variable, for later conditions. A
// condition that is false is no fault.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/assert-condition-policy
//
// Variable: assertcondition.P.truthValue, true or false.
//
// Apigee's steps.assertcondition.ConditionEvaluationFailed cannot occur: a
// condition that can be compiled can be judged. Refused at deployment:
// InvalidCondition.
package assertcondition

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/condition"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the AssertCondition policy.
var Kind = policy.Define("AssertCondition", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Condition is the condition to judge. Required.
	Condition    string     `xml:"Condition,once,required"`
	ConditionPos bundle.Pos `pos:"Condition"`
}

type step struct {
	condition *condition.Condition
	variable  string
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if _, err := condition.Compile(c.Condition); err != nil {
		env.Errorf(c.ConditionPos, "InvalidCondition: %v", err)
		return nil, nil
	}
	return &step{
		condition: env.Condition(c.ConditionPos, c.Condition),
		variable:  "assertcondition." + env.Name() + ".truthValue",
	}, nil
}

// Run judges the condition.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	fc.Put(s.variable, flow.BoolValue(s.condition.True(fc)))
	return nil
}
