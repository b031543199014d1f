package validatesamlassertion

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
	"github.com/perigee-gateway/perigee/shared/saml/samltest"
)

func services(*testing.T) policy.Services { return policy.Services{Keys: samltest.Keys{}} }

func TestCases(t *testing.T) { policytest.Run(t, Kind, policytest.WithServices(services)) }

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, samltest.Policy, policy.Services{Keys: samltest.Keys{}})
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/a\nContent-Type: text/xml\n\n" + samltest.Envelope(samltest.Sign(b, samltest.Text, "signer"))})
}
