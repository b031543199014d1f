package pipeline

import (
	"context"
	"slices"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// SharedFlow is a compiled shared flow.
type SharedFlow struct {
	Name, Revision    string
	steps             []step
	request, response bool
}

// CompileSharedFlow turns the bundle of a shared flow into steps. The problems
// hold everything that was found; the flow is nil if any of them is an error.
func CompileSharedFlow(b *bundle.Bundle, kinds policy.Kinds, opts Options) (*SharedFlow, bundle.Problems) {
	problems := slices.Clone(b.Warnings)
	c := newCompiler(b, &opts, &problems)
	c.compilePolicies(kinds)
	sf := &SharedFlow{Name: opts.Name, Revision: opts.Revision}
	if f := b.SharedFlow(); f != nil {
		sf.steps = c.steps(f.Steps)
	}
	sf.request, sf.response = c.env.ContentUsed()
	problems.Sort()
	if problems.Err() != nil {
		return nil, problems
	}
	return sf, problems
}

// Run executes the steps in the caller's context. It returns the fault that
// ended it, for the caller's flow to handle.
func (s *SharedFlow) Run(ctx context.Context, fc *flow.Context) error {
	outer := fc.SharedFlow
	fc.SharedFlow = s.Name
	defer func() { fc.SharedFlow = outer }()
	return runSteps(ctx, fc, s.steps)
}

// UsesContent reports whether a step touches the body of the request or of the
// response.
func (s *SharedFlow) UsesContent() (request, response bool) { return s.request, s.response }
