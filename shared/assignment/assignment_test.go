package assignment_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/assignment"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// kind is a policy that is nothing but the grammar.
var kind = policy.Define("Assign", func(c *config, env *policy.Env) (policy.Policy, error) {
	names := assignment.Names{Policy: "Assign", Prefix: "steps.assign."}
	to := c.AssignTo.Compile(env, names)
	program := assignment.Compile(env, env.Policy.Root, &c.Changes, c.AssignVariable, assignment.Options{Names: names, To: c.AssignTo.Name})
	return policy.Func(func(ctx context.Context, fc *flow.Context) error {
		t, err := to.Target(fc)
		if err != nil {
			return err
		}
		return program.Run(ctx, fc, t)
	}), nil
})

type config struct {
	policy.Header
	AssignTo assignment.AssignTo `xml:"AssignTo"`
	assignment.Changes
	AssignVariable []assignment.Variable `xml:"AssignVariable"`
}

// TestDestination checks which message is changed.
func TestDestination(t *testing.T) {
	request := map[string][]byte{"request": []byte("PUT /v1/x\n")}
	response := map[string][]byte{"response": []byte("404 Not Found\n")}
	failed := map[string][]byte{"error": []byte("503 Service Unavailable\n")}
	null := map[string][]byte{"phase": []byte("proxy-response")}
	for _, tt := range []struct {
		to    string
		files map[string][]byte
		want  string // the message that has the header, and what else is in it
	}{
		{`<AssignTo/>`, request, "request PUT"},
		{`<AssignTo>message</AssignTo>`, request, "request PUT"},
		{`<AssignTo>request</AssignTo>`, response, "request GET"},
		{`<AssignTo/>`, response, "response 404"},
		{`<AssignTo/>`, failed, "error 503"},
		{`<AssignTo/>`, null, "response 200"},
		{`<AssignTo createNew="false">response</AssignTo>`, null, "response 200"},
		{`<AssignTo createNew="false">error</AssignTo>`, failed, "error 503"},
		{`<AssignTo>response</AssignTo>`, request, "response 200"},
		{`<AssignTo>error</AssignTo>`, request, "error 200"},
		{`<AssignTo createNew="true"/>`, request, "request GET"},
		{`<AssignTo createNew="true"/>`, response, "response 200"},
		{`<AssignTo createNew="true"/>`, failed, "error 503"},
		{`<AssignTo createNew="true" type="request"/>`, response, "request GET"},
		{`<AssignTo createNew="true" type="response"/>`, request, "response 200"},
		{`<AssignTo createNew="true" type="response"/>`, failed, "error 503"},
		{`<AssignTo createNew="true">message</AssignTo>`, response, "response 200"},
		{`<AssignTo createNew="true" type="response">request</AssignTo>`, request, "request GET"},
		{`<AssignTo createNew="true">mine</AssignTo>`, request, "mine GET"},
		{`<AssignTo createNew="true">mine</AssignTo>`, response, "mine 200"},
		{`<AssignTo createNew="true" type="request">mine</AssignTo>`, response, "mine GET"},
		{`<AssignTo createNew="false">response</AssignTo>`, request, "steps.assign.VariableOfNonMsgType"},
		{`<AssignTo createNew="false">mine</AssignTo>`, request, "steps.assign.VariableOfNonMsgType"},
	} {
		p := policytest.Compile(t, kind, `<Assign name="A">`+tt.to+`<Set><Headers><Header name="X-Here">1</Header></Headers></Set></Assign>`, policy.Services{})
		fc := policytest.Context(t, tt.files)
		got := ""
		var f *fault.Fault
		if err := p.Run(t.Context(), fc); errors.As(err, &f) {
			got = f.Code
		}
		for _, name := range []string{"request", "response", "error", "mine"} {
			if m := fc.MessageNamed(name); m != nil && m.Header.Has("X-Here") {
				got += name + " " + line(m)
			}
		}
		if got != tt.want {
			t.Errorf("%s in %v: %s, want %s", tt.to, tt.files, got, tt.want)
		}
	}
}

func line(m *message.Message) string {
	if m.IsRequest() {
		return m.Verb
	}
	return fmt.Sprint(m.Status)
}

// TestCopyLine copies what stands in the first line, to a message of the same
// kind only.
func TestCopyLine(t *testing.T) {
	const all = `<Verb>true</Verb><Path>true</Path><Version>true</Version><StatusCode>true</StatusCode><ReasonPhrase>true</ReasonPhrase>`
	for _, tt := range []struct{ source, to, want string }{
		{"request", "request", "PUT /v1/x 2.0"},
		{"request", "response", "200 OK 1.1"},
		{"response", "response", "418 Teapot 1.0"},
		{"response", "request", "GET / 1.1"},
	} {
		p := policytest.Compile(t, kind, `<Assign name="A"><AssignTo createNew="true" type="`+tt.to+`">mine</AssignTo><Copy source="`+tt.source+`">`+all+`</Copy></Assign>`, policy.Services{})
		fc := policytest.Context(t, map[string][]byte{"request": []byte("PUT /v1/x\n"), "response": []byte("418 Teapot\n")})
		fc.Request.Proto, fc.Response.Proto = "2.0", "1.0"
		if err := p.Run(t.Context(), fc); err != nil {
			t.Fatal(err)
		}
		m := fc.MessageNamed("mine")
		got := m.Verb + " " + m.Path + " " + m.Proto
		if !m.IsRequest() {
			got = fmt.Sprint(m.Status, " ", m.ReasonPhrase(), " ", m.Proto)
		}
		if got != tt.want {
			t.Errorf("%s to %s: %q, want %q", tt.source, tt.to, got, tt.want)
		}
	}
}

// TestCopySelections copies by name, by index and all, over what is there.
func TestCopySelections(t *testing.T) {
	for _, tt := range []struct{ copy, want string }{
		{`<Headers><Header name="x-a.2"/><Header name="X-B.2"/></Headers>`, "X-A: 2\nX-Old: 1\n"},
		{`<Headers><Header name="X-A"/></Headers>`, "X-Old: 1\nX-A: 1\nX-A: 2\n"},
		{`<Headers>true</Headers>`, "X-Old: 1\nX-A: 1\nX-A: 2\nContent-Type: application/x-www-form-urlencoded\n"},
		{`<Headers>false</Headers>`, "X-A: old\nX-Old: 1\n"},
		{`<QueryParams><QueryParam name="q.2"/><QueryParam name="r.2"/></QueryParams>`, "?q=2\nX-A: old\nX-Old: 1\n"},
		{`<QueryParams/>`, "?q=1&q=2\nX-A: old\nX-Old: 1\n"},
		{`<FormParams/>`, "X-A: old\nX-Old: 1\nContent-Type: application/x-www-form-urlencoded\n\nf=1&f=2\n"},
		{`<FormParams><FormParam name="f.1"/></FormParams>`, "X-A: old\nX-Old: 1\nContent-Type: application/x-www-form-urlencoded\n\nf=1\n"},
	} {
		p := policytest.Compile(t, kind, `<Assign name="A"><AssignTo>mine</AssignTo><Copy source="request">`+tt.copy+`</Copy></Assign>`, policy.Services{})
		fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/x?q=1&q=2\nX-A: 1\nX-A: 2\nContent-Type: application/x-www-form-urlencoded\n\nf=1&f=2\n")})
		mine := message.NewRequest()
		mine.Header.Add("X-A", "old")
		mine.Header.Add("X-Old", "1")
		fc.Put("mine", flow.MessageValue(mine))
		if err := p.Run(t.Context(), fc); err != nil {
			t.Fatal(err)
		}
		got := strings.TrimPrefix(strings.TrimPrefix(policytest.Print(mine), "GET /"), "\n")
		if got != tt.want {
			t.Errorf("%s gives\n%swant\n%s", tt.copy, got, tt.want)
		}
	}
}

// TestCopyFormToOther leaves a message alone that is no form.
func TestCopyFormToOther(t *testing.T) {
	p := policytest.Compile(t, kind, `<Assign name="A"><AssignTo>mine</AssignTo><Copy source="request"><FormParams/></Copy></Assign>`, policy.Services{})
	fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/x\nContent-Type: application/x-www-form-urlencoded\n\nf=1\n")})
	mine := message.NewRequest()
	mine.Header.Add("Content-Type", "application/json")
	mine.SetContent([]byte("{}"))
	fc.Put("mine", flow.MessageValue(mine))
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	if got := mine.Text(); got != "{}" {
		t.Errorf("content is %q", got)
	}
}

// TestUnreadablePayload passes on why a body cannot be copied: the pipeline
// knows what status that is.
func TestUnreadablePayload(t *testing.T) {
	p := policytest.Compile(t, kind, `<Assign name="A"><AssignTo>mine</AssignTo><Copy source="request"><Payload>true</Payload></Copy></Assign>`, policy.Services{})
	fc := policytest.Context(t, nil)
	fc.Request.Limit = 1
	fc.Request.SetStream(body{strings.NewReader("too long")}, -1)
	if err := p.Run(t.Context(), fc); !errors.Is(err, message.ErrTooBig) {
		t.Errorf("error is %v", err)
	}
}

type body struct{ *strings.Reader }

func (body) Close() error { return nil }

// TestFunctionFails turns the failure of a template's function into a fault.
func TestFunctionFails(t *testing.T) {
	p := policytest.Compile(t, kind, `<Assign name="A"><Set><Headers><Header name="X">{replaceAll(a,b,c)}</Header></Headers></Set></Assign>`, policy.Services{})
	fc := policytest.Context(t, nil)
	fc.PutText("a", "text")
	fc.PutText("b", "(")
	fc.PutText("c", "")
	f, _ := p.Run(t.Context(), fc).(*fault.Fault)
	if f == nil || f.Code != "steps.assign.SetVariableFailed" || f.Cause == nil {
		t.Errorf("fault is %v", f)
	}
}

// TestObserved tells a debug session of every change.
func TestObserved(t *testing.T) {
	p := policytest.Compile(t, kind, `<Assign name="A">
  <Set><Headers><Header name="X-A">1</Header></Headers><QueryParams><QueryParam name="q">2</QueryParam></QueryParams><Verb>PUT</Verb><Payload>p</Payload></Set>
  <Remove><Headers><Header name="X-B"/></Headers><QueryParams/><Payload>true</Payload></Remove>
  <AssignVariable><Name>v</Name><Value>3</Value></AssignVariable>
</Assign>`, policy.Services{})
	fc := policytest.Context(t, nil)
	var log events
	fc.Observe(&log)
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	want := "set message.header.X-A=1, set message.queryparam.q=2, set message.content=p, set message.verb=PUT, " +
		"remove message.header.X-B, remove message.queryparams, remove message.content, set v=3"
	if got := strings.Join(log, ", "); got != want {
		t.Errorf("events\n%s\nwant\n%s", got, want)
	}
}

type events []string

func (l *events) Observe(_ *flow.Context, e flow.Event) {
	switch e.Kind {
	case flow.VariableSet:
		*l = append(*l, "set "+e.Name+"="+e.Value.String())
	case flow.VariableRemove:
		*l = append(*l, "remove "+e.Name)
	}
}

// TestContentUsed says which bodies are touched, so that others stream.
func TestContentUsed(t *testing.T) {
	for xml, want := range map[string]string{
		`<Set><Headers><Header name="a">b</Header></Headers></Set>`:                                                              "false false",
		`<Set><Headers><Header name="a">{request.content}</Header></Headers></Set>`:                                              "true false",
		`<Set><Payload>x</Payload></Set>`:                                                                                        "true true",
		`<AssignTo>response</AssignTo><Set><Payload>x</Payload></Set>`:                                                           "false true",
		`<AssignTo>mine</AssignTo><Copy source="request"><Payload>true</Payload></Copy>`:                                         "true false",
		`<AssignTo>mine</AssignTo><Copy source="request"><Headers/></Copy>`:                                                      "false false",
		`<AssignTo>request</AssignTo><Remove><FormParams/></Remove>`:                                                             "true false",
		`<AssignTo>request</AssignTo><Add><FormParams><FormParam name="a">b</FormParam></FormParams></Add>`:                      "true false",
		`<AssignVariable><Name>response.content</Name><Value>x</Value></AssignVariable>`:                                         "false true",
		`<AssignTo>request</AssignTo><Set><QueryParams><QueryParam name="a">{response.content}</QueryParam></QueryParams></Set>`: "false true",
	} {
		root, err := bundle.ParseXML("policies/A.xml", []byte(`<Assign name="A">`+xml+`</Assign>`))
		if err != nil {
			t.Fatal(err)
		}
		var problems bundle.Problems
		env := policy.NewEnv("org", "test", &bundle.Bundle{}, policy.Services{}, &problems)
		kind.Build(&bundle.Policy{Name: "A", Kind: "Assign", Root: root}, env)
		req, resp := env.ContentUsed()
		if got := fmt.Sprint(req, " ", resp); got != want || problems.Err() != nil {
			t.Errorf("%s: %s, want %s (%v)", xml, got, want, problems)
		}
	}
}
