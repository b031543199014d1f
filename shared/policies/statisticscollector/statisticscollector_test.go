package statisticscollector

import (
	"fmt"
	"testing"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// records makes what is recorded the variables recorded.NAME.
type records struct{}

func (records) Record(fc *flow.Context, name string, value any) {
	fc.Set("recorded."+name, flow.StringValue(fmt.Sprintf("%T %v", value, value)))
}

func (records) Reserved(name string) bool { return name == "apiproxy" }

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if t.Name() == "TestCases/no_analytics" {
			return policy.Services{}
		}
		return policy.Services{Analytics: records{}}
	}))
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<StatisticsCollector name="SC-1"><Statistics>
  <Statistic name="user" ref="request.header.x-user" type="string">none</Statistic>
  <Statistic name="weight" ref="n" type="integer">0</Statistic>
</Statistics></StatisticsCollector>`, policy.Services{Analytics: drop{}})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/orders/7\nX-User: ann\n", "vars": "n = 12"})
}

type drop struct{ records }

func (drop) Record(*flow.Context, string, any) {}
