package monetizationlimitscheck

import (
	"context"
	"errors"
	"path"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// limits are what the service says, by the name of the case.
var limits = map[string]policy.Limits{
	"blocked":          {Monetized: true, Blocked: "mint.service.subscription_not_found_for_developer"},
	"blocked-response": {Monetized: true, Blocked: "mint.service.subscription_not_found_for_developer"},
	"blocked-changes":  {Monetized: true, Blocked: "mint.service.subscription_not_found_for_developer"},
	"blocked-default":  {Monetized: true, Blocked: "mint.service.developer_usage_exceeds_balance", Subscribed: true, Balance: "0.00", Currency: "USD", Product: "gold"},
	"allowed": {Monetized: true, Subscribed: true, Balance: "20.00", Currency: "USD", Product: "gold",
		Start: time.UnixMilli(1700000000000), End: time.UnixMilli(1800000000000), Plan: "plan-1", PlanStart: time.UnixMilli(1690000000000)},
	"free": {},
}

type service string

func (s service) Limits(context.Context, *flow.Caller) (policy.Limits, error) {
	if s == "unavailable" {
		return policy.Limits{}, errors.New("store is down")
	}
	return limits[string(s)], nil
}

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if name := path.Base(t.Name()); name != "not-here" {
			return policy.Services{Monetization: service(name)}
		}
		return policy.Services{}
	}))
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<MonetizationLimitsCheck name="MLC"/>`, policy.Services{Monetization: service("allowed")})
	policytest.Bench(b, p, nil)
}
