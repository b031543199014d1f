package assignmessage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if strings.HasSuffix(t.Name(), "/refused") {
			return policy.Services{}
		}
		return policy.Services{GoogleTokens: tokens{}}
	}))
}

// tokens are Google tokens that say what they were asked for.
type tokens struct{}

func (tokens) IDToken(_ context.Context, account, audience string, email bool) (string, error) {
	if strings.Contains(audience, "fails") {
		return "", fmt.Errorf("no token for %s", audience)
	}
	return fmt.Sprintf("id%s:%s:%v", account, audience, email), nil
}

func (tokens) AccessToken(_ context.Context, account string, scopes []string, lifetime time.Duration) (string, error) {
	return fmt.Sprintf("access%s:%s:%s", account, strings.Join(scopes, ","), lifetime), nil
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<AssignMessage name="AM-1">
  <Set><Headers>
    <Header name="X-A">a</Header>
    <Header name="X-B">{request.header.accept}</Header>
    <Header name="X-C">{proxy.basepath}/c</Header>
  </Headers></Set>
  <Remove><Headers><Header name="X-Gone"/></Headers></Remove>
  <AssignVariable><Name>v</Name><Ref>request.header.accept</Ref></AssignVariable>
</AssignMessage>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/a\nAccept: text/plain\n"})
}

func BenchmarkPayload(b *testing.B) {
	p := policytest.Compile(b, Kind, `<AssignMessage name="AM-1">
  <Set><Payload contentType="application/json">{"id":"{request.queryparam.id}","ok":true}</Payload></Set>
</AssignMessage>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/a?id=7\nAccept: text/plain\n"})
}
