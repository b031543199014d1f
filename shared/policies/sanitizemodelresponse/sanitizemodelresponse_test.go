package sanitizemodelresponse

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
	p := policytest.Compile(t, Kind, `<SanitizeModelResponse name="SMR-1"><ModelArmor><TemplateName>projects/p/locations/l/templates/t</TemplateName></ModelArmor>
		<LLMResponseSource>hi</LLMResponseSource></SanitizeModelResponse>`, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var f *fault.Fault
	if err := p.Run(ctx, policytest.Context(t, nil)); !errors.As(err, &f) || f.Code != "flow.APITimedOut" || f.Status != 504 {
		t.Errorf("fault is %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	s := googleresttest.Services(b, http.HandlerFunc(modelarmortest.Handler))
	p := policytest.Compile(b, Kind, `<SanitizeModelResponse name="SMR-1"><ModelArmor><TemplateName>projects/p/locations/l/templates/t</TemplateName></ModelArmor><LLMResponseSource>{jsonPath('$.candidates[-1].content.parts[-1].text',response.content,true)}</LLMResponseSource></SanitizeModelResponse>`, s)
	policytest.Bench(b, p, map[string]string{"response": "200 OK\n\n" + `{"candidates":[{"content":{"parts":[{"text":"It scatters."}]}}]}`})
}
