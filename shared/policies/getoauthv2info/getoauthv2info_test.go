package getoauthv2info_test

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/oauth/oauthtest"
	"github.com/perigee-gateway/perigee/shared/policies/getoauthv2info"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, getoauthv2info.Kind, policytest.WithServices(oauthtest.Cases), policytest.WithMask(oauthtest.Mask))
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, getoauthv2info.Kind, `<GetOAuthV2Info name="OA-1"><AccessToken ref="x"/></GetOAuthV2Info>`, oauthtest.World(b).Services())
	policytest.Bench(b, p, map[string]string{"vars": "x = good"})
}
