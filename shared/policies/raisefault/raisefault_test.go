package raisefault

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<RaiseFault name="RF-1"><FaultResponse><Set>
  <Headers><Header name="X-Why">{request.verb}</Header></Headers>
  <Payload contentType="application/json">{"error":"not found"}</Payload>
  <StatusCode>404</StatusCode><ReasonPhrase>Not Found</ReasonPhrase>
</Set></FaultResponse></RaiseFault>`, policy.Services{})
	fc := policytest.Context(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Run(b.Context(), fc); err == nil {
			b.Fatal("no fault")
		}
	}
}
