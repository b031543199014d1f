// Package policy is the contract between the pipeline and the policies: what a
// policy is, how its XML becomes a running value, and what it may use.
//
// A policy package exports one Kind made by Define. Its New function is called
// when a bundle is compiled: it checks everything, resolves every variable,
// template and resource, and reports problems with their place. Run is called
// for each request and parses nothing. Policies never evaluate their own
// condition, enabled or continueOnError: the pipeline does that for all.
//
// What a policy needs comes from Env: small interfaces named after what they
// do. Policies import neither each other nor the store nor a cloud SDK.
package policy

import (
	"context"
	"reflect"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
)

// Policy is one compiled policy. It is immutable and shared by all calls.
type Policy interface {
	// Run executes the policy. It returns nil or a *fault.Fault; any other
	// error is an internal one and becomes a 500.
	Run(ctx context.Context, fc *flow.Context) error
}

// Func is a Policy that is only a function.
type Func func(ctx context.Context, fc *flow.Context) error

// Run calls f.
func (f Func) Run(ctx context.Context, fc *flow.Context) error { return f(ctx, fc) }

// Header is what every policy's XML may carry. Embed it first in a Config.
type Header = bundle.Common

// Kind is one type of policy: its root element and how to build it.
type Kind struct {
	// Name is the root element, "AssignMessage".
	Name string
	// Config is the type that the XML is read into, for documentation and for
	// the test that counts elements against the XSD.
	Config reflect.Type

	build func(p *bundle.Policy, env *Env) Policy
}

// Define returns the Kind for root element name. newPolicy is called with the
// decoded XML. It reports problems through env.Errorf and may return an error
// for the policy as a whole; either refuses the deployment.
func Define[C any](name string, newPolicy func(c *C, env *Env) (Policy, error)) Kind {
	return Kind{Name: name, Config: reflect.TypeFor[C](), build: func(p *bundle.Policy, env *Env) Policy {
		c := new(C)
		bundle.Decode(p.Root, c, env.problems)
		n := len(env.problems.Errors())
		pol, err := newPolicy(c, env)
		if err != nil && len(env.problems.Errors()) == n {
			env.problems.Add(p.Pos(), err)
		}
		return pol
	}}
}

// Refuse returns a Kind that is known but not run: every bundle that would run one
// is refused with the reason.
func Refuse(name, reason string) Kind {
	return Kind{Name: name, build: func(p *bundle.Policy, env *Env) Policy {
		env.Lackf(p.Pos(), "<%s>: %s", name, reason)
		return nil
	}}
}

// NoJVM is why a policy that needs Java is refused.
const NoJVM = "it needs a Java virtual machine, which this gateway does not have"

// OnJVM returns a Kind that Services.JVM runs. Where there is none every bundle
// that would run one is refused; what returns what in the policy it is that needs Java,
// as in "class com.example.A of java://a.jar".
func OnJVM(name string, what func(root *bundle.Element) string) Kind {
	return Kind{Name: name, build: func(p *bundle.Policy, env *Env) Policy {
		if env.JVM == nil {
			env.Lackf(p.Pos(), "<%s> %s: %s", name, what(p.Root), NoJVM)
			return nil
		}
		env.UsesContent(true, true)
		pol, err := env.JVM.Compile(p, env.Resource)
		env.problems.Add(p.Pos(), err)
		return pol
	}}
}

// Build compiles p. Problems go to env; the result is nil if there were any
// that refuse the deployment.
func (k Kind) Build(p *bundle.Policy, env *Env) Policy {
	env.Policy, env.Pos = p, p.Pos()
	n := len(env.problems.Errors())
	pol := k.build(p, env)
	if len(env.problems.Errors()) > n {
		return nil
	}
	return pol
}

// Kinds is a set of kinds by root element.
type Kinds map[string]Kind

// NewKinds returns the set of the given kinds.
func NewKinds(list ...Kind) Kinds {
	m := make(Kinds, len(list))
	for _, k := range list {
		m[k.Name] = k
	}
	return m
}
