package generatejws

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// BenchmarkRun signs a small payload.
func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<GenerateJWS name="JWS-1">
  <Algorithm>HS256</Algorithm>
  <SecretKey><Value ref="private.key"/><Id>k1</Id></SecretKey>
  <Payload>{"user":"{request.queryparam.user}"}</Payload>
</GenerateJWS>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/a?user=joe\n", "vars": "private.key = 0123456789abcdef0123456789abcdef"})
}
