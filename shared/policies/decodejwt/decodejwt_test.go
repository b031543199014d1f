package decodejwt

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// BenchmarkRun decodes a token with five claims.
func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<DecodeJWT name="JWT-1"/>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/a\nAuthorization: Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiJqb2UiLCJpc3MiOiJtZSIsImF1ZCI6InlvdSIsImlhdCI6MTc3NTA0NDc5MCwiZXhwIjoxNzc1MDQ1NDAwfQ.c2lnbmF0dXJl\n"})
}
