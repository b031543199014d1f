package basicauthentication

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<BasicAuthentication name="BA-1">
  <Operation>Decode</Operation>
  <User ref="user"/><Password ref="password"/>
  <Source>request.header.Authorization</Source>
</BasicAuthentication>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/a\nAuthorization: Basic YWthc2g6MTIz\n"})
}
