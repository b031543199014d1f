package management

import (
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// deployedConfig is what the gateway has of an environment: what is deployed,
// and the names its bundles may use.
//
// Source: https://cloud.google.com/apigee/docs/reference/apis/apigee/rest/v1/organizations.environments/getDeployedConfig
func deployedConfig(c *call) (any, error) {
	org, env := c.param("org"), c.param("env")
	version := max(c.stamp.Changed[env], c.stamp.Changed[""])
	config := &apigee.GoogleCloudApigeeV1EnvironmentConfig{
		Name: c.inOrg("environments", env, "deployedConfig"), RevisionId: c.stamp.Version,
		EnvScopedRevisionId: version, SequenceNumber: version,
	}
	for _, add := range []func(*apigee.GoogleCloudApigeeV1EnvironmentConfig) error{
		c.addDeployments, c.addHooks, c.addTargetServers, c.addReferences, c.addKeystores, c.addCollectors,
	} {
		if err := add(config); err != nil {
			return nil, err
		}
	}
	e, err := c.Registry.Environments.Get(c.ctx(), org, env)
	if err != nil {
		return nil, err
	}
	config.ForwardProxyUri = e.ForwardProxyUri
	return config, nil
}

func (c *call) addDeployments(config *apigee.GoogleCloudApigeeV1EnvironmentConfig) error {
	for _, of := range []struct {
		kind       entity.Kind
		collection string
	}{{entity.API, "apis"}, {entity.SharedFlow, "sharedflows"}} {
		all, err := c.Deployments.InEnvironment(c.ctx(), c.param("org"), c.param("env"), of.kind)
		if err != nil {
			return err
		}
		for _, d := range all {
			config.Deployments = append(config.Deployments, c.deployed(of.collection, d))
		}
	}
	return nil
}

func (c *call) deployed(collection string, d *entity.Deployment) *apigee.GoogleCloudApigeeV1DeploymentConfig {
	config := &apigee.GoogleCloudApigeeV1DeploymentConfig{Name: c.inOrg(collection, d.Name, "revisions", d.Revision)}
	if d.ServiceAccount != "" {
		config.ServiceAccount = "projects/-/serviceAccounts/" + d.ServiceAccount
	}
	for _, e := range d.Endpoints {
		if config.Endpoints == nil {
			config.BasePath, config.Endpoints = e.BasePath, map[string]string{}
		}
		config.Endpoints[e.BasePath] = e.Name
	}
	return config
}

func (c *call) addHooks(config *apigee.GoogleCloudApigeeV1EnvironmentConfig) error {
	all, err := c.Registry.FlowHooks.All(c.ctx(), c.ids("org", "env")...)
	for _, h := range all {
		config.Flowhooks = append(config.Flowhooks, &apigee.GoogleCloudApigeeV1FlowHookConfig{
			Name: h.FlowHookPoint, SharedFlowName: h.SharedFlow, ContinueOnError: h.ContinueOnError,
		})
	}
	return err
}

func (c *call) addTargetServers(config *apigee.GoogleCloudApigeeV1EnvironmentConfig) error {
	for item, err := range c.Registry.TargetServers.List(c.ctx(), registry.Page{}, c.ids("org", "env")...) {
		if err != nil {
			return err
		}
		s := item.Value
		config.Targets = append(config.Targets, &apigee.GoogleCloudApigeeV1TargetServerConfig{
			Name: c.inOrg("environments", c.param("env"), "targetservers", item.Name),
			Host: s.Host, Port: s.Port, Protocol: s.Protocol, Enabled: s.IsEnabled,
		})
	}
	return nil
}

func (c *call) addReferences(config *apigee.GoogleCloudApigeeV1EnvironmentConfig) error {
	for item, err := range c.Registry.References.List(c.ctx(), registry.Page{}, c.ids("org", "env")...) {
		if err != nil {
			return err
		}
		config.ResourceReferences = append(config.ResourceReferences, &apigee.GoogleCloudApigeeV1ReferenceConfig{
			Name:         c.inOrg("environments", c.param("env"), "references", item.Name),
			ResourceName: c.inOrg("environments", c.param("env"), "keystores", item.Value.Refers),
		})
	}
	return nil
}

func (c *call) addKeystores(config *apigee.GoogleCloudApigeeV1EnvironmentConfig) error {
	names, err := c.Registry.Keystores.Names(c.ctx(), registry.Page{}, c.ids("org", "env")...)
	for _, name := range names {
		config.Keystores = append(config.Keystores, &apigee.GoogleCloudApigeeV1KeystoreConfig{
			Name: c.inOrg("environments", c.param("env"), "keystores", name),
		})
	}
	return err
}

func (c *call) addCollectors(config *apigee.GoogleCloudApigeeV1EnvironmentConfig) error {
	all, err := c.Registry.DataCollectors.All(c.ctx(), c.param("org"))
	for _, d := range all {
		config.DataCollectors = append(config.DataCollectors, &apigee.GoogleCloudApigeeV1DataCollectorConfig{
			Name: c.inOrg("datacollectors", d.Name), Type: d.Type,
		})
	}
	return err
}
