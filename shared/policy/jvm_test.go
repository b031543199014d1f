package policy_test

import (
	"context"
	"errors"
	"testing"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

type jvm struct{ err error }

func (j jvm) Compile(*bundle.Policy, func(string) ([]byte, error)) (policy.Policy, error) {
	return policy.Func(func(context.Context, *flow.Context) error { return nil }), j.err
}

// TestOnJVM refuses what needs Java where there is none, with what it is, and
// hands it over where there is.
func TestOnJVM(t *testing.T) {
	kind := policy.OnJVM("XSL", func(root *bundle.Element) string { return root.Child("ResourceURL").Text })
	root, err := bundle.ParseXML("policies/X.xml", []byte("<XSL name='X'>\n<ResourceURL>xsl://a.xsl</ResourceURL></XSL>"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		jvm  policy.JVM
		want string
	}{
		{nil, "policies/X.xml:1: <XSL> xsl://a.xsl: it needs a Java virtual machine, which this gateway does not have"},
		{jvm{errors.New("does not compile")}, "policies/X.xml:1: does not compile"},
		{jvm{}, ""},
	} {
		var problems bundle.Problems
		env := policy.NewEnv("org", "test", &bundle.Bundle{}, policy.Services{JVM: tt.jvm}, &problems)
		p := kind.Build(&bundle.Policy{Name: "X", Kind: "XSL", File: "policies/X.xml", Root: root}, env)
		got := ""
		if len(problems) > 0 {
			got = problems[0].String()
		}
		if got != tt.want || (p == nil) != (tt.want != "") {
			t.Errorf("%v: %q, want %q", tt.jvm, got, tt.want)
		}
		if req, resp := env.ContentUsed(); tt.jvm != nil && !(req && resp) {
			t.Error("bodies are not buffered")
		}
	}
}
