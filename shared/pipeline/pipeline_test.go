package pipeline

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata")

// Mark appends its name and the current flow to the trail: what ran, in order.
type markConfig struct {
	policy.Header
	Variable string `xml:"Variable"` // set to true when it runs
}

var mark = policy.Define("Mark", func(c *markConfig, env *policy.Env) (policy.Policy, error) {
	return policy.Func(func(_ context.Context, fc *flow.Context) error {
		trail := fc.Text("trail")
		if trail != "" {
			trail += " "
		}
		fc.PutText("trail", trail+c.Name+"@"+fc.FlowName)
		if c.Variable != "" {
			fc.Put(c.Variable, flow.BoolValue(true))
		}
		return nil
	}), nil
})

// Fail raises a fault.
type failConfig struct {
	policy.Header
	Code   string `xml:"Code"`
	Status int    `xml:"Status"`
}

var fail = policy.Define("Fail", func(c *failConfig, env *policy.Env) (policy.Policy, error) {
	return policy.Func(func(_ context.Context, fc *flow.Context) error {
		return fault.New(c.Code, c.Status, "failed by "+c.Name).Failed("fail." + c.Name + ".failed")
	}), nil
})

// Answer answers early.
type answerConfig struct {
	policy.Header
	When   string `xml:"When"`
	Behind string `xml:"Behind"` // step to resume behind
}

var answer = policy.Define("Answer", func(c *answerConfig, env *policy.Env) (policy.Policy, error) {
	return policy.Func(func(_ context.Context, fc *flow.Context) error {
		when := flow.AfterSegment
		if c.When == "now" {
			when = flow.AtOnce
		}
		m := message.NewResponse()
		m.SetContent([]byte("early"))
		fc.Early(m, when)
		if c.Behind != "" {
			fc.EarlyBehind(m, c.Behind)
		}
		return nil
	}), nil
})

// testTarget answers with what the request's header X-Target says: a status, or
// a fault code.
type testTarget struct{ name string }

func (t testTarget) Prepare(*flow.Context) {}

func (t testTarget) Send(_ context.Context, fc *flow.Context) error {
	fc.PutText("trail", strings.TrimSpace(fc.Text("trail")+" target:"+t.name))
	say := fc.Request.Header.Get("X-Target")
	if strings.Contains(say, ".") {
		return fault.New(say, 503, "target failed")
	}
	resp := fc.NewResponse()
	resp.Header.Set("Content-Type", "text/plain")
	resp.SetContent([]byte("from " + t.name))
	if say == "" {
		return nil
	}
	resp.Status, _ = strconv.Atoi(say)
	f := fault.New("messaging.adaptors.http.flow.ErrorResponseCode", resp.Status, "status "+say)
	f.Message = resp
	return f
}

func compileFiles(t testing.TB, files fs.FS) (*Proxy, bundle.Problems) {
	t.Helper()
	b, err := bundle.LoadFS(files)
	if b == nil {
		t.Fatal(err)
	}
	return Compile(b, policy.NewKinds(mark, fail, answer), Options{
		Organization: "org", Environment: "test", Name: "p", Revision: "1",
		Target: func(c *bundle.HTTPTargetConnection, name string, env *policy.Env) Target { return testTarget{name} },
	})
}

// TestFlows runs testdata/*.txtar: a bundle, calls as "METHOD PATH [Header: value]",
// and what each gives: status, body and the trail of steps.
func TestFlows(t *testing.T) {
	cases, _ := filepath.Glob("testdata/*.txtar")
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, name := range cases {
		t.Run(filepath.Base(name), func(t *testing.T) { runCase(t, name) })
	}
}

func runCase(t *testing.T, name string) {
	ar, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	var calls, want string
	for _, f := range ar.Files {
		switch f.Name {
		case "calls":
			calls = string(f.Data)
		case "want":
			want = string(f.Data)
		default:
			files["apiproxy/"+f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	got := ""
	p, problems := compileFiles(t, files)
	if p == nil {
		got = problems.Error() + "\n"
	} else {
		for line := range strings.Lines(calls) {
			if line = strings.TrimSpace(line); line != "" {
				got += call(t, p, line)
			}
		}
	}
	if got == want {
		return
	}
	if !*update {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
		return
	}
	for i := range ar.Files {
		if ar.Files[i].Name == "want" {
			ar.Files[i].Data = []byte(got)
		}
	}
	if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}

func call(t *testing.T, p *Proxy, line string) string {
	parts := strings.SplitN(line, " ", 3)
	ep := p.Endpoints[0]
	fc := flow.New(ep.Info, time.Now)
	defer fc.Release()
	fc.Request.Verb, fc.Request.Path = parts[0], parts[1]
	fc.PathSuffix = strings.TrimPrefix(parts[1], strings.TrimSuffix(ep.Info.BasePath, "/"))
	if len(parts) == 3 {
		for h := range strings.SplitSeq(parts[2], "; ") {
			n, v, _ := strings.Cut(h, ": ")
			fc.Request.Header.Add(n, v)
		}
	}
	m := ep.Run(t.Context(), fc)
	if err := ep.PostClient(t.Context(), fc); err != nil {
		t.Error(err)
	}
	fc.Drain(t.Context())
	return fmt.Sprintf("%s\n  %d %s\n  trail: %s\n", line, m.Status, m.Text(), fc.Text("trail"))
}
