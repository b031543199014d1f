package httpmodifier

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<HTTPModifier name="HM-1">
  <Set><Headers><Header name="X-A">{request.verb}</Header></Headers></Set>
  <Remove><Headers><Header name="X-Gone"/></Headers></Remove>
</HTTPModifier>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/a\nAccept: text/plain\n"})
}
