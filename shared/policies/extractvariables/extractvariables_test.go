package extractvariables

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<ExtractVariables name="EV-1">
  <URIPath><Pattern>/accounts/{id}/orders/{order}</Pattern></URIPath>
  <QueryParam name="code"><Pattern ignoreCase="true">DBN{dbncode}</Pattern></QueryParam>
  <Header name="Authorization"><Pattern>Bearer {token}</Pattern></Header>
  <VariablePrefix>my</VariablePrefix>
</ExtractVariables>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/accounts/12/orders/7?code=DBN88271\nAuthorization: Bearer abc\n"})
}

func BenchmarkJSON(b *testing.B) {
	p := policytest.Compile(b, Kind, `<ExtractVariables name="EV-1">
  <JSONPayload><Variable name="lat" type="float"><JSONPath>$.results[0].location.lat</JSONPath></Variable></JSONPayload>
</ExtractVariables>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/a\nContent-Type: application/json\n\n" + `{"results":[{"location":{"lat":37.42,"lng":-122.08}}],"status":"OK"}`})
}
