package sanitizeuserprompt

import (
	"net/http"
	"testing"

	"github.com/perigee-gateway/perigee/shared/googlerest/googleresttest"
	"github.com/perigee-gateway/perigee/shared/modelarmor/modelarmortest"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestPolicy(t *testing.T) {
	modelarmortest.Run(t, Kind, `<SanitizeUserPrompt name="SUP-1"><ModelArmor><TemplateName>projects/p/locations/l/templates/t</TemplateName></ModelArmor>
		<UserPromptSource>hi</UserPromptSource></SanitizeUserPrompt>`)
}

func BenchmarkRun(b *testing.B) {
	s := googleresttest.Services(b, http.HandlerFunc(modelarmortest.Handler))
	p := policytest.Compile(b, Kind, `<SanitizeUserPrompt name="SUP-1"><ModelArmor><TemplateName>projects/p/locations/l/templates/t</TemplateName></ModelArmor></SanitizeUserPrompt>`, s)
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/x\n\n" + `{"contents":[{"parts":[{"text":"Why is the sky blue?"}]}]}`})
}
