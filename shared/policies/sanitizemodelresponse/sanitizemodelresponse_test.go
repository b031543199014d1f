package sanitizemodelresponse

import (
	"net/http"
	"testing"

	"github.com/perigee-gateway/perigee/shared/googlerest/googleresttest"
	"github.com/perigee-gateway/perigee/shared/modelarmor/modelarmortest"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestPolicy(t *testing.T) {
	modelarmortest.Run(t, Kind, `<SanitizeModelResponse name="SMR-1"><ModelArmor><TemplateName>projects/p/locations/l/templates/t</TemplateName></ModelArmor>
		<LLMResponseSource>hi</LLMResponseSource></SanitizeModelResponse>`)
}

func BenchmarkRun(b *testing.B) {
	s := googleresttest.Services(b, http.HandlerFunc(modelarmortest.Handler))
	p := policytest.Compile(b, Kind, `<SanitizeModelResponse name="SMR-1"><ModelArmor><TemplateName>projects/p/locations/l/templates/t</TemplateName></ModelArmor><LLMResponseSource>{jsonPath('$.candidates[-1].content.parts[-1].text',response.content,true)}</LLMResponseSource></SanitizeModelResponse>`, s)
	policytest.Bench(b, p, map[string]string{"response": "200 OK\n\n" + `{"candidates":[{"content":{"parts":[{"text":"It scatters."}]}}]}`})
}
