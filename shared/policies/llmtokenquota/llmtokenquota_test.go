package llmtokenquota

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/counter/countertest"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if strings.HasSuffix(t.Name(), "unavailable") {
			return policy.Services{Quotas: down{}}
		}
		q, _ := countertest.New(t, func() time.Time { return policytest.Now })
		return policy.Services{Quotas: q}
	}))
}

type down struct{ policy.Quotas }

func (down) Use(context.Context, policy.QuotaRequest) (policy.QuotaResult, error) {
	return policy.QuotaResult{}, errors.New("store is down")
}
func (down) Settle(context.Context) {}

const common = `<Allow count="1000" countRef="verifyapikey.VA-1.apiproduct.developer.llmQuota.limit"/>
<Interval ref="verifyapikey.VA-1.apiproduct.developer.llmQuota.interval">1</Interval>
<TimeUnit ref="verifyapikey.VA-1.apiproduct.developer.llmQuota.timeunit">minute</TimeUnit>
<Distributed>true</Distributed><Synchronous>true</Synchronous><StartTime>2013-08-21 10:00:00</StartTime>
<LLMModelSource>{model}</LLMModelSource><SharedName>common-counter</SharedName>`

// TestSample counts responses and then refuses requests, as the sample
// llm-token-limits-v2 does.
func TestSample(t *testing.T) {
	now := policytest.Now
	q, _ := countertest.New(t, func() time.Time { return now })
	s := policy.Services{Quotas: q}
	enforce := policytest.Compile(t, Kind, `<LLMTokenQuota name="LTQ-Enforce" type="calendar"><EnforceOnly>true</EnforceOnly>`+common+`</LLMTokenQuota>`, s)
	count := policytest.Compile(t, Kind, `<LLMTokenQuota name="LTQ-Count" type="calendar"><CountOnly>true</CountOnly>
		<LLMTokenUsageSource>{jsonPath('$.usageMetadata.candidatesTokenCount',response.content,true)}</LLMTokenUsageSource>`+common+`</LLMTokenQuota>`, s)
	call := func(tokens int) (string, *fault.Fault) {
		now = now.Add(time.Second)
		fc := policytest.Context(t, map[string][]byte{
			"request": []byte("POST /v1/x\n"), "vars": []byte("model = gemini\n"),
			"context":  []byte("time = " + now.Format(time.RFC3339Nano) + "\n"),
			"response": fmt.Appendf(nil, "200 OK\nContent-Type: application/json\n\n{\"usageMetadata\":{\"candidatesTokenCount\":%d}}", tokens),
		})
		var f *fault.Fault
		if err := enforce.Run(t.Context(), fc); errors.As(err, &f) {
			return fc.Text("ratelimit.LTQ-Enforce.used.count"), f
		}
		if err := count.Run(t.Context(), fc); err != nil {
			t.Fatal(err)
		}
		return fc.Text("ratelimit.LTQ-Count.used.count"), nil
	}
	for i, want := range []string{"400", "800", "1200"} {
		if used, f := call(400); f != nil || used != want {
			t.Errorf("call %d: %s used, %v", i, used, f)
		}
	}
	used, f := call(1)
	if f == nil || f.Status != 429 || f.Code != "policies.llmtokenquota.LLMTokenQuotaViolation" ||
		f.Text != "Rate limit LLM Token quota violation. Quota limit exceeded. Identifier : _default" || used != "1200" {
		t.Errorf("%s used, %v", used, f)
	}
	now = now.Add(time.Minute)
	if _, f := call(1); f != nil {
		t.Error(f)
	}
}

func BenchmarkRun(b *testing.B) {
	q, _ := countertest.New(b, time.Now)
	p := policytest.Compile(b, Kind, `<LLMTokenQuota name="LTQ-1"><Allow count="1000000000000"/><TimeUnit>month</TimeUnit>
		<LLMTokenUsageSource>{jsonPath('$.usageMetadata.totalTokenCount',response.content,true)}</LLMTokenUsageSource></LLMTokenQuota>`, policy.Services{Quotas: q})
	policytest.Bench(b, p, map[string]string{"response": "200 OK\n\n{\"usageMetadata\":{\"totalTokenCount\":12}}"})
}
