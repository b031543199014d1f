// Package concurrentratelimit refuses the <ConcurrentRatelimit> policy, as Apigee X
// does: it is Edge's. It counted connections that were open to a target at the same
// time; instances that come and go with the load have no such count. What it was
// for SpikeArrest does, or the maximum of instances and of requests for each.
//
// Source: https://docs.apigee.com/api-platform/reference/policies/concurrent-rate-limit-policy
package concurrentratelimit

import "github.com/perigee-gateway/perigee/shared/policy"

const reason = "Apigee X does not have this policy of Edge; use SpikeArrest, or bound the instances and their concurrency"

// The spellings of the root element: that of Apigee, and one that linters know.
var (
	Kind      = policy.Refuse("ConcurrentRatelimit", reason)
	OtherKind = policy.Refuse("ConcurrentRateLimit", reason)
)
