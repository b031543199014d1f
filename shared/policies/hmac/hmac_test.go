package hmac

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// BenchmarkRun verifies the hash of a small body.
func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<HMAC name="HMAC-1">
  <Algorithm>SHA256</Algorithm>
  <SecretKey ref="private.key"/>
  <Message>{request.content}</Message>
  <VerificationValue encoding="hex" ref="request.header.x-signature"/>
</HMAC>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{
		"request": "POST /v1/a\nX-Signature: a7938720fe5749d31076e6961360364c0cd271443f1b580779932c244293bc94\n\nabc",
		"vars":    "private.key = Secret123",
	})
}
