package parsedialogflowrequest

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// TestVariables tells a debug session of variables that can be read.
func TestVariables(t *testing.T) {
	root, err := jsonpath.ParseString(`{"sessionInfo":{"session":"s"},"fulfillmentInfo":{"tag":"t"},"languageCode":"en"}`)
	if err != nil {
		t.Fatal(err)
	}
	v, n := &variables{root: root}, 0
	for name, val := range v.Variables() {
		n++
		if got := v.Variable(name); got.String() != val.String() {
			t.Errorf("%s is %q, told %q", name, got, val)
		}
	}
	if n != 3 {
		t.Errorf("%d variables", n)
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<ParseDialogflowRequest name="PDR"/>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": `POST /v1/x

{"fulfillmentInfo":{"tag":"claim"},"sessionInfo":{"parameters":{"claimAmount":100,"last-name":"Doe"}}}`})
}
