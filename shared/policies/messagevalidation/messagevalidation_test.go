package messagevalidation

import (
	"context"
	"testing"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// jvm is a virtual machine that knows what it was asked to compile.
type jvm struct{ schema string }

func (j *jvm) Compile(p *bundle.Policy, resources func(string) ([]byte, error)) (policy.Policy, error) {
	data, err := resources("xsd://s.xsd")
	j.schema = p.Name + " " + string(data)
	return policy.Func(func(context.Context, *flow.Context) error { return nil }), err
}

// TestJVM leaves schemas to the virtual machine, where there is one.
func TestJVM(t *testing.T) {
	var j jvm
	p := policytest.Compile(t, Kind, `<MessageValidation name="MV"><ResourceURL>xsd://s.xsd</ResourceURL></MessageValidation>`,
		policy.Services{JVM: &j}, &bundle.Resource{Type: "xsd", Name: "s.xsd", Data: []byte("<schema/>")})
	if err := p.Run(t.Context(), policytest.Context(t, nil)); err != nil || j.schema != "MV <schema/>" {
		t.Errorf("%v, compiled %q", err, j.schema)
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<MessageValidation name="MV"/>`, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/x\nContent-Type: application/xml\n\n<order id=\"1\"><item>a &amp; b</item><item>c</item></order>"})
}
