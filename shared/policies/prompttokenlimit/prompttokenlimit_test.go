package prompttokenlimit

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func TestTokens(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "   ": 0, "Hi": 1, "Hello, world!": 4, "internationalization": 4, "12345": 2, "a1b2": 4,
		"x=1;": 4, "日本語": 3, "Grüße": 1, "naïve café": 2, "안녕": 2, "👍🏽": 2, "one two three four": 4,
	} {
		if got := countTokens(text); got != want {
			t.Errorf("%q: %d tokens, want %d", text, got, want)
		}
	}
}

// TestRate has prompts of so many one-letter words at so many milliseconds;
// "!" marks those refused.
func TestRate(t *testing.T) {
	for _, tt := range []struct{ elements, prompts string }{
		{`<Rate>600pm</Rate>`, "0:50 0:50 0:1! 4099:1! 4100:1 5000:600 60000:1! 65000:1"},
		{`<Rate>100ps</Rate>`, "0:1 0:1 0:8 0:1! 100:1 100:101!"},
		{`<Rate ref="r">1ps</Rate>`, "0:10 0:1! 999:1! 1000:10 1999:1!"},
		{`<Rate>100pm</Rate><UseEffectiveCount>true</UseEffectiveCount>`, "0:60 0:40 0:1! 0:0 59999:1! 119999:99"},
		{`<Rate>60pm</Rate><Identifier ref="id"/>`, "0:60@a 0:1@a! 0:60@b 0:60 0:1!"},
	} {
		t.Run(tt.elements, func(t *testing.T) {
			p := policytest.Compile(t, Kind, `<PromptTokenLimit name="PTL-1">`+tt.elements+`<UserPromptSource>{prompt}</UserPromptSource><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables></PromptTokenLimit>`, policy.Services{})
			var got []string
			for _, c := range strings.Fields(tt.prompts) {
				c = strings.TrimSuffix(c, "!")
				rest, id, _ := strings.Cut(c, "@")
				var ms, n int
				if _, err := fmt.Sscanf(rest, "%d:%d", &ms, &n); err != nil {
					t.Fatal(err)
				}
				fc := flow.New(&flow.Proxy{}, func() time.Time { return policytest.Now.Add(time.Duration(ms) * time.Millisecond) })
				fc.PutText("prompt", strings.Repeat("a ", n))
				fc.PutText("r", "10ps")
				fc.PutText("id", id)
				var f *fault.Fault
				if err := p.Run(t.Context(), fc); errors.As(err, &f) {
					if f.Code != "policies.prompttokenlimit.PromptTokenLimitViolation" || f.Status != 429 {
						t.Error(f)
					}
					c += "!"
				}
				got = append(got, c)
			}
			if s := strings.Join(got, " "); s != tt.prompts {
				t.Errorf("got  %s\nwant %s", s, tt.prompts)
			}
		})
	}
}

func FuzzTokens(f *testing.F) {
	f.Add("Hello, 世界 123")
	f.Fuzz(func(t *testing.T, s string) {
		if n := countTokens(s); n < 0 || n > int64(len(s)) {
			t.Errorf("%q: %d tokens", s, n)
		}
	})
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<PromptTokenLimit name="PTL-1"><Rate>200000000ps</Rate><UseEffectiveCount>true</UseEffectiveCount></PromptTokenLimit>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/x\n\n" + `{"contents":[{"parts":[{"text":"` + strings.Repeat("Why is the sky blue? ", 20) + `"}]}]}`})
}
