package xsl

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

const xml = `<XSL name="X"><ResourceURL>xsl://a.xsl</ResourceURL></XSL>`

func resource(text string) *bundle.Resource {
	return &bundle.Resource{Type: "xsl", Name: "a.xsl", File: "resources/xsl/a.xsl", Data: []byte(text)}
}

const identity = `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
<xsl:template match="@*|node()"><xsl:copy><xsl:apply-templates select="@*|node()"/></xsl:copy></xsl:template></xsl:stylesheet>`

// jvm is a virtual machine that counts what it was asked to compile.
type jvm struct{ compiled int }

func (j *jvm) Compile(p *bundle.Policy, resources func(string) ([]byte, error)) (policy.Policy, error) {
	j.compiled++
	_, err := resources("xsl://a.xsl")
	return policy.Func(func(context.Context, *flow.Context) error { return nil }), err
}

// TestJVM leaves to a virtual machine what is not supported, and nothing else.
func TestJVM(t *testing.T) {
	for sheet, want := range map[string]int{
		identity: 0,
		strings.Replace(identity, "<xsl:template", "<xsl:mode/><xsl:template", 1): 1,
	} {
		j := &jvm{}
		policytest.Compile(t, Kind, xml, policy.Services{JVM: j}, resource(sheet))
		if j.compiled != want {
			t.Errorf("compiled %d times, want %d: %s", j.compiled, want, sheet)
		}
	}
}

// TestDeadline ends with the call and is no fault of the stylesheet then.
func TestDeadline(t *testing.T) {
	p := policytest.Compile(t, Kind, xml, policy.Services{}, resource(identity))
	fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/x\nContent-Type: text/xml\n\n<a>" + strings.Repeat("<b/>", 10000) + "</a>")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx, fc); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, xml, policy.Services{}, resource(strings.Replace(identity, "<xsl:template", `<xsl:output omit-xml-declaration="yes"/><xsl:template`, 1)))
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/x\nContent-Type: application/xml\n\n<order id=\"1\"><item>a &amp; b</item><item>c</item></order>"})
}
