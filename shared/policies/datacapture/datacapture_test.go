package datacapture

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// records makes what is recorded the variables recorded.NAME.
type records struct{}

func (records) Record(fc *flow.Context, name string, value any) {
	fc.Set("recorded."+name, flow.StringValue(fmt.Sprintf("%T %v", value, value)))
}

func (records) Reserved(string) bool { return false }

// collectors are of the type their name ends with; dc_none does not exist.
type collectors struct{}

func (collectors) Collector(name string) (string, bool) {
	return strings.ToUpper(name[strings.LastIndexByte(name, '_')+1:]), name != "dc_none"
}

func services(t *testing.T) policy.Services {
	switch t.Name() {
	case "TestCases/no_analytics":
		return policy.Services{}
	case "TestCases/lint":
		return policy.Services{Analytics: records{}}
	}
	return policy.Services{Analytics: records{}, Collectors: collectors{}}
}

func TestCases(t *testing.T) { policytest.Run(t, Kind, policytest.WithServices(services)) }

// TestTooMany leaves out what is over 100 values, and says so.
func TestTooMany(t *testing.T) {
	var b strings.Builder
	for i := range 101 {
		fmt.Fprintf(&b, `<Capture><DataCollector>dc_%d_integer</DataCollector><Collect ref="n"/></Capture>`, i)
	}
	for _, throw := range []bool{false, true} {
		p := policytest.Compile(t, Kind, fmt.Sprintf(`<DataCapture name="DC-1"><ThrowExceptionOnLimit>%t</ThrowExceptionOnLimit>%s</DataCapture>`, throw, &b), services(t))
		fc := flow.New(&flow.Proxy{}, time.Now)
		fc.Set("n", flow.StringValue("7"))
		err := p.Run(t.Context(), fc)
		if throw != (err != nil) {
			t.Errorf("throw=%t: %v", throw, err)
		}
		if got := fc.Get("recorded.dc_99_integer").String(); got != "int64 7" {
			t.Errorf("the 100th: %q", got)
		}
		if got := fc.Get("recorded.dc_100_integer"); !got.IsNull() {
			t.Errorf("the 101st: %q", got.String())
		}
		if got := fc.Get("dataCapturePolicyErrors").String(); throw == (got == "DataCapture DC-1 captures more than 100 values") {
			t.Errorf("throw=%t: errors %q", throw, got)
		}
		fc.Release()
	}
}

// TestUnreadable has a body that breaks off: no case can say that.
func TestUnreadable(t *testing.T) {
	p := policytest.Compile(t, Kind, `<DataCapture name="DC-1"><Capture><DataCollector>dc_a_string</DataCollector>
		<Collect><Source>request</Source><JSONPayload><JSONPath>$.a</JSONPath></JSONPayload></Collect></Capture></DataCapture>`, services(t))
	fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/a\nContent-Type: application/json\n")})
	fc.Request.SetStream(io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)), -1)
	var f *fault.Fault
	if err := p.Run(t.Context(), fc); !errors.As(err, &f) || f.Code != "steps.datacapture.ExtractionFailure" || f.Status != 500 {
		t.Errorf("fault is %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<DataCapture name="DC-1"><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables>
  <Capture><DataCollector>dc_a_integer</DataCollector><Collect ref="n" default="0"/></Capture>
  <Capture><DataCollector>dc_b_string</DataCollector><Collect><Header name="X-User"/></Collect></Capture>
  <Capture><DataCollector>dc_c_string</DataCollector><Collect><URIPath><Pattern>/orders/{$}</Pattern></URIPath></Collect></Capture>
</DataCapture>`, policy.Services{Analytics: drop{}, Collectors: collectors{}})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/orders/7\nX-User: ann\n", "vars": "n = 12"})
}

type drop struct{ records }

func (drop) Record(*flow.Context, string, any) {}
