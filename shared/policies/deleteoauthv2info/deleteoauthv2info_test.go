package deleteoauthv2info_test

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/oauth/oauthtest"
	"github.com/perigee-gateway/perigee/shared/policies/deleteoauthv2info"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, deleteoauthv2info.Kind, policytest.WithServices(oauthtest.Cases), policytest.WithMask(oauthtest.Mask))
}

// BenchmarkRun removes a token that is issued before.
func BenchmarkRun(b *testing.B) {
	e := oauthtest.World(b)
	p := policytest.Compile(b, deleteoauthv2info.Kind, `<DeleteOAuthV2Info name="OA-1"><AccessToken ref="x"/></DeleteOAuthV2Info>`, e.Services())
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		token, err := e.Issue(b.Context(), oauthtest.Request("client_credentials", "app"))
		if err != nil {
			b.Fatal(err)
		}
		fc := policytest.Context(b, map[string][]byte{"vars": []byte("x = " + token.Text)})
		b.StartTimer()
		if err := p.Run(b.Context(), fc); err != nil {
			b.Fatal(err)
		}
	}
}
