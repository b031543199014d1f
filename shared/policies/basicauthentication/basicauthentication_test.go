package basicauthentication

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<BasicAuthentication name="BA-1">
  <Operation>Decode</Operation>
  <User ref="user"/><Password ref="password"/>
  <Source>request.header.Authorization</Source>
</BasicAuthentication>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/a\nAuthorization: Basic YWthc2g6MTIz\n"})
}

// FuzzParse checks that what is encoded is decoded, and that nothing else is
// made of it.
func FuzzParse(f *testing.F) {
	f.Add("user", "pass:word", "Basic dTpw")
	f.Add("", "", "basic  dTpw==")
	f.Fuzz(func(t *testing.T, user, password, header string) {
		if !strings.Contains(user, ":") {
			u, p, ok := parse("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
			if !ok || u != user || p != password {
				t.Errorf("%q:%q comes back as %q:%q %v", user, password, u, p, ok)
			}
		}
		if u, p, ok := parse(header); !ok && u+p != "" && strings.Contains(u+p, ":") {
			t.Errorf("%q: not valid, but %q:%q", header, u, p)
		}
	})
}
