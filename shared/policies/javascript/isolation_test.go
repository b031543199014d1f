package javascript

import (
	"sync"
	"testing"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// Nothing that a script leaves behind is there in the next execution: not a
// global, not a changed prototype, not a replaced built-in or host object.
func TestIsolation(t *testing.T) {
	p := inline(t, `
var before = [typeof leak, typeof leak2, [].leak, ({}).leak, ''.leak, (function() {}).leak, Math.leak, JSON.leak, context.leak,
	typeof Array.isArray, typeof JSON.parse, typeof print, /a/.leak, Object.isFrozen(Array), typeof context.session.leak, new Date(0).leak].join();
context.setVariable('before', before);
var leak = 1; this.leak2 = 2; globalThis.leak = 1; let lexical = 1;
Array.prototype.leak = Object.prototype.leak = String.prototype.leak = Function.prototype.leak = Math.leak = JSON.leak = RegExp.prototype.leak = Date.prototype.leak = 'leaked';
delete Array.isArray; JSON.parse = 1; print = null; Object.freeze(Array);
context.leak = 'leaked';
context = null;
`)
	const want = "undefined,undefined,,,,,,,,function,function,function,,false,undefined,"
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				fc := policytest.Context(t, nil)
				if err := p.Run(t.Context(), fc); err != nil {
					t.Error(err)
				}
				if got := fc.Text("before"); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				fc.Drain(t.Context())
				fc.Release()
			}
		})
	}
	wg.Wait()
}

// watcher keeps what scripts print.
type watcher struct{ out []string }

func (w *watcher) Observe(_ *flow.Context, e flow.Event) {
	if e.Kind == flow.Output {
		w.out = append(w.out, e.Name)
	}
}

func TestPrint(t *testing.T) {
	p := inline(t, `print('a', 1, {toString: function() { return 'o'; }}, null); print();`)
	fc := policytest.Context(t, nil)
	var w watcher
	fc.Observe(&w)
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	if len(w.out) != 2 || w.out[0] != "a 1 o null" || w.out[1] != "" {
		t.Errorf("%q", w.out)
	}
	fc.Observe(nil)
	if err := p.Run(t.Context(), fc); err != nil || len(w.out) != 2 {
		t.Errorf("%v %q", err, w.out)
	}
}

func TestUsesContent(t *testing.T) {
	for _, tt := range []struct {
		script            string
		request, response bool
	}{
		{"var a = 1;", false, false},
		{"context.setVariable('a', context.getVariable('request.header.x'));", false, false},
		{"context.setVariable('a', context.getVariable('request.header.' + name));", false, false},
		{"context.getVariable('flow.' + name)", false, false},
		{"context.getVariable(`queue.${name}`)", false, false},
		{"context.setVariable(name, 1)", true, true},
		{"context.getVariable('request.' + name)", true, false},
		{"context.getVariable('req' + name)", true, true},
		{"context.getVariable('request.content')", true, false},
		{"context.getVariable('request.' + 'content')", true, false},
		{"context.getVariable('response.content')", false, true},
		{"context.setVariable('error.content', '')", false, true},
		{"context.getVariable('message.content')", true, true},
		{"context.getVariable('request.formparam.a')", true, false},
		{"context.getVariable('request')", true, false},
		{"context.setVariable('a', JSON.parse(context.getVariable('response.content')).b)", false, true},
		{"request.headers['content'] = 1", false, false},
		{"request.content", true, false},
		{"context.proxyRequest.body.asJSON", true, false},
		{"context.targetResponse.content.asXML", false, true},
		{"response['content'] = 'a'", false, true},
		{"var r = request; r.body = 'a'", true, true},
		{"JSON.parse(x).content", false, false},
		{"f(context.targetResponse); function f(m) { return m.content }", true, true},
		{"const {content} = request;", true, true},
		{"const {body: b} = context.proxyRequest;", true, true},
		{"var o = {content: 1}; o.content", false, false},
		{"var m = {a: response}; m.a.content", true, true},
		{"function f(request) { return request.a.content }", true, true},
		{"var c = context; c.targetResponse.content", false, true},
		{"context['proxy' + 'Request'].content", true, true},
		{"request.queryParams.a = request.headers.b; response.status.code = 200;", false, false},
		{"var get = context.getVariable; get('x')", true, true},
		{"eval('request.content')", true, true},
		{"new Function('return 1')()", true, true},
		{"httpClient.get('http://a', function(r, e) { context.setVariable('a', r.status.code) })", false, false},
	} {
		root, err := bundle.ParseXML("policies/p.xml", []byte(`<Javascript name="JS-1"><ResourceURL>jsc://a.js</ResourceURL></Javascript>`))
		if err != nil {
			t.Fatal(err)
		}
		var problems bundle.Problems
		env := policy.NewEnv("org", "test", &bundle.Bundle{Resources: []*bundle.Resource{source("a.js", tt.script)}}, policy.Services{Callouts: &outbound{}}, &problems)
		if Kind.Build(&bundle.Policy{Name: "JS-1", Root: root}, env) == nil {
			t.Fatal(problems)
		}
		if req, resp := env.ContentUsed(); req != tt.request || resp != tt.response {
			t.Errorf("%s: %v, %v", tt.script, req, resp)
		}
	}
}
