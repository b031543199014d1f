package deployment

import (
	"context"
	"fmt"
	"slices"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Source is what a data plane reads. From a cold start that is, one after the
// other and each one exchange with the store: Stamp, Fill, Load.
type Source struct{ reg *registry.Registry }

// NewSource returns the Source of a registry.
func NewSource(reg *registry.Registry) *Source { return &Source{reg: reg} }

// Stamp reads the organization's version stamp; NotFound if there is no such
// organization.
func (s *Source) Stamp(ctx context.Context, org string) (*entity.Stamp, error) {
	return s.reg.Stamp(ctx, org)
}

// Load reads archives, in order.
func (s *Source) Load(ctx context.Context, archives ...entity.Archive) ([][]byte, error) {
	return s.reg.Archives().Load(ctx, archives...)
}

// Deployment reads what is deployed of a proxy or shared flow in an environment,
// for a proxy that is called by name; NotFound if nothing is.
func (s *Source) Deployment(ctx context.Context, org, env string, kind entity.Kind, name string) (*entity.Deployment, error) {
	return s.reg.Deployments.Get(ctx, org, env, string(kind), name)
}

// Fill reads what the indexes lack to match path, and their configurations, in
// one exchange. If there is nothing to read it reads nothing. Where the index was
// split since the stamp was read, Match may still be undecided afterwards: then
// call it again. After registry.ErrChanged begin again with a new stamp.
func (s *Source) Fill(ctx context.Context, path string, indexes ...*Index) error {
	var wants []want
	for _, x := range indexes {
		wants = x.wants(wants, path)
	}
	keys := make([]store.Key, len(wants))
	for i, w := range wants {
		keys[i] = w.key
	}
	docs, err := s.reg.Store().GetAll(ctx, keys)
	if err != nil {
		return fmt.Errorf("read routes: %w", err)
	}
	for i := 0; i < len(wants); {
		n := i + 1
		for n < len(wants) && wants[i].config && wants[n].config && wants[n].index == wants[i].index {
			n++
		}
		if err := wants[i].index.take(wants[i], docs[i:n]); err != nil {
			return err
		}
		i = n
	}
	return nil
}

// Needs are the shared flows that what uses says calls, directly or through each
// other, and those of the environment's flow hooks; callers before callees.
func Needs(c *entity.Config, uses entity.Uses) []string {
	queue := slices.Clone(uses.SharedFlows)
	for _, point := range registry.FlowHookPoints {
		if h := c.FlowHooks[point]; h != nil {
			queue = append(queue, h.SharedFlow)
		}
	}
	var names []string
	for i := 0; i < len(queue); i++ {
		ref, deployed := c.SharedFlows[queue[i]]
		if !deployed || slices.Contains(names, queue[i]) {
			continue
		}
		names = append(names, queue[i])
		queue = append(queue, ref.Uses.SharedFlows...)
	}
	return names
}
