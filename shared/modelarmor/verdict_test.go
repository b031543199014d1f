package modelarmor

import (
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// FuzzJudge: an answer that does not say that nothing was found lets nothing past.
func FuzzJudge(f *testing.F) {
	for _, s := range []string{
		"", "{}", "null", "[]", `{"sanitizationResult":{}}`, `{"sanitizationResult":{"filterMatchState":"NO_MATCH_FOUND"}}`,
		`{"sanitizationResult":{"filterMatchState":"MATCH_FOUND","filterResults":{"rai":{"raiFilterResult":{"matchState":"MATCH_FOUND"}}}}}`,
		`{"sanitizationResult":{"filterMatchState":"NO_MATCH_FOUND","filterResults":[{"sdpFilterResult":{"inspectResult":{"findings":[1]}}}]}}`,
		`{"sanitizationResult":{"filterMatchState":"NO_MATCH_FOUND","filterResults":{"a":5}}}`,
		`{"sanitizationResult":{"filterMatchState":"NO_MATCH_FOUND","invocationResult":"FAILURE","sanitizationMetadata":{"errorCode":1}}}`,
	} {
		f.Add(s)
	}
	s := &Step{subject: Subject{Faults: "steps.sanitize.user.prompt."}, prefix: "SanitizeUserPrompt.p.", failed: "failed"}
	f.Fuzz(func(t *testing.T, answer string) {
		fc := flow.New(&flow.Proxy{}, time.Now)
		err := s.judge(fc, []byte(answer))
		if state := fc.Text("SanitizeUserPrompt.p.filterMatchState"); err == nil && state != noMatchFound {
			t.Fatalf("%q passes with the state %q", answer, state)
		}
		if err == nil && !strings.Contains(answer, "NO_MATCH") && !strings.Contains(answer, `\u`) {
			t.Fatalf("%q passes", answer)
		}
	})
}
