// Package javascript implements the <Javascript> policy: a script that reads
// and changes the call through Apigee's JavaScript object model.
//
// The files of <IncludeURL> and then the script run in one scope that is new
// for each execution. They are compiled when the bundle is. The objects are
// context, request, response, properties, print, httpClient, Request, crypto,
// XML and XMLList; package rhino says what of Rhino's language is there.
//
// Differences from Apigee: values of flow variables are strings, numbers,
// booleans and null of JavaScript, not Java objects (x.length(), x.equals(y)
// and a few more work all the same); java.* and Packages do not exist;
// callbacks of httpClient run before the policy ends, the time that they wait
// for is not counted, each of them has the policy's time limit for itself; a
// request whose result nobody waited for is finished after the response was
// sent. context.session keeps plain values and exchanges, not functions.
//
// Sources: https://cloud.google.com/apigee/docs/api-platform/reference/policies/javascript-policy
// and https://cloud.google.com/apigee/docs/api-platform/reference/javascript-object-model
//
// Fault: steps.javascript.ScriptExecutionFailed (500) when the script throws or
// its time is over. It sets javascript.P.failed.
package javascript

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/rhino"
)

// Kind is the Javascript policy.
var Kind = policy.Define("Javascript", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// TimeLimit is how long the script may run, in milliseconds.
	TimeLimit int `xml:"timeLimit,attr" default:"200"`
	// IncludeURLs are files that run before the script, in order: jsc://file.
	IncludeURLs []URL `xml:"IncludeURL"`
	// ResourceURL is the script: jsc://file. Either it or Source is needed.
	ResourceURL *URL `xml:"ResourceURL,once"`
	// Source is the script itself.
	Source *Source `xml:"Source,once"`
	// SSLInfo is the TLS configuration of httpClient.
	SSLInfo *bundle.SSLInfo `xml:"SSLInfo,once"`
}

// URL names a resource.
type URL struct {
	bundle.Pos
	Value string `xml:",chardata"`
}

// Source is a script within the policy.
type Source struct {
	bundle.Pos
	Text string `xml:",chardata,raw"`
}

// maxTimeLimit is the longest a whole call lasts.
const maxTimeLimit = 300 * time.Second

// step is a compiled policy.
type step struct {
	name    string
	limit   time.Duration
	program *rhino.Program
	props   bundle.Properties
	client  *client
	mutates bool                // a script may change what asJSON gave it
	vars    map[string]flow.Var // that scripts name
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{name: env.Name(), limit: time.Duration(c.TimeLimit) * time.Millisecond, props: c.Properties}
	if c.TimeLimit <= 0 {
		env.Errorf(c.Pos, "timeLimit is %d, want a number of milliseconds above 0", c.TimeLimit)
	}
	if s.limit > maxTimeLimit {
		env.Warnf(c.Pos, "timeLimit is %d ms, a call lasts at most %d ms", c.TimeLimit, maxTimeLimit.Milliseconds())
	}
	files := load(c, env)
	s.client = newClient(c, env)
	s.link(files, env)
	return s, nil
}

// link compiles the files and notes what they use.
func (s *step) link(files []file, env *policy.Env) {
	var use usage
	var scripts []*rhino.Script
	for _, f := range files {
		script, err := rhino.Compile(f.name, f.text, use.scan)
		var syntax *rhino.SyntaxError
		switch {
		case errors.As(err, &syntax):
			env.Errorf(f.at(syntax.Line), "ScriptCompilationFailed: %s", syntax.Msg)
			continue
		case err != nil:
			env.Errorf(f.at(1), "ScriptCompilationFailed: %v", err)
			continue
		}
		scripts = append(scripts, script)
	}
	s.program = rhino.Link(hostNames, scripts...)
	s.mutates = use.mutates
	s.vars = use.compiled(env)
	use.report(env)
}

// Run executes the scripts.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	c := &call{step: s, ctx: ctx, fc: fc}
	c.rt = s.program.Start(rhino.Options{Limit: c.limit(), Now: fc.Now, Hosts: scope{call: c}})
	defer c.rt.Close()
	err := c.rt.Run()
	if err == nil {
		err = c.callbacks()
	}
	return s.outcome(c, c.finish(err))
}

// outcome makes the error of a script the policy's fault.
func (s *step) outcome(c *call, err error) error {
	if err == nil {
		return nil
	}
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	if end, ok := c.ctx.Deadline(); ok && errors.Is(err, rhino.ErrTime) && !time.Now().Before(end) {
		return context.DeadlineExceeded
	}
	text := `Javascript runtime error: "` + err.Error() + `"`
	if errors.Is(err, rhino.ErrTime) {
		text = fmt.Sprintf("Javascript runtime exceeded limit of %dms", s.limit.Milliseconds())
	}
	return fault.New("steps.javascript.ScriptExecutionFailed", 500, "Execution of "+s.name+" failed with error: "+text).
		Failed("javascript." + s.name + ".failed")
}
