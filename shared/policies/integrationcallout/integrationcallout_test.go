package integrationcallout

import (
	"context"
	"testing"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/integration"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// runs answers at once. What the API itself is sent is tested in package
// integration.
type runs struct{}

func (runs) Run(context.Context, string, *policy.IntegrationCall) (*message.Message, string, error) {
	return message.NewResponse(), "https://us-east1-integrations.googleapis.com/", nil
}

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(*testing.T) policy.Services {
		return policy.Services{Integrations: runs{}}
	}))
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<IntegrationCallout name="IC-1"><Request clearPayload="false">request</Request><Response>r</Response></IntegrationCallout>`, policy.Services{Integrations: runs{}})
	policytest.Bench(b, prepared{p}, nil)
}

// prepared puts a request before the policy.
type prepared struct{ policy.Policy }

var call = &policy.IntegrationCall{Region: "us-east1", Name: "n"}

func (p prepared) Run(ctx context.Context, fc *flow.Context) error {
	integration.Put(fc, "request", call)
	return p.Policy.Run(ctx, fc)
}
