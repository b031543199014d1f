// Package deployment knows what is deployed where: it imports bundles as
// revisions, deploys and undeploys them, and is where a data plane reads routes
// and bundles.
//
// A deployment is one transaction on the deployment's document, the routing
// index of the environment and the version stamp of the organization. A process
// that dies leaves all of it or nothing.
//
// The data plane's side is Source: whatever the number of proxies, it takes
// three exchanges with the store from nothing to a bundle, one after the other
// (stamp; routes and configuration; bundles).
package deployment

import (
	"context"
	"slices"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// Deployments are the revisions and deployments of a store's organizations. It
// is safe for concurrent use.
type Deployments struct{ reg *registry.Registry }

// New returns the Deployments of a registry. It must be made before the registry
// is used.
func New(reg *registry.Registry) *Deployments {
	d := &Deployments{reg: reg}
	reg.RegisterJob("proxy", d.clearProxy)
	return d
}

// Upload is a bundle to import.
type Upload struct {
	Organization string
	Kind         entity.Kind
	// Name is what the proxy or shared flow is called, whatever the bundle says.
	Name string
	// Space is the parent space if it is created by this.
	Space string
	// Zip is the bundle as uploaded.
	Zip []byte
	// Bundle is the bundle in the zip if it has been read already.
	Bundle *bundle.Bundle
}

// Request is a revision to deploy.
type Request struct {
	Organization, Environment string
	Kind                      entity.Kind
	Name, Revision            string
	// ServiceAccount is the identity at run time.
	ServiceAccount string
	// HostIdentity lets a bundle that needs a service account run as the host:
	// on a laptop.
	HostIdentity bool
	// Override has the revision replace another one that is deployed.
	Override bool
}

// Get returns what is deployed of a proxy or shared flow in an environment, an
// error of code NotFound if nothing is.
func (d *Deployments) Get(ctx context.Context, org, env string, kind entity.Kind, name string) (*entity.Deployment, error) {
	return d.reg.Deployments.Get(ctx, org, env, string(kind), name)
}

// InEnvironment lists what is deployed in an environment, by name.
func (d *Deployments) InEnvironment(ctx context.Context, org, env string, kind entity.Kind) ([]*entity.Deployment, error) {
	return d.reg.Deployments.All(ctx, org, env, string(kind))
}

// Of lists where revisions of a proxy or shared flow are deployed, by
// environment.
func (d *Deployments) Of(ctx context.Context, org string, kind entity.Kind, name string) ([]*entity.Deployment, error) {
	return d.where(ctx, map[string]string{"org": org, "kind": string(kind), "name": name})
}

// All lists the deployments of an organization.
func (d *Deployments) All(ctx context.Context, org string, kind entity.Kind) ([]*entity.Deployment, error) {
	return d.where(ctx, map[string]string{"org": org, "kind": string(kind)})
}

func (d *Deployments) where(ctx context.Context, fields map[string]string) ([]*entity.Deployment, error) {
	var all []*entity.Deployment
	for item, err := range d.reg.Deployments.Where(ctx, fields, registry.Page{}) {
		if err != nil {
			return nil, err
		}
		all = append(all, item.Value)
	}
	return all, nil
}

// Status is a deployment as the Management API shows it on its own: READY, since
// what is recorded is in force, with its routes.
func (d *Deployments) Status(ctx context.Context, org string, dep *entity.Deployment) (*apigee.GoogleCloudApigeeV1Deployment, error) {
	stamp, err := d.reg.Stamp(ctx, org)
	if err != nil {
		return nil, err
	}
	api := dep.API()
	api.State = "READY"
	instance := &apigee.GoogleCloudApigeeV1InstanceDeploymentStatus{
		Instance:          "perigee",
		DeployedRevisions: []*apigee.GoogleCloudApigeeV1InstanceDeploymentStatusDeployedRevision{{Revision: dep.Revision, Percentage: 100}},
	}
	for _, group := range groupsOf(stamp, dep.Environment) {
		for _, e := range dep.Endpoints {
			instance.DeployedRoutes = append(instance.DeployedRoutes, &apigee.GoogleCloudApigeeV1InstanceDeploymentStatusDeployedRoute{
				Basepath: e.BasePath, Envgroup: group, Environment: dep.Environment, Percentage: 100,
			})
		}
	}
	api.Instances = append(api.Instances, instance)
	return api, nil
}

// groupsOf are the groups an environment is attached to, sorted.
func groupsOf(s *entity.Stamp, env string) []string {
	var groups []string
	for name, g := range s.Groups {
		if slices.Contains(g.Environments(), env) {
			groups = append(groups, name)
		}
	}
	slices.Sort(groups)
	return groups
}
