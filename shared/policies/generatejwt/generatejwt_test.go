package generatejwt

import (
	"os"
	"strconv"
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// BenchmarkRun generates a token with five claims.
func BenchmarkRun(b *testing.B) {
	for _, bb := range []struct{ name, key, vars string }{
		{"HS256", `<SecretKey><Value ref="private.key"/></SecretKey>`, "0123456789abcdef0123456789abcdef"},
		{"RS256", `<PrivateKey><Value ref="private.key"/></PrivateKey>`, pem(b, "rsa.pem")},
		{"ES256", `<PrivateKey><Value ref="private.key"/></PrivateKey>`, pem(b, "p256.pem")},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p := policytest.Compile(b, Kind, `<GenerateJWT name="JWT-1">
  <Algorithm>`+bb.name+`</Algorithm>`+bb.key+`
  <Subject ref="request.queryparam.user"/><Issuer>urn://apigee</Issuer><Audience>fans</Audience><ExpiresIn>1h</ExpiresIn>
  <AdditionalClaims><Claim name="show">And now for something completely different.</Claim></AdditionalClaims>
</GenerateJWT>`, policy.Services{})
			policytest.Bench(b, p, map[string]string{"request": "GET /v1/a?user=joe\n", "vars": "private.key = " + bb.vars})
		})
	}
}

// pem reads a key of package jwt on one line.
func pem(b *testing.B, name string) string {
	b.Helper()
	data, err := os.ReadFile("../../jwt/testdata/" + name)
	if err != nil {
		b.Fatal(err)
	}
	return strconv.Quote(string(data))
}
