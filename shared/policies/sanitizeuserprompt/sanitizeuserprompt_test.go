package sanitizeuserprompt

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/googlerest/googleresttest"
	"github.com/perigee-gateway/perigee/shared/modelarmor/modelarmortest"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if strings.HasSuffix(t.Name(), "/not_offered") {
			return policy.Services{}
		}
		s := googleresttest.Services(t, http.HandlerFunc(modelarmortest.Handler))
		if strings.HasSuffix(t.Name(), "/no_token") {
			s.GoogleTokens = googleresttest.NoTokens{}
		}
		return s
	}))
}

// TestDeadline checks that the time of the call bounds that of Model Armor, and
// that nothing goes on unjudged then.
func TestDeadline(t *testing.T) {
	release := make(chan struct{})
	s := googleresttest.Services(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer close(release)
	p := policytest.Compile(t, Kind, `<SanitizeUserPrompt name="SUP-1"><ModelArmor><TemplateName>projects/p/locations/l/templates/t</TemplateName></ModelArmor>
		<UserPromptSource>hi</UserPromptSource></SanitizeUserPrompt>`, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var f *fault.Fault
	if err := p.Run(ctx, policytest.Context(t, nil)); !errors.As(err, &f) || f.Code != "flow.APITimedOut" || f.Status != 504 {
		t.Errorf("fault is %v", err)
	}
}

// TestLargeAnswer checks that an answer without end is not read to its end.
func TestLargeAnswer(t *testing.T) {
	s := googleresttest.Services(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for line := []byte(strings.Repeat(" ", 1<<16)); ; {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}))
	p := policytest.Compile(t, Kind, `<SanitizeUserPrompt name="SUP-1"><ModelArmor><TemplateName>projects/p/locations/l/templates/t</TemplateName></ModelArmor>
		<UserPromptSource>hi</UserPromptSource></SanitizeUserPrompt>`, s)
	var f *fault.Fault
	if err := p.Run(t.Context(), policytest.Context(t, nil)); !errors.As(err, &f) || f.Code != "steps.sanitize.modelarmor.ModelArmorCalloutError" {
		t.Errorf("fault is %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	s := googleresttest.Services(b, http.HandlerFunc(modelarmortest.Handler))
	p := policytest.Compile(b, Kind, `<SanitizeUserPrompt name="SUP-1"><ModelArmor><TemplateName>projects/p/locations/l/templates/t</TemplateName></ModelArmor></SanitizeUserPrompt>`, s)
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/x\n\n" + `{"contents":[{"parts":[{"text":"Why is the sky blue?"}]}]}`})
}
