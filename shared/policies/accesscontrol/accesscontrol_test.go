package accesscontrol

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<AccessControl name="ACL-1"><IPRules noRuleMatchAction="DENY">
  <MatchRule action="DENY"><SourceAddress mask="32">198.51.100.1</SourceAddress></MatchRule>
  <MatchRule action="ALLOW"><SourceAddress mask="24">198.51.100.1</SourceAddress></MatchRule>
</IPRules></AccessControl>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/a\nX-Forwarded-For: 198.51.100.7\n"})
}
