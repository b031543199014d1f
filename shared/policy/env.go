package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/condition"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Env is what a policy has while it is compiled. Services stay valid for the
// life of the policy, the rest only during New.
type Env struct {
	Services

	Organization, Environment string
	// Bundle is the bundle being compiled; its Kind says whether the policy is
	// in a proxy or in a shared flow. A shared flow's proxy is known only at
	// run time, from flow.Context.Proxy.
	Bundle *bundle.Bundle
	// Policy is the policy being compiled and Pos the place of its root.
	Policy *bundle.Policy
	Pos    bundle.Pos

	// Idle says that the policy being compiled never runs: no step names it, or it
	// is not enabled.
	Idle bool

	problems          *bundle.Problems
	request, response bool // some step touches the body
}

// NewEnv returns an Env that reports into problems.
func NewEnv(organization, environment string, b *bundle.Bundle, s Services, problems *bundle.Problems) *Env {
	if s.Now == nil {
		s.Now = time.Now
	}
	return &Env{Services: s, Organization: organization, Environment: environment, Bundle: b, problems: problems}
}

// Name returns the name attribute of the policy being compiled.
func (e *Env) Name() string { return e.Policy.Name }

// Errorf reports a problem at pos that refuses the deployment. A zero pos is
// the policy's root element.
func (e *Env) Errorf(pos bundle.Pos, format string, args ...any) {
	e.problems.Errorf(e.at(pos), format, args...)
}

// Lackf reports something of Apigee that this gateway does not have. That refuses
// the deployment, unless the policy never runs.
func (e *Env) Lackf(pos bundle.Pos, format string, args ...any) {
	if e.Idle {
		e.problems.Warnf(e.at(pos), format+" (it never runs, so that the bundle is deployed all the same)", args...)
		return
	}
	e.problems.Errorf(e.at(pos), format, args...)
}

// Warnf reports a problem at pos that does not keep the bundle from running.
func (e *Env) Warnf(pos bundle.Pos, format string, args ...any) {
	e.problems.Warnf(e.at(pos), format, args...)
}

// Problems returns the collector itself, for bundle.Decode and the parsers of
// package bundle.
func (e *Env) Problems() *bundle.Problems { return e.problems }

func (e *Env) at(pos bundle.Pos) bundle.Pos {
	if pos == (bundle.Pos{}) {
		return e.Pos
	}
	return pos
}

// Var compiles a reference to a flow variable.
func (e *Env) Var(name string) flow.Var {
	v := flow.Compile(strings.TrimSpace(name))
	e.note(v)
	return v
}

// Vars compiles references to several flow variables.
func (e *Env) Vars(names []string) []flow.Var {
	out := make([]flow.Var, len(names))
	for i, n := range names {
		out[i] = e.Var(n)
	}
	return out
}

// Template compiles a message template. A syntax error is reported at pos and
// gives a template that is empty.
func (e *Env) Template(pos bundle.Pos, src string, opts ...template.Option) *template.Template {
	t, err := template.Compile(src, opts...)
	if err != nil {
		e.Errorf(pos, "message template: %v", err)
		t, _ = template.Compile("")
		return t
	}
	for _, v := range t.Vars() {
		e.note(v)
	}
	return t
}

// Condition compiles a condition. A syntax error is reported at pos and gives
// a condition that is always true.
func (e *Env) Condition(pos bundle.Pos, src string) *condition.Condition {
	c, err := condition.Compile(src)
	if err != nil {
		e.Errorf(pos, "condition %q: %v", src, err)
		c, _ = condition.Compile("")
		return c
	}
	for _, v := range c.Vars() {
		e.note(v)
	}
	return c
}

func (e *Env) note(v flow.Var) {
	req, resp := v.UsesContent()
	e.UsesContent(req, resp)
}

// UsesContent says that the policy reads or writes the body of the request or
// of the response: the pipeline then buffers it. Var, Template and Condition
// say so by themselves.
func (e *Env) UsesContent(request, response bool) {
	if e.Idle {
		return
	}
	e.request = e.request || request
	e.response = e.response || response
}

// UsesMessage is UsesContent for the message a variable name denotes; the
// empty name is the ambient message.
func (e *Env) UsesMessage(name string) {
	switch name {
	case "request":
		e.UsesContent(true, false)
	case "response", "error":
		e.UsesContent(false, true)
	case "", "message":
		e.UsesContent(true, true)
	}
}

// ContentUsed reports what UsesContent was told so far.
func (e *Env) ContentUsed() (request, response bool) { return e.request, e.response }

// Resource returns the text of a resource such as jsc://a.js: from the bundle,
// then the environment, then the organization.
func (e *Env) Resource(url string) ([]byte, error) {
	typ, name, ok := strings.Cut(strings.TrimSpace(url), "://")
	if !ok || name == "" {
		return nil, fmt.Errorf("resource %q is not of the form type://name", url)
	}
	if r := e.Bundle.Resource(typ, name); r != nil {
		return r.Data, nil
	}
	if e.Resources != nil {
		if data, ok := e.Resources.Resource(typ, name); ok {
			return data, nil
		}
	}
	return nil, fmt.Errorf("resource %s does not exist in the bundle, the environment or the organization", url)
}
