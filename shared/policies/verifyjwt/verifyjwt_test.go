package verifyjwt

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policies/generatejwt"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// BenchmarkRun verifies a token with eight claims: cold, each token for the
// first time, and warm, one that was seen before.
func BenchmarkRun(b *testing.B) {
	token, key := flow.Compile("jwt.G.generated_jwt"), flow.Compile("private.check")
	for _, bb := range []struct{ alg, private, public, make, check string }{
		{"HS256", strings.Repeat("k", 32), strings.Repeat("k", 32), `<SecretKey><Value ref="private.key"/></SecretKey>`, `<SecretKey><Value ref="private.check"/></SecretKey>`},
		{"RS256", file(b, "rsa.pem"), file(b, "rsa.pub.pem"), `<PrivateKey><Value ref="private.key"/></PrivateKey>`, `<PublicKey><Value ref="private.check"/></PublicKey>`},
		{"ES256", file(b, "p256.pem"), file(b, "p256.pub.pem"), `<PrivateKey><Value ref="private.key"/></PrivateKey>`, `<PublicKey><Value ref="private.check"/></PublicKey>`},
	} {
		vars := "private.key = " + strconv.Quote(bb.private) + "\nprivate.check = " + strconv.Quote(bb.public) + "\n"
		fc := policytest.Context(b, map[string][]byte{"vars": []byte(vars)})
		make := policytest.Compile(b, generatejwt.Kind, `<GenerateJWT name="G"><Algorithm>`+bb.alg+`</Algorithm>`+bb.make+`
  <Subject>joe</Subject><Issuer>urn://apigee</Issuer><Audience>a,b</Audience><ExpiresIn>1h</ExpiresIn><NotBefore>0s</NotBefore><Id/>
  <AdditionalClaims><Claim name="scope">read write</Claim></AdditionalClaims>
</GenerateJWT>`, policy.Services{})
		check := policytest.Compile(b, Kind, `<VerifyJWT name="V"><Algorithm>`+bb.alg+`</Algorithm>`+bb.check+`
  <Source>jwt.G.generated_jwt</Source><Issuer>urn://apigee</Issuer><Audience>a</Audience>
</VerifyJWT>`, policy.Services{})
		generate := func() {
			if err := make.Run(b.Context(), fc); err != nil {
				b.Fatal(err)
			}
		}
		verify := func() {
			call := flow.New(&flow.Proxy{}, fc.Now)
			call.Put("jwt.G.generated_jwt", token.Get(fc))
			call.Put("private.check", key.Get(fc))
			if err := check.Run(b.Context(), call); err != nil {
				b.Fatal(err)
			}
			call.Release()
		}
		b.Run(bb.alg+"/cold", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				generate()
				b.StartTimer()
				verify()
			}
		})
		b.Run(bb.alg+"/warm", func(b *testing.B) {
			generate()
			verify()
			b.ReportAllocs()
			for b.Loop() {
				verify()
			}
		})
	}
}

// file reads a key of package jwt.
func file(b *testing.B, name string) string {
	b.Helper()
	data, err := os.ReadFile("../../jwt/testdata/" + name)
	if err != nil {
		b.Fatal(err)
	}
	return string(data)
}
