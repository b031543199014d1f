package readpropertyset

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<ReadPropertySet name="RP-1"><Read><Name>my</Name><Key ref="key"/><AssignTo>v</AssignTo></Read></ReadPropertySet>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"properties": "my.host = h", "vars": "key = host"})
}
