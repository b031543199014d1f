package revokeoauthv2_test

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/oauth/oauthtest"
	"github.com/perigee-gateway/perigee/shared/policies/revokeoauthv2"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, revokeoauthv2.Kind, policytest.WithServices(oauthtest.Cases), policytest.WithMask(oauthtest.Mask))
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, revokeoauthv2.Kind, `<RevokeOAuthV2 name="OA-1"><AppId ref="x"/></RevokeOAuthV2>`, oauthtest.World(b).Services())
	policytest.Bench(b, p, map[string]string{"vars": "x = app"})
}
