package oauthv2_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/oauth/oauthtest"
	"github.com/perigee-gateway/perigee/shared/policies/oauthv2"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, oauthv2.Kind, policytest.WithServices(oauthtest.Cases), policytest.WithMask(oauthtest.Mask))
}

const verify = `<OAuthV2 name="OA-1"><Operation>VerifyAccessToken</Operation><Scope>read</Scope></OAuthV2>`

var secret = strings.Repeat("k", 32)

// BenchmarkRun has the operations that calls run into: verification of a token
// that was seen before, opaque and JWT, and of one that was not; issuing.
func BenchmarkRun(b *testing.B) {
	call := map[string]string{"request": "GET /v1/pets/1\nAuthorization: Bearer good\n"}
	b.Run("VerifyAccessToken/warm", func(b *testing.B) {
		e := oauthtest.World(b)
		p := policytest.Compile(b, oauthv2.Kind, verify, e.Services())
		before := e.Store.Counts().Reads
		policytest.Bench(b, p, call)
		b.ReportMetric(float64(e.Store.Counts().Reads-before)/float64(b.N), "reads/op")
	})
	b.Run("VerifyAccessToken/cold", func(b *testing.B) {
		e := oauthtest.World(b)
		p := policytest.Compile(b, oauthv2.Kind, verify, e.Services())
		policytest.Bench(b, policy.Func(func(ctx context.Context, fc *flow.Context) error {
			e.Drop()
			return p.Run(ctx, fc)
		}), call)
	})
	b.Run("VerifyJWTAccessToken/warm", func(b *testing.B) {
		e := oauthtest.World(b)
		p := policytest.Compile(b, oauthv2.Kind, jwtOperation("VerifyJWTAccessToken"), e.Services())
		before := e.Store.Counts().Reads
		policytest.Bench(b, p, map[string]string{
			"request": "GET /v1/pets/1\nAuthorization: Bearer " + mint(b, e) + "\n", "vars": "private.key = " + strconv.Quote(secret),
		})
		b.ReportMetric(float64(e.Store.Counts().Reads-before)/float64(b.N), "reads/op")
	})
	b.Run("GenerateAccessToken", func(b *testing.B) {
		p := policytest.Compile(b, oauthv2.Kind, `<OAuthV2 name="OA-1"><Operation>GenerateAccessToken</Operation><ExpiresIn>1800000</ExpiresIn>
  <SupportedGrantTypes><GrantType>client_credentials</GrantType></SupportedGrantTypes><GenerateResponse/></OAuthV2>`, oauthtest.World(b).Services())
		policytest.Bench(b, p, map[string]string{"request": tokenRequest})
	})
}

const tokenRequest = "POST /v1/token\nContent-Type: application/x-www-form-urlencoded\nAuthorization: Basic YXBwLWtleTphcHAtc2VjcmV0\n\ngrant_type=client_credentials\n"

func jwtOperation(name string) string {
	return `<OAuthV2 name="OA-1"><Operation>` + name + `</Operation><Algorithm>HS256</Algorithm><SecretKey><Value ref="private.key"/></SecretKey>` +
		map[bool]string{true: `<SupportedGrantTypes><GrantType>client_credentials</GrantType></SupportedGrantTypes>`}[strings.HasPrefix(name, "Generate")] + `</OAuthV2>`
}

// mint makes a JWT access token of the app.
func mint(t testing.TB, e *oauthtest.Env) string {
	t.Helper()
	p := policytest.Compile(t, oauthv2.Kind, jwtOperation("GenerateJWTAccessToken"), e.Services())
	fc := policytest.Context(t, map[string][]byte{"request": []byte(tokenRequest), "vars": []byte("private.key = " + strconv.Quote(secret))})
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	return fc.Get("oauthv2accesstoken.OA-1.access_token").String()
}

// The budget of store reads, held: see DESIGN, "Budgets". A verified token costs
// no read; what it allocates does not depend on the token.
func TestSteadyState(t *testing.T) {
	e := oauthtest.World(t)
	for _, c := range []struct {
		xml, token string
		allocs     float64
	}{{verify, "good", 0}, {jwtOperation("VerifyJWTAccessToken"), mint(t, e), 2}} {
		p := policytest.Compile(t, oauthv2.Kind, c.xml, e.Services())
		fc := policytest.Context(t, map[string][]byte{
			"request": []byte("GET /v1/pets/1\nAuthorization: Bearer " + c.token + "\n"), "vars": []byte("private.key = " + strconv.Quote(secret)),
		})
		e.Changed()
		const calls = 1000
		before := e.Store.Counts().Reads
		for range calls {
			if err := p.Run(t.Context(), fc); err != nil {
				t.Fatal(err)
			}
		}
		if reads := e.Store.Counts().Reads - before; reads == 0 || float64(reads)/calls > 0.01 {
			t.Errorf("%d reads for %d calls", reads, calls)
		}
		if n := testing.AllocsPerRun(100, func() { _ = p.Run(t.Context(), fc) }); n > c.allocs {
			t.Errorf("%v allocations a call, at most %v", n, c.allocs)
		}
	}
}
