package management

import (
	"iter"
	"maps"
	"slices"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/keystore"
)

type environment = apigee.GoogleCloudApigeeV1Environment

func mapKeys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

func listEnvironments(c *call) (any, error) {
	if len(c.stamp.Environments) == 0 {
		return []string{}, nil
	}
	return c.stamp.Environments, nil
}

func getEnvironment(c *call) (any, error) {
	return c.Registry.Environments.Get(c.ctx(), c.ids("org", "env")...)
}

func createEnvironment(c *call) (any, error) {
	e := new(environment)
	if err := c.decode(e); err != nil {
		return nil, err
	}
	name, err := c.named("environment", e.Name, c.query.Get("name"))
	if err != nil {
		return nil, err
	}
	if err := checkEnvironment(e); err != nil {
		return nil, err
	}
	if err := c.Registry.Environments.Create(c.ctx(), e, c.param("org"), name); err != nil {
		return nil, err
	}
	return c.done("INSERT", c.inOrg("environments", name), e)
}

// checkEnvironment refuses what the API's enumerations do not have.
func checkEnvironment(e *environment) error {
	for _, f := range []struct {
		name, value string
		allowed     []string
	}{
		{"deploymentType", e.DeploymentType, []string{"DEPLOYMENT_TYPE_UNSPECIFIED", "PROXY", "ARCHIVE"}},
		{"apiProxyType", e.ApiProxyType, []string{"API_PROXY_TYPE_UNSPECIFIED", "PROGRAMMABLE", "CONFIGURABLE"}},
		{"type", e.Type, []string{"ENVIRONMENT_TYPE_UNSPECIFIED", "BASE", "INTERMEDIATE", "COMPREHENSIVE"}},
	} {
		if f.value != "" && !slices.Contains(f.allowed, f.value) {
			return invalid("Invalid value at '%s' (TYPE_ENUM), %q: want %s", f.name, f.value, strings.Join(f.allowed[1:], ", "))
		}
	}
	return nil
}

// updateEnvironment replaces description and properties, which are removed when
// they are not given; what cannot be unset stays.
func updateEnvironment(c *call) (any, error) {
	e := new(environment)
	if err := c.decode(e); err != nil {
		return nil, err
	}
	if err := sameName("environment", e.Name, c.param("env")); err != nil {
		return nil, err
	}
	if err := checkEnvironment(e); err != nil {
		return nil, err
	}
	return c.Registry.Environments.Update(c.ctx(), func(old *environment) error {
		next := *e
		keep(&next.DisplayName, old.DisplayName)
		keep(&next.DeploymentType, old.DeploymentType)
		keep(&next.ApiProxyType, old.ApiProxyType)
		keep(&next.Type, old.Type)
		keep(&next.ForwardProxyUri, old.ForwardProxyUri)
		next.CreatedAt, next.State = old.CreatedAt, old.State
		if next.NodeConfig == nil {
			next.NodeConfig = old.NodeConfig
		}
		if next.ClientIpResolutionConfig == nil {
			next.ClientIpResolutionConfig = old.ClientIpResolutionConfig
		}
		*old = next
		return nil
	}, c.ids("org", "env")...)
}

func patchEnvironment(c *call) (any, error) {
	p, err := c.patch(new(environment), "name")
	if err != nil {
		return nil, err
	}
	e, err := c.Registry.Environments.Update(c.ctx(), func(e *environment) error {
		created, state := e.CreatedAt, e.State
		if err := p.apply(e); err != nil {
			return err
		}
		e.CreatedAt, e.State = created, state
		return checkEnvironment(e)
	}, c.ids("org", "env")...)
	if err != nil {
		return nil, err
	}
	return c.done("UPDATE", c.inOrg("environments", e.Name), e)
}

// deleteEnvironment also removes the private keys of its keystores. If that
// fails, they are removed when a keystore of the name is made again.
func deleteEnvironment(c *call) (any, error) {
	stores, err := c.Registry.Keystores.All(c.ctx(), c.ids("org", "env")...)
	if err != nil {
		return nil, err
	}
	e, err := c.Registry.Environments.Delete(c.ctx(), c.ids("org", "env")...)
	if err != nil {
		return nil, err
	}
	for _, ks := range stores {
		if c.Keystore == nil {
			break
		}
		if err := c.Keystore.DeleteAliases(c.ctx(), keystore.Scope{Organization: c.param("org"), Environment: e.Name}, ks.Name); err != nil {
			return nil, err
		}
	}
	return c.done("DELETE", c.inOrg("environments", e.Name), e)
}

// config is the environment's configuration as data planes see it.
func (c *call) config() (*entity.Config, error) {
	return c.Registry.Config(c.ctx(), c.param("org"), c.param("env"))
}

func getDebugMask(c *call) (any, error) {
	m, err := c.Registry.DebugMasks.Get(c.ctx(), c.ids("org", "env")...)
	if entity.IsNotFound(err) {
		return &apigee.GoogleCloudApigeeV1DebugMask{Name: c.inOrg("environments", c.param("env"), "debugmask")}, nil
	}
	return m, err
}

// patchDebugMask adds to the lists of the mask, or with replaceRepeatedFields
// replaces them.
func patchDebugMask(c *call) (any, error) {
	p, err := c.patch(new(apigee.GoogleCloudApigeeV1DebugMask), "name")
	if err != nil {
		return nil, err
	}
	anew, err := c.flag("replaceRepeatedFields")
	if err != nil {
		return nil, err
	}
	old, err := c.Registry.DebugMasks.Get(c.ctx(), c.ids("org", "env")...)
	if entity.IsNotFound(err) {
		old, err = new(apigee.GoogleCloudApigeeV1DebugMask), nil
	}
	if err != nil {
		return nil, err
	}
	next := *old
	if err := p.apply(&next); err != nil {
		return nil, err
	}
	if !anew {
		addTo(&next, old)
	}
	return &next, c.Registry.DebugMasks.Put(c.ctx(), &next, c.ids("org", "env")...)
}

// addTo puts the elements of the old mask before those of the new.
func addTo(next, old *apigee.GoogleCloudApigeeV1DebugMask) {
	for _, list := range []struct{ next, old *[]string }{
		{&next.FaultJSONPaths, &old.FaultJSONPaths}, {&next.FaultXPaths, &old.FaultXPaths},
		{&next.RequestJSONPaths, &old.RequestJSONPaths}, {&next.RequestXPaths, &old.RequestXPaths},
		{&next.ResponseJSONPaths, &old.ResponseJSONPaths}, {&next.ResponseXPaths, &old.ResponseXPaths},
		{&next.Variables, &old.Variables},
	} {
		all := slices.Clone(*list.old)
		for _, e := range *list.next {
			if !slices.Contains(all, e) {
				all = append(all, e)
			}
		}
		*list.next = all
	}
	spaces := maps.Clone(old.Namespaces)
	if spaces == nil {
		spaces = map[string]string{}
	}
	maps.Copy(spaces, next.Namespaces)
	next.Namespaces = spaces
}

func getTraceConfig(c *call) (any, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	return c.traceConfig(config), nil
}

func (c *call) traceConfig(config *entity.Config) *apigee.GoogleCloudApigeeV1TraceConfig {
	if config.TraceConfig != nil {
		return config.TraceConfig
	}
	return &apigee.GoogleCloudApigeeV1TraceConfig{SamplingConfig: &apigee.GoogleCloudApigeeV1TraceSamplingConfig{Sampler: "OFF"}}
}

func patchTraceConfig(c *call) (any, error) {
	p, err := c.patch(new(apigee.GoogleCloudApigeeV1TraceConfig))
	if err != nil {
		return nil, err
	}
	var next *apigee.GoogleCloudApigeeV1TraceConfig
	err = c.Registry.EditConfig(c.ctx(), c.param("org"), c.param("env"), func(config *entity.Config) error {
		v := *c.traceConfig(config)
		if err := p.apply(&v); err != nil {
			return err
		}
		if s := v.SamplingConfig; s != nil && (s.SamplingRate < 0 || s.SamplingRate > 0.5) {
			return invalid("samplingRate is %v, want 0 to 0.5", s.SamplingRate)
		}
		next, config.TraceConfig = &v, &v
		return nil
	})
	return next, err
}

func getAddonsConfig(c *call) (any, error) {
	config, err := c.config()
	if err != nil || config.Addons == nil {
		return nil, err
	}
	return config.Addons, nil
}

// setAddonEnablement switches analytics and API security of the environment.
func setAddonEnablement(c *call) (any, error) {
	body := new(apigee.GoogleCloudApigeeV1SetAddonEnablementRequest)
	if err := c.decode(body); err != nil {
		return nil, err
	}
	var next *apigee.GoogleCloudApigeeV1AddonsConfig
	err := c.Registry.EditConfig(c.ctx(), c.param("org"), c.param("env"), func(config *entity.Config) error {
		next = &apigee.GoogleCloudApigeeV1AddonsConfig{
			AnalyticsConfig:   &apigee.GoogleCloudApigeeV1AnalyticsConfig{Enabled: body.AnalyticsEnabled},
			ApiSecurityConfig: &apigee.GoogleCloudApigeeV1ApiSecurityConfig{Enabled: body.ApiSecurityEnabled},
		}
		config.Addons = next
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.done("UPDATE", c.inOrg("environments", c.param("env"), "addonsConfig"), next)
}
