package setintegrationrequest

import (
	"encoding/json"
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// FuzzValue: what is accepted is JSON, whatever the value holds.
func FuzzValue(f *testing.F) {
	f.Add("a\"b\x00\xff")
	f.Add("12")
	f.Add("1e5")
	f.Add("{}")
	f.Fuzz(func(t *testing.T, s string) {
		for k := range field {
			if b, ok := k.append(nil, s); ok && !json.Valid(b) {
				t.Errorf("%s %q gives %s", k, s, b)
			}
			if b, _, ok := k.appendAll(nil, []string{s, s}); ok && !json.Valid(b) {
				t.Errorf("list of %s %q gives %s", k, s, b)
			}
		}
	})
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<SetIntegrationRequest name="SI-1"><IntegrationName>n</IntegrationName>
	  <IntegrationRegion>us-east1</IntegrationRegion><ApiTrigger>api_trigger/t</ApiTrigger>
	  <Parameters><Parameter name="a" type="string" ref="request.verb"/><Parameter name="b" type="integer">1</Parameter></Parameters>
	  </SetIntegrationRequest>`, policy.Services{})
	policytest.Bench(b, p, nil)
}
