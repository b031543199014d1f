package decodejws

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// BenchmarkRun decodes a small JWS.
func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<DecodeJWS name="JWS-1"/>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/a\nAuthorization: Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.aGVsbG8sIHdvcmxk.aL_FvTJbTEZDlbgHKdQg2-R2M50KR8rYSptOitvoC00\n"})
}
