package pipeline

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// A hit of ResponseCache turns to the response flow behind the step that stored
// the response, wherever that is: what comes before it ran then.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/response-cache-policy

// storingTarget is the TargetEndpoint this call would have gone to if its
// response flow has the step to resume behind, else nil.
func (e *Endpoint) storingTarget(fc *flow.Context) *targetEndpoint {
	te, err := e.chooseRoute(fc)
	if err != nil || te == nil || !te.flows.stores(fc.Resume()) {
		return nil
	}
	fc.Target.Name = te.name
	return te
}

// storedByProxy reports whether the step to resume behind is in the proxy's
// response flow, so that the target's is left out.
func (e *Endpoint) storedByProxy(fc *flow.Context, te *targetEndpoint) bool {
	name := fc.Resume()
	return name != "" && !te.flows.stores(name) && e.flows.stores(name)
}

// stores reports whether some response step is called name.
func (f *flows) stores(name string) bool {
	if f.pre.stores(name) >= 0 || f.post.stores(name) >= 0 {
		return true
	}
	for _, b := range f.conditional {
		if b.stores(name) >= 0 {
			return true
		}
	}
	return false
}

// stores is the index of the response step called name, -1 if there is none.
func (b *block) stores(name string) int {
	if b == nil {
		return -1
	}
	for i := range b.response {
		if b.response[i].name == name {
			return i
		}
	}
	return -1
}

// resumeResponse runs what comes behind the step to resume behind. If its flow
// is a conditional one that is not this call's, all of the response flow runs.
func resumeResponse(ctx context.Context, fc *flow.Context, f *flows) error {
	name := fc.Resume()
	fc.Resumed()
	blocks := []*block{f.pre, firstTrue(fc, f.conditional), f.post}
	from, skip := 0, 0
	for n, b := range blocks {
		if i := b.stores(name); i >= 0 {
			from, skip = n, i+1
			break
		}
	}
	for n, b := range blocks[from:] {
		if b == nil {
			continue
		}
		enter(fc, b)
		steps := b.response
		if n == 0 {
			steps = steps[skip:]
		}
		if err := runSteps(ctx, fc, steps); err != nil {
			return err
		}
	}
	return nil
}
