package management

import (
	"slices"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

type flowHook = apigee.GoogleCloudApigeeV1FlowHook

func listFlowHooks(*call) (any, error) {
	return slices.Sorted(slices.Values(registry.FlowHookPoints)), nil
}

// hook is an error if there is no such flow hook.
func (c *call) hook() error {
	if !slices.Contains(registry.FlowHookPoints, c.param("hook")) {
		return invalid("flow hook %q is none of %s", c.param("hook"), strings.Join(registry.FlowHookPoints, ", "))
	}
	return nil
}

// getFlowHook names the flow hook also when nothing is attached to it.
func getFlowHook(c *call) (any, error) {
	if err := c.hook(); err != nil {
		return nil, err
	}
	h, err := c.Registry.FlowHooks.Get(c.ctx(), c.ids("org", "env", "hook")...)
	if entity.IsNotFound(err) {
		return &flowHook{FlowHookPoint: c.param("hook")}, nil
	}
	return h, err
}

func attachFlowHook(c *call) (any, error) {
	if err := c.hook(); err != nil {
		return nil, err
	}
	h := new(flowHook)
	if err := c.decode(h); err != nil {
		return nil, err
	}
	if err := sameName("flow hook", h.FlowHookPoint, c.param("hook")); err != nil {
		return nil, err
	}
	if h.SharedFlow != "" {
		if _, err := c.Registry.SharedFlows.Get(c.ctx(), c.param("org"), h.SharedFlow); err != nil {
			return nil, err
		}
	}
	return h, c.Registry.FlowHooks.Put(c.ctx(), h, c.ids("org", "env", "hook")...)
}

func detachFlowHook(c *call) (any, error) {
	if err := c.hook(); err != nil {
		return nil, err
	}
	_, err := c.Registry.FlowHooks.Delete(c.ctx(), c.ids("org", "env", "hook")...)
	return &flowHook{FlowHookPoint: c.param("hook")}, err
}
