package assertcondition

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<AssertCondition name="AC-1"><Condition>request.verb = "GET" and request.header.accept ~ "*/json"</Condition></AssertCondition>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/a\nAccept: application/json\n"})
}
