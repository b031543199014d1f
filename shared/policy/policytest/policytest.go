// Package policytest runs policies against cases kept as text files. One file
// in testdata is one case: real policy XML in, a message and variables, and
// what must come out.
//
//	# Why this case exists, and the source of a surprising rule.
//	-- policy.xml --
//	<SetVariable name="SV-1"><Variable>pet</Variable></SetVariable>
//	-- request --
//	GET /v1/pets?id=7
//	Accept: text/plain
//
//	body
//	-- want --
//	pet =
//
// Sections:
//
//	policy.xml       the policy; required
//	request          the request: request line (absolute path), headers, blank line, body
//	response         the response: status line ("200 OK"), headers, blank line, body
//	error            an error message in the form of a response; the call is in the error flow
//	phase            proxy-request (default; target-response when there is a response),
//	                 target-request, target-response, proxy-response, post-client
//	vars             "name = value" lines, set before the policy runs; a value
//	                 int:5, bool:true, json-quoted "a\nb" or message:request / message:response
//	                 (an empty message) is converted
//	properties       "set.key = value" lines: property sets of the proxy
//	context          "basepath = /v1", "pathsuffix = /x", "proxy = name", "client.ip = 10.0.0.1",
//	                 "time = 2026-01-02T03:04:05Z" ...
//	resources/T/N    a resource file of the bundle
//	policies/N.xml   another policy of the bundle, which is not run
//	want             "name = value" lines checked after the policy ran; "name" alone must be
//	                 unset; a value json-quoted is unquoted
//	want.request     the request afterwards, in the form of the section request
//	want.response    the response afterwards
//	want.error       the error message afterwards, or the one that the fault brings
//	want.sent        the response as the client gets it, with what the policy changes
//	                 right before it is sent
//	want.answered    "no", "after segment" or "at once": the early answer
//	want.fault       "STATUS code" and on the next line the fault string; without the section
//	                 the policy must succeed
//	want.fault.header  the fields that the fault adds to the error response
//	want.body        the body that the client gets for the fault: the policy's own, or
//	                 the default of the fault
//	want.refused     the problems that refuse the deployment, one to a line
//	want.warned      the warnings, one to a line
package policytest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata with what came out")

// Now is the time in every case that does not set another.
var Now = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)

// Option changes how cases run.
type Option func(*runner)

// WithServices gives the policies services. make is called once per case.
func WithServices(make func(t *testing.T) policy.Services) Option {
	return func(r *runner) { r.services = make }
}

// WithKind makes other kinds known too, chosen by the root element.
func WithKind(k policy.Kind) Option {
	return func(r *runner) { r.kinds[k.Name] = k }
}

// WithMask changes what came out before it is compared, so that a case need not
// know what is made at random.
func WithMask(mask func(string) string) Option {
	return func(r *runner) { r.mask = mask }
}

type runner struct {
	kinds    policy.Kinds
	services func(t *testing.T) policy.Services
	mask     func(string) string
}

// Run runs every testdata/*.txtar of the package under test.
func Run(t *testing.T, kind policy.Kind, opts ...Option) {
	t.Helper()
	r := &runner{kinds: policy.NewKinds(kind), services: func(*testing.T) policy.Services { return policy.Services{} }, mask: func(s string) string { return s }}
	for _, o := range opts {
		o(r)
	}
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) { r.file(t, f) })
	}
}

func (r *runner) file(t *testing.T, name string) {
	ar, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got := r.run(t, ar)
	changed := false
	for i, f := range ar.Files {
		if !strings.HasPrefix(f.Name, "want") {
			continue
		}
		g, ok := got.section(f.Name, string(f.Data))
		if !ok {
			t.Fatalf("unknown section %q", f.Name)
		}
		g = r.mask(g)
		if strings.TrimRight(g, "\n") == strings.TrimRight(string(f.Data), "\n") {
			continue
		}
		if *update {
			ar.Files[i].Data, changed = []byte(g), true
			continue
		}
		t.Errorf("%s\ngot:\n%s\nwant:\n%s", f.Name, g, f.Data)
	}
	if !has(ar, "want.fault") && got.fault != nil {
		t.Errorf("unexpected fault: %v", got.fault)
	}
	if !has(ar, "want.refused") && got.refused != "" {
		t.Errorf("unexpected refusal:\n%s", got.refused)
	}
	if changed {
		if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type outcome struct {
	fc              *flow.Context
	fault           *fault.Fault
	refused, warned string
}

func (o *outcome) section(name, want string) (string, bool) {
	switch name {
	case "want":
		return o.variables(want), true
	case "want.fault":
		if o.fault == nil {
			return "", true
		}
		return fmt.Sprintf("%d %s\n%s\n", o.fault.Status, o.fault.Code, o.fault.Text), true
	case "want.fault.header":
		var b strings.Builder
		for i := 0; o.fault != nil && i < len(o.fault.Header); i++ {
			fmt.Fprintf(&b, "%s: %s\n", o.fault.Header[i].Name, o.fault.Header[i].Value)
		}
		return b.String(), true
	case "want.body":
		return o.body(), true
	case "want.refused":
		return o.refused, true
	case "want.warned":
		return o.warned, true
	}
	if o.fc == nil {
		return "(the policy was refused)", true
	}
	switch name {
	case "want.sent":
		return o.sent(), true
	case "want.answered":
		return [...]string{"no", "after segment", "at once"}[o.fc.Answered()] + "\n", true
	case "want.request":
		return Print(o.fc.Request), true
	case "want.response":
		return Print(o.fc.Response), true
	case "want.error":
		return Print(o.fc.Error), true
	}
	return "", false
}

// body is that of the error response, "" without a fault.
func (o *outcome) body() string {
	switch {
	case o.fault == nil:
		return ""
	case o.fault.Message != nil:
		return o.fault.Message.Text() + "\n"
	}
	return string(o.fault.JSON()) + "\n"
}

// sent is the response after all that waits for it to be sent.
func (o *outcome) sent() string {
	m := o.fc.Response
	if m == nil {
		m = o.fc.NewResponse()
	}
	o.fc.Finish(m)
	return Print(m)
}

func (o *outcome) variables(want string) string {
	if o.fc == nil {
		return "(the policy was refused)"
	}
	var b strings.Builder
	for line := range strings.Lines(want) {
		name, wanted, assigned := strings.Cut(strings.TrimRight(line, "\n"), " =")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			b.WriteString(line)
			continue
		}
		v := o.fc.Get(strings.TrimSpace(name))
		if v.IsNull() {
			fmt.Fprintln(&b, strings.TrimSpace(name))
			continue
		}
		text := v.String()
		if strings.HasPrefix(strings.TrimSpace(wanted), `"`) || strings.ContainsAny(text, "\n\r") || (!assigned && text == "") {
			text = strconv.Quote(text)
		}
		fmt.Fprintln(&b, strings.TrimRight(strings.TrimSpace(name)+" = "+text, " "))
	}
	return b.String()
}

func has(ar *txtar.Archive, name string) bool {
	for _, f := range ar.Files {
		if f.Name == name {
			return true
		}
	}
	return false
}

func (r *runner) run(t *testing.T, ar *txtar.Archive) *outcome {
	out := &outcome{}
	files := map[string][]byte{}
	for _, f := range ar.Files {
		files[f.Name] = f.Data
	}
	var problems bundle.Problems
	pol := r.compile(t, files, &problems)
	for _, p := range problems {
		if p.Warning {
			out.warned += p.String() + "\n"
		} else {
			out.refused += p.String() + "\n"
		}
	}
	if pol == nil || out.refused != "" {
		return out
	}
	out.fc = Context(t, files)
	err := pol.Run(t.Context(), out.fc)
	out.fc.Drain(context.Background())
	if err != nil && !errors.As(err, &out.fault) {
		t.Fatalf("Run returned an error that is no fault: %v", err)
	}
	if out.fault != nil {
		for _, v := range out.fault.FailedVariables {
			out.fc.Put(v, flow.BoolValue(true))
		}
		if out.fault.Message != nil {
			out.fc.Error = out.fault.Message
		}
	}
	return out
}

func (r *runner) compile(t *testing.T, files map[string][]byte, problems *bundle.Problems) policy.Policy {
	b := &bundle.Bundle{Kind: bundle.KindAPIProxy, Name: "test"}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data := files[name]
		if strings.HasPrefix(name, "policies/") {
			b.Policies = append(b.Policies, parsePolicy(t, name, data))
		}
		if rest, ok := strings.CutPrefix(name, "resources/"); ok {
			typ, n, _ := strings.Cut(rest, "/")
			b.Resources = append(b.Resources, &bundle.Resource{Type: typ, Name: n, File: name, Data: data})
		}
	}
	s := r.services(t)
	if s.Now == nil {
		now := clock(files)
		s.Now = func() time.Time { return now }
	}
	root, err := bundle.ParseXML("policies/policy.xml", bytes.TrimRight(files["policy.xml"], "\n"))
	if err != nil {
		problems.Add(bundle.Pos{File: "policies/policy.xml"}, err)
		return nil
	}
	k, ok := r.kinds[root.Name]
	if !ok {
		t.Fatalf("no kind <%s>", root.Name)
	}
	name, _ := root.Attr("name")
	p := &bundle.Policy{Name: name, Kind: root.Name, File: "policies/policy.xml", Root: root, Enabled: true}
	return k.Build(p, policy.NewEnv("org", "test", b, s, problems))
}

func parsePolicy(t *testing.T, file string, data []byte) *bundle.Policy {
	t.Helper()
	root, err := bundle.ParseXML(file, bytes.TrimRight(data, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	name, _ := root.Attr("name")
	return &bundle.Policy{Name: name, Kind: root.Name, File: file, Root: root, Enabled: true}
}

// Compile builds one policy from its XML with the given services, for
// benchmarks and tests that cases cannot express.
func Compile(t testing.TB, kind policy.Kind, xml string, s policy.Services, resources ...*bundle.Resource) policy.Policy {
	t.Helper()
	root, err := bundle.ParseXML("policies/policy.xml", []byte(xml))
	if err != nil {
		t.Fatal(err)
	}
	name, _ := root.Attr("name")
	var problems bundle.Problems
	b := &bundle.Bundle{Kind: bundle.KindAPIProxy, Name: "test", Resources: resources}
	p := &bundle.Policy{Name: name, Kind: root.Name, File: "policies/policy.xml", Root: root, Enabled: true}
	pol := kind.Build(p, policy.NewEnv("org", "test", b, s, &problems))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return pol
}

func clock(files map[string][]byte) time.Time {
	for name, value := range assignments(string(files["context"])) {
		if name == "time" {
			if at, err := time.Parse(time.RFC3339Nano, value); err == nil {
				return at
			}
		}
	}
	return Now
}

// Context makes the call that the sections request, response, error, phase,
// vars and context describe.
func Context(t testing.TB, files map[string][]byte) *flow.Context {
	t.Helper()
	now := clock(files)
	p := &flow.Proxy{Organization: "org", Environment: "test", Name: "proxy", Revision: "1", Endpoint: "default", BasePath: "/v1"}
	fc := flow.New(p, func() time.Time { return now })
	fc.Client = flow.Client{IP: "203.0.113.7", Port: 443, Host: "10.0.0.1", Scheme: "https"}
	fc.Virtual, fc.BasePath = "api.example.com", "/v1"
	if data, ok := files["request"]; ok {
		*fc.Request = *ParseMessage(t, message.Request, data)
	} else {
		fc.Request.Verb, fc.Request.Path = "GET", "/v1/test"
	}
	fc.RawURI = fc.Request.URI()
	fc.PathSuffix = strings.TrimPrefix(fc.Request.Path, fc.BasePath)
	if data, ok := files["response"]; ok {
		fc.Response = ParseMessage(t, message.Response, data)
		fc.Phase = flow.TargetResponse
	}
	if data, ok := files["error"]; ok {
		fc.Error, fc.InError = ParseMessage(t, message.Response, data), true
		fc.Fault = fault.New("steps.test.Failed", fc.Error.Status, "failed")
	}
	setPhase(t, fc, strings.TrimSpace(string(files["phase"])))
	for name, value := range assignments(string(files["context"])) {
		setContext(t, fc, p, name, value)
	}
	if data, ok := files["properties"]; ok {
		p.Properties = propertySets(maps.Collect(assignments(string(data))))
	}
	for name, value := range assignments(string(files["vars"])) {
		setVariable(fc, name, parseValue(t, value))
	}
	return fc
}

// setVariable sets a variable, or a property of a message set before; read-only
// ones are set all the same.
func setVariable(fc *flow.Context, name string, v flow.Value) {
	for i, c := range name {
		if c == '.' && fc.Get(name[:i]).Message() != nil && fc.Set(name, v) == nil {
			return
		}
	}
	fc.Put(name, v)
}

// propertySets are the values of property sets by "set.key".
type propertySets map[string]string

func (p propertySets) Property(set, key string) (string, bool) {
	v, ok := p[set+"."+key]
	return v, ok
}

func setPhase(t testing.TB, fc *flow.Context, phase string) {
	switch phase {
	case "":
	case "proxy-request":
		fc.Phase = flow.ProxyRequest
	case "target-request":
		fc.Phase = flow.TargetRequest
	case "target-response":
		fc.Phase = flow.TargetResponse
	case "proxy-response":
		fc.Phase = flow.ProxyResponse
	case "post-client":
		fc.Phase = flow.PostClient
	default:
		t.Fatalf("unknown phase %q", phase)
	}
}

func setContext(t testing.TB, fc *flow.Context, p *flow.Proxy, name, value string) {
	switch name {
	case "time":
	case "basepath":
		fc.BasePath, p.BasePath = value, value
		fc.PathSuffix = strings.TrimPrefix(fc.Request.Path, value)
	case "pathsuffix":
		fc.PathSuffix = value
	case "proxy":
		p.Name = value
	case "environment":
		p.Environment = value
	case "client.ip":
		fc.Client.IP = value
	case "host":
		fc.Virtual = value
	case "scheme":
		fc.Client.Scheme = value
	default:
		t.Fatalf("unknown context setting %q", name)
	}
}

// assignments yields the "name = value" lines in order.
func assignments(s string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for line := range strings.Lines(s) {
			line = strings.TrimRight(line, "\r\n")
			name, value, ok := strings.Cut(line, "=")
			if ok && !strings.HasPrefix(line, "#") && !yield(strings.TrimSpace(name), strings.TrimSpace(value)) {
				return
			}
		}
	}
}

func parseValue(t testing.TB, s string) flow.Value {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "int":
		if n, err := strconv.ParseInt(rest, 10, 64); err == nil {
			return flow.IntValue(n)
		}
	case "float":
		if f, err := strconv.ParseFloat(rest, 64); err == nil {
			return flow.FloatValue(f)
		}
	case "bool":
		return flow.BoolValue(rest == "true")
	case "message":
		if rest == "response" {
			return flow.MessageValue(message.NewResponse())
		}
		return flow.MessageValue(message.NewRequest())
	}
	if strings.HasPrefix(s, `"`) {
		u, err := strconv.Unquote(s)
		if err != nil {
			t.Fatalf("value %s: %v", s, err)
		}
		return flow.StringValue(u)
	}
	return flow.StringValue(s)
}

// ParseMessage reads the text form of a message.
func ParseMessage(t testing.TB, kind message.Kind, data []byte) *message.Message {
	t.Helper()
	head, body, hasBody := strings.Cut(string(data), "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	m := message.NewRequest()
	if kind == message.Response {
		m = message.NewResponse()
		code, reason, _ := strings.Cut(lines[0], " ")
		n, err := strconv.Atoi(code)
		if err != nil {
			t.Fatalf("status line %q", lines[0])
		}
		m.Status = n
		if reason != http.StatusText(n) {
			m.Reason = reason
		}
	} else {
		verb, uri, _ := strings.Cut(lines[0], " ")
		path, query, _ := strings.Cut(uri, "?")
		m.Verb, m.Path, m.Query = verb, path, message.ParseParams(query)
	}
	for _, l := range lines[1:] {
		name, value, ok := strings.Cut(l, ":")
		if !ok {
			t.Fatalf("header line %q", l)
		}
		m.Header.Add(name, strings.TrimSpace(value))
	}
	if hasBody {
		m.SetContent([]byte(strings.TrimSuffix(body, "\n")))
	}
	return m
}

// Print writes a message in the form ParseMessage reads.
func Print(m *message.Message) string {
	if m == nil {
		return "(none)\n"
	}
	var b strings.Builder
	if m.IsRequest() {
		fmt.Fprintf(&b, "%s %s\n", m.Verb, m.URI())
	} else {
		fmt.Fprintf(&b, "%d %s\n", m.Status, m.ReasonPhrase())
	}
	body := m.Text() // first: form parameters may set the content type
	for name, value := range m.Header.All() {
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	if body != "" {
		fmt.Fprintf(&b, "\n%s\n", body)
	}
	return b.String()
}

// Bench benchmarks a policy over a call described as Context describes it. Each
// iteration runs on the same call.
func Bench(b *testing.B, p policy.Policy, files map[string]string) {
	b.Helper()
	data := map[string][]byte{}
	for k, v := range files {
		data[k] = []byte(v)
	}
	fc := Context(b, data)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Run(ctx, fc); err != nil {
			b.Fatal(err)
		}
	}
}
