package javascript

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// outbound is policy.Callouts over net/http.
type outbound struct {
	client *http.Client
	ssl    *bundle.SSLInfo
}

func (o *outbound) Do(ctx context.Context, url string, req *message.Message) (*message.Message, error) {
	body, _ := req.Content()
	hr, err := http.NewRequestWithContext(ctx, req.Verb, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range req.Header.All() {
		hr.Header.Add(name, value)
	}
	resp, err := o.client.Do(hr)
	if err != nil {
		return nil, fault.New("messaging.adaptors.http.flow.ServiceUnavailable", 503, "The Service is temporarily unavailable").WithCause(err)
	}
	m := message.NewResponse()
	m.Status = resp.StatusCode
	for name, values := range resp.Header {
		m.Header.SetValues(name, values)
	}
	m.SetStream(resp.Body, -1)
	return m, nil
}

func (o *outbound) Compile(c *bundle.HTTPTargetConnection, env *policy.Env) policy.Callout {
	o.ssl = c.SSLInfo
	return secured{o, env.Name()}
}

type secured struct {
	*outbound
	policy string
}

func (s secured) Send(ctx context.Context, fc *flow.Context, req *message.Message) (*message.Message, error) {
	m, err := s.Do(ctx, fc.Text("servicecallout."+s.policy+".target.url"), req)
	if m != nil {
		m.Header.Set("X-Secured", "true")
	}
	return m, err
}

// echo answers with what it was sent; /slow waits until the request is given up.
func echo(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/slow") {
			<-r.Context().Done()
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/fail" {
			w.WriteHeader(404)
		}
		fmt.Fprintf(w, `{"method":%q,"uri":%q,"header":%q,"body":%q}`, r.Method, r.URL.RequestURI(), strings.Join(r.Header["X-A"], ","), body)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestHTTPClient(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"get", `
			var x = httpClient.get('BASE/a?b=c');
			x.waitForComplete();
			var r = x.getResponse();
			out(x.isComplete(), x.isSuccess(), x.isError(), x.getError(), r.status.code, r.status == 200, r.headers['content-type'], r.content.asJSON.uri, JSON.parse(r.content).method);`,
			"true,true,false,,200,true,application/json,/a?b=c,GET"},
		{"send", `
			var q = new Request('BASE/p', 'POST', {'X-A': ['1', '2'], 'Content-Type': 'text/plain'}, 'hello');
			var x = httpClient.send(q);
			q.body = 'changed afterwards';
			x.waitForComplete();
			out(x.getResponse().content.asJSON.method, x.getResponse().content.asJSON.header, x.getResponse().content.asJSON.body, q.url.slice(-2), q.method, q.headers['x-a'].length());`,
			"POST,1,2,hello,/p,POST,2"},
		{"a request is made in steps", `
			var q = new Request('BASE/p');
			q.method = 'PUT'; q.headers['X-A'] = 'z'; q.body = JSON.stringify({a: 1}); q.path = '/q'; q.url = q.url + '?r';
			var x = httpClient.send(q); x.waitForComplete();
			var j = x.getResponse().content.asJSON;
			out(j.method, j.uri, j.header, j.body);`,
			`PUT,/q?r,z,{"a":1}`},
		{"a status is no error", `var x = httpClient.get('BASE/fail'); x.waitForComplete(); out(x.isSuccess(), x.getResponse().status.code);`, "true,404"},
		{"no connection", `
			var x = httpClient.get('http://127.0.0.1:1/'); x.waitForComplete();
			out(x.isSuccess(), x.isError(), x.getError(), x.getResponse());`,
			"false,true,The Service is temporarily unavailable,"},
		{"concurrently", `
			var all = []; for (var i = 0; i < 10; i++) all.push(httpClient.get('BASE/' + i));
			out(all.map(function(x) { x.waitForComplete(); return x.getResponse().content.asJSON.uri; }).join(''));`,
			"/0/1/2/3/4/5/6/7/8/9"},
		{"callbacks after the script", `
			var order = ['top'];
			httpClient.get('BASE/a', function(response, error) {
				order.push(response.content.asJSON.uri, error === undefined);
				httpClient.send(new Request('BASE/b', 'DELETE'), function(response) { order.push(response.content.asJSON.method); out(order); });
			});
			order.push('end');`,
			"top,end,/a,true,DELETE"},
		{"callback with an error", `httpClient.get('http://127.0.0.1:1/', function(response, error) { out(typeof response, error); });`, "undefined,The Service is temporarily unavailable"},
		{"waiting for a while", `var x = httpClient.get('BASE/slow'); x.waitForComplete(1); out(x.isComplete(), x.isSuccess(), x.isError(), x.getResponse(), x.getError());`, "false,false,false,,"},
		{"not a URL", `try { httpClient.get('/a'); } catch (e) { out(e.message); }`, "httpClient: /a is not an absolute http or https URL"},
		{"not http", `try { httpClient.get('file:///etc/passwd'); } catch (e) { out(e.message); }`, "httpClient: file:///etc/passwd is not an absolute http or https URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			script := "function out() { context.setVariable('out', Array.prototype.slice.call(arguments).join()); }\n" + tt.script
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			s := echo(t)
			p := policytest.Compile(t, Kind, `<Javascript name="JS-1" timeLimit="20000"><ResourceURL>jsc://a.js</ResourceURL></Javascript>`,
				policy.Services{Callouts: &outbound{client: s.Client()}}, source("a.js", strings.ReplaceAll(script, "BASE", s.URL)))
			fc := policytest.Context(t, nil)
			if err := p.Run(ctx, fc); err != nil {
				t.Fatal(err)
			}
			if got := fc.Text("out"); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
			cancel() // what is still under way ends before the call does
			fc.Drain(t.Context())
		})
	}
}

func TestHTTPClientTimeLimit(t *testing.T) {
	s := echo(t)
	p := policytest.Compile(t, Kind, `<Javascript name="JS-1" timeLimit="50"><ResourceURL>jsc://a.js</ResourceURL></Javascript>`,
		policy.Services{Callouts: &outbound{client: s.Client()}}, source("a.js", `httpClient.get('`+s.URL+`/slow').waitForComplete(); context.setVariable('out', 'x');`))
	ctx, cancel := context.WithCancel(t.Context())
	fc := policytest.Context(t, nil)
	err := p.Run(ctx, fc)
	cancel()
	fc.Drain(t.Context())
	if want := "steps.javascript.ScriptExecutionFailed: Execution of JS-1 failed with error: Javascript runtime exceeded limit of 50ms"; fmt.Sprint(err) != want {
		t.Errorf("got %v", err)
	}
	if !fc.Get("out").IsNull() {
		t.Error("the script went on")
	}
}

// A callback may come later than the time limit, which is for scripts and not
// for waiting; a callback that itself runs too long is ended.
func TestCallbackTime(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	time.AfterFunc(300*time.Millisecond, func() { close(release) })
	p := policytest.Compile(t, Kind, `<Javascript name="JS-1" timeLimit="200"><ResourceURL>jsc://a.js</ResourceURL></Javascript>`,
		policy.Services{Callouts: &outbound{client: s.Client()}}, source("a.js", `httpClient.get('`+s.URL+`', function(r) { context.setVariable('out', r.status.code); for (;;); });`))
	fc := policytest.Context(t, nil)
	err := p.Run(t.Context(), fc)
	fc.Drain(t.Context())
	if fc.Text("out") != "200" || err == nil || !strings.Contains(err.Error(), "exceeded limit of 200ms") {
		t.Errorf("out %q, %v", fc.Text("out"), err)
	}
}

// The end of the call ends waiting, for waitForComplete and for callbacks.
func TestHTTPClientCallEnds(t *testing.T) {
	for _, script := range []string{"httpClient.get('BASE/slow').waitForComplete();", "httpClient.get('BASE/slow', function() {});"} {
		s := echo(t)
		p := policytest.Compile(t, Kind, `<Javascript name="JS-1" timeLimit="20000"><ResourceURL>jsc://a.js</ResourceURL></Javascript>`,
			policy.Services{Callouts: &outbound{client: s.Client()}}, source("a.js", strings.ReplaceAll(script, "BASE", s.URL)))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		fc := policytest.Context(t, nil)
		err := p.Run(ctx, fc)
		fc.Drain(t.Context())
		cancel()
		if err == nil || ctx.Err() == nil {
			t.Errorf("%s: %v", script, err)
		}
	}
}

// context.session hands an exchange to a later script, as Apigee's example does.
func TestSessionExchange(t *testing.T) {
	s := echo(t)
	services := policy.Services{Callouts: &outbound{client: s.Client()}}
	compile := func(text string) policy.Policy {
		return policytest.Compile(t, Kind, `<Javascript name="JS-1" timeLimit="20000"><ResourceURL>jsc://a.js</ResourceURL></Javascript>`, services, source("a.js", text))
	}
	fc := policytest.Context(t, nil)
	for _, text := range []string{
		`context.session['weather'] = httpClient.get('` + s.URL + `/w'); context.session.o = {a: [1, {b: 'c'}], f: function() {}, n: null}; context.session.gone = 1;`,
		`context.session.o.a.push(true); delete context.session.gone;`,
		`var x = context.session['weather']; x.waitForComplete();
		 context.setVariable('out', x.getResponse().content.asJSON.uri + JSON.stringify(context.session.o) + typeof context.session.gone + Object.keys(context.session).sort());`,
	} {
		if err := compile(text).Run(t.Context(), fc); err != nil {
			t.Fatal(err)
		}
	}
	fc.Drain(t.Context())
	if got, want := fc.Text("out"), `/w{"a":[1,{"b":"c"},true],"n":null}undefinedo,weather`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestSSLInfo(t *testing.T) {
	s := echo(t)
	o := &outbound{client: s.Client()}
	p := policytest.Compile(t, Kind, `<Javascript name="JS-1" timeLimit="20000"><ResourceURL>jsc://a.js</ResourceURL><SSLInfo><Enabled>true</Enabled><TrustStore>ref://ts</TrustStore></SSLInfo></Javascript>`,
		policy.Services{Callouts: o}, source("a.js", `var x = httpClient.get('`+s.URL+`/s'); x.waitForComplete(); context.setVariable('out', x.getResponse().headers['x-secured'] + x.getResponse().content.asJSON.uri);`))
	fc := policytest.Context(t, nil)
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	fc.Drain(t.Context())
	if o.ssl == nil || o.ssl.TrustStore != "ref://ts" || fc.Text("out") != "true/s" {
		t.Errorf("%+v %s", o.ssl, fc.Text("out"))
	}
}
