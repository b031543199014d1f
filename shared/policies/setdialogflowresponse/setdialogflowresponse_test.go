package setdialogflowresponse

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<SetDialogflowResponse name="SDR"><Source>upstream</Source><NaturalLanguageResponse><Phrases><Phrase><Ref>text</Ref></Phrase></Phrases></NaturalLanguageResponse>
		<Parameters><Parameter name="a"><Value>1</Value></Parameter></Parameters></SetDialogflowResponse>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"response": "200 OK\n\n{\"a\":1}", "vars": "text = hello\nupstream = message:response\n"})
}
