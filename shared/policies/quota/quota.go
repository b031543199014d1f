// Package quota implements the <Quota> policy: it allows so many requests in an
// interval of time, counted over all instances.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/quota-policy
//
// Each proxy, policy (or SharedName), class and identifier has its own counter.
// Never more than the limit are let through, whatever Distributed and Synchronous
// say: without Synchronous an instance takes what it will use within the next
// seconds from the counter at once, and a request may be refused for about a
// second while another instance has some left.
//
// Variables (ratelimit.P.): allowed.count, used.count, available.count,
// exceed.count and total.exceed.count (1 once it is too much), expiry.time (the
// end of the interval in ms), identifier, failed; with a <Class> also class,
// class.allowed.count, class.used.count, class.available.count,
// class.exceed.count, class.total.exceed.count.
//
// Faults, which set ratelimit.P.failed:
//
//   - policies.ratelimit.QuotaViolation (429): it is too much
//   - policies.ratelimit.FailedToResolveQuotaIntervalReference (500): there is no
//     interval
//   - policies.ratelimit.FailedToResolveQuotaIntervalTimeUnitReference (500):
//     there is no unit of time
//   - policies.ratelimit.InvalidMessageWeight (500): the weight is no whole number
//   - policies.ratelimit.QuotaUnavailable (503): the counter cannot be reached.
//     Perigee's own: Apigee lets the request through
//
// Refused at deployment: InvalidQuotaInterval, InvalidQuotaTimeUnit,
// InvalidQuotaType, InvalidStartTime, StartTimeNotSupported,
// InvalidTimeUnitForDistributedQuota,
// InvalidSynchronizeIntervalForAsyncConfiguration,
// InvalidAsynchronizeConfigurationForSynchronousQuota.
package quota

import (
	"context"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/ratelimit"
)

// Kind is the Quota policy.
var Kind = policy.Define("Quota", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	ratelimit.Settings
	// MessageWeight is how many requests this one counts for: the variable in
	// ref, else the content, else 1. One of weight 0 counts nothing.
	MessageWeight ratelimit.Ref `xml:"MessageWeight,once"`
}

type step struct {
	quota     *ratelimit.Quota
	weightRef flow.Var
	weight    int64
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{quota: c.Compile(env, env.Name(), ratelimit.Requests), weight: 1}
	if ref := strings.TrimSpace(c.MessageWeight.Ref); ref != "" {
		s.weightRef = env.Var(ref)
	}
	if text := strings.TrimSpace(c.MessageWeight.Text); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			env.Errorf(c.MessageWeight.Pos, "InvalidMessageWeight: <MessageWeight> is %q, want a whole number", text)
		}
		s.weight = n
	}
	return s, nil
}

// Run counts the request.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	weight := s.weight
	if !s.weightRef.IsZero() {
		if v := s.weightRef.Get(fc); !v.IsNull() {
			n, ok := v.Int()
			if !ok || n < 0 {
				return s.quota.Fault("InvalidMessageWeight", 500, "Invalid message weight value "+v.String())
			}
			weight = n
		}
	}
	return s.quota.Run(ctx, fc, weight)
}
