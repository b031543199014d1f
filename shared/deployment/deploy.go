package deployment

import (
	"context"
	"fmt"
	"slices"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// Deploy deploys a revision. It is refused (FAILED_PRECONDITION) if another
// revision is deployed and Override is not given, and if a base path is already
// that of another proxy in the environment or in one it shares a group with.
// Deploying what is deployed already renews it, with the service account given
// now.
//
// When it returns, the deployment is in force: data planes notice with their
// next look at the stamp.
func (d *Deployments) Deploy(ctx context.Context, q Request) (*entity.Deployment, error) {
	var dep *entity.Deployment
	err := d.reg.Update(ctx, q.Organization, func(tx *registry.Tx) (err error) {
		dep, err = d.deploy(tx, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	return dep, nil
}

func (d *Deployments) deploy(tx *registry.Tx, q Request) (*entity.Deployment, error) {
	stamp, rev, old, err := d.read(tx, q)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Revision != q.Revision && !q.Override {
		return nil, violated("deployment validations failed", violation("OVERRIDE", resource(q),
			fmt.Sprintf("Revision %s of %s %q is already deployed in environment %q; use override=true to replace it.", old.Revision, q.Kind, q.Name, q.Environment)))
	}
	if rev.NeedsServiceAccount && q.ServiceAccount == "" && !q.HostIdentity {
		return nil, violated("deployment validations failed", violation("SERVICE_ACCOUNT", resource(q),
			fmt.Sprintf("Deployment of %q requires a service account identity, but one was not provided with the request.", resource(q))))
	}
	dep := &entity.Deployment{
		Environment: q.Environment, Kind: q.Kind, Name: q.Name, Revision: q.Revision, ServiceAccount: q.ServiceAccount,
		Archive: rev.Archive, Endpoints: rev.Endpoints, Uses: rev.Uses, Extensible: rev.Extensible, StartTime: entity.Millis(tx.Now),
	}
	if q.Kind == entity.SharedFlow {
		err = deployFlow(tx, dep, old)
	} else {
		err = deployRoutes(tx, stamp, dep, old)
	}
	if err != nil {
		return nil, err
	}
	tx.Changed(q.Environment)
	doc, err := d.reg.Deployments.Doc(tx.Now, dep, q.Organization, q.Environment, string(q.Kind), q.Name)
	if err != nil {
		return nil, err
	}
	if err := tx.Put(doc); err != nil {
		return nil, err
	}
	return dep, d.markDeployed(tx, rev)
}

// read reads what a deployment depends on. old is nil if nothing is deployed.
func (d *Deployments) read(tx *registry.Tx, q Request) (stamp *entity.Stamp, rev *entity.Revision, old *entity.Deployment, err error) {
	if stamp, err = tx.Environment(q.Environment); err != nil {
		return nil, nil, nil, err
	}
	rev, err = d.reg.Revisions.In(tx, q.Organization, string(q.Kind), q.Name, q.Revision)
	if entity.IsNotFound(err) {
		err = entity.Errorf(entity.NotFound, "revision %s of %s %q not found", q.Revision, q.Kind, q.Name)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	old, err = d.reg.Deployments.In(tx, q.Organization, q.Environment, string(q.Kind), q.Name)
	if entity.IsNotFound(err) {
		return stamp, rev, nil, nil
	}
	return stamp, rev, old, err
}

// markDeployed makes a revision immutable.
func (d *Deployments) markDeployed(tx *registry.Tx, rev *entity.Revision) error {
	if rev.Deployed {
		return nil
	}
	rev.Deployed = true
	doc, err := d.reg.Revisions.Doc(tx.Now, rev, tx.Organization, string(rev.Kind), rev.Name, rev.Revision)
	if err != nil {
		return err
	}
	return tx.Put(doc)
}

// deployFlow enters a shared flow in the configuration of the environment.
func deployFlow(tx *registry.Tx, dep, old *entity.Deployment) error {
	c, err := tx.EditConfig(dep.Environment)
	if err != nil {
		return err
	}
	if old == nil && len(c.SharedFlows) >= entity.MaxSharedFlows {
		return entity.Errorf(entity.ResourceExhausted, "environment %q has %d shared flows, more are not allowed", dep.Environment, entity.MaxSharedFlows)
	}
	if c.SharedFlows == nil {
		c.SharedFlows = map[string]entity.SharedFlowRef{}
	}
	c.SharedFlows[dep.Name] = entity.SharedFlowRef{
		Revision: dep.Revision, Archive: dep.Archive, ServiceAccount: dep.ServiceAccount, Uses: dep.Uses,
	}
	return nil
}

// deployRoutes replaces the routes of old by those of dep.
func deployRoutes(tx *registry.Tx, stamp *entity.Stamp, dep, old *entity.Deployment) error {
	index := newNodes(tx, stamp)
	conflicts, err := index.conflicts(dep)
	if err != nil {
		return err
	}
	if len(conflicts) > 0 {
		return conflictError(conflicts)
	}
	if old != nil {
		for _, e := range old.Endpoints {
			if err := index.remove(old.Environment, e.BasePath); err != nil {
				return err
			}
		}
	}
	for _, r := range dep.Routes() {
		if err := index.add(r); err != nil {
			return err
		}
	}
	return index.flush()
}

// conflict is a base path that another deployment has.
type conflict struct {
	group string // in which the environments meet; "" in the environment itself
	route entity.Route
}

// conflicts are the base paths of dep that others have: in its environment and in
// those it shares a group with.
func (ns *nodes) conflicts(dep *entity.Deployment) ([]conflict, error) {
	var found []conflict
	for _, e := range dep.Endpoints {
		for _, env := range append([]string{dep.Environment}, ns.stamp.Neighbours(dep.Environment)...) {
			r, err := ns.route(env, e.BasePath)
			if err != nil {
				return nil, err
			}
			if r == nil || env == dep.Environment && r.Proxy == dep.Name {
				continue
			}
			c := conflict{route: *r}
			c.route.Environment = env
			if shared := sharedGroups(ns.stamp, env, dep.Environment); len(shared) > 0 {
				c.group = shared[0]
			}
			found = append(found, c)
		}
	}
	return found, nil
}

func sharedGroups(s *entity.Stamp, a, b string) []string {
	other := groupsOf(s, b)
	return slices.DeleteFunc(groupsOf(s, a), func(g string) bool { return !slices.Contains(other, g) })
}

// conflictError says which deployments hold the base paths.
func conflictError(conflicts []conflict) error {
	var all []*apigee.GoogleRpcPreconditionFailureViolation
	for _, c := range conflicts {
		all = append(all, violation("ROUTING_CONFLICT", c.route.BasePath, c.describe()))
	}
	return violated("deployment validations failed", all...)
}

func (c conflict) describe() string {
	return fmt.Sprintf("Existing deployment of %q contains conflicting base paths: base path %s is that of revision %s in environment %q.",
		c.route.Proxy, c.route.BasePath, c.route.Revision, c.route.Environment)
}

func violation(typ, subject, description string) *apigee.GoogleRpcPreconditionFailureViolation {
	return &apigee.GoogleRpcPreconditionFailureViolation{Type: typ, Subject: subject, Description: description}
}

func violated(message string, v ...*apigee.GoogleRpcPreconditionFailureViolation) error {
	return &entity.Error{Code: entity.FailedPrecondition, Message: message, Violations: v}
}

// resource is the name of the revision to deploy.
func resource(q Request) string {
	return fmt.Sprintf("organizations/%s/%s/%s/revisions/%s", q.Organization, q.Kind.Plural(), q.Name, q.Revision)
}

// Undeploy undeploys a revision; NotFound if it is not deployed.
func (d *Deployments) Undeploy(ctx context.Context, org, env string, kind entity.Kind, name, revision string) error {
	return d.reg.Update(ctx, org, func(tx *registry.Tx) error {
		stamp, err := tx.Environment(env)
		if err != nil {
			return err
		}
		old, err := d.reg.Deployments.In(tx, org, env, string(kind), name)
		if err != nil && !entity.IsNotFound(err) {
			return err
		}
		if old == nil || revision != "" && old.Revision != revision {
			return entity.Errorf(entity.NotFound, "revision %s of %s %q is not deployed in environment %q", revision, kind, name, env)
		}
		if kind == entity.SharedFlow {
			err = undeployFlow(tx, old)
		} else {
			err = undeployRoutes(tx, stamp, old)
		}
		if err != nil {
			return err
		}
		tx.Changed(env)
		return tx.Delete(entity.DeploymentKey(org, env, kind, name))
	})
}

func undeployFlow(tx *registry.Tx, old *entity.Deployment) error {
	c, err := tx.EditConfig(old.Environment)
	if err != nil {
		return err
	}
	delete(c.SharedFlows, old.Name)
	return nil
}

func undeployRoutes(tx *registry.Tx, stamp *entity.Stamp, old *entity.Deployment) error {
	index := newNodes(tx, stamp)
	for _, e := range old.Endpoints {
		if err := index.remove(old.Environment, e.BasePath); err != nil {
			return err
		}
	}
	return index.flush()
}

// Report says what a deployment would change and what it would be refused for,
// without making it.
func (d *Deployments) Report(ctx context.Context, q Request) (*apigee.GoogleCloudApigeeV1DeploymentChangeReport, error) {
	var report *apigee.GoogleCloudApigeeV1DeploymentChangeReport
	err := d.reg.Update(ctx, q.Organization, func(tx *registry.Tx) error {
		stamp, rev, old, err := d.read(tx, q)
		if err != nil {
			return err
		}
		report, err = d.report(tx, q, stamp, rev, old)
		return err
	})
	return report, err
}

func (d *Deployments) report(tx *registry.Tx, q Request, stamp *entity.Stamp, rev *entity.Revision, old *entity.Deployment) (*apigee.GoogleCloudApigeeV1DeploymentChangeReport, error) {
	report := new(apigee.GoogleCloudApigeeV1DeploymentChangeReport)
	if q.Kind == entity.SharedFlow {
		return report, nil
	}
	dep := &entity.Deployment{Environment: q.Environment, Kind: q.Kind, Name: q.Name, Revision: q.Revision, Endpoints: rev.Endpoints}
	conflicts, err := newNodes(tx, stamp).conflicts(dep)
	if err != nil {
		return nil, err
	}
	for _, c := range conflicts {
		report.RoutingConflicts = append(report.RoutingConflicts, &apigee.GoogleCloudApigeeV1DeploymentChangeReportRoutingConflict{
			ConflictingDeployment: routing(&c.route), Description: c.describe(), EnvironmentGroup: c.group,
		})
	}
	if len(conflicts) > 0 {
		return report, nil
	}
	report.RoutingChanges = changes(stamp, old, dep)
	return report, nil
}

// UndeployReport says what undeploying a revision would change.
func (d *Deployments) UndeployReport(ctx context.Context, q Request) (*apigee.GoogleCloudApigeeV1DeploymentChangeReport, error) {
	old, err := d.Get(ctx, q.Organization, q.Environment, q.Kind, q.Name)
	if entity.IsNotFound(err) || err == nil && old.Revision != q.Revision {
		return nil, entity.Errorf(entity.NotFound, "revision %s of %s %q is not deployed in environment %q", q.Revision, q.Kind, q.Name, q.Environment)
	}
	if err != nil {
		return nil, err
	}
	stamp, err := d.reg.Stamp(ctx, q.Organization)
	if err != nil {
		return nil, err
	}
	return &apigee.GoogleCloudApigeeV1DeploymentChangeReport{RoutingChanges: changes(stamp, old, nil)}, nil
}

// changes are the routes that lead elsewhere after a deployment.
func changes(stamp *entity.Stamp, old, dep *entity.Deployment) []*apigee.GoogleCloudApigeeV1DeploymentChangeReportRoutingChange {
	type ends struct{ from, to *entity.Route }
	byPath := map[string]*ends{}
	var paths []string
	at := func(path string) *ends {
		if byPath[path] == nil {
			byPath[path] = new(ends)
			paths = append(paths, path)
		}
		return byPath[path]
	}
	env := ""
	for i, side := range []*entity.Deployment{old, dep} {
		if side == nil {
			continue
		}
		env = side.Environment
		for _, r := range side.Routes() {
			if i == 0 {
				at(r.BasePath).from = &r
			} else {
				at(r.BasePath).to = &r
			}
		}
	}
	var all []*apigee.GoogleCloudApigeeV1DeploymentChangeReportRoutingChange
	for _, group := range groupsOf(stamp, env) {
		for _, path := range paths {
			e := byPath[path]
			all = append(all, &apigee.GoogleCloudApigeeV1DeploymentChangeReportRoutingChange{
				EnvironmentGroup: group, FromDeployment: routing(e.from), ToDeployment: routing(e.to),
				Description: fmt.Sprintf("Calls to %s in environment group %s", path, group),
			})
		}
	}
	return all
}

func routing(r *entity.Route) *apigee.GoogleCloudApigeeV1DeploymentChangeReportRoutingDeployment {
	if r == nil {
		return nil
	}
	return &apigee.GoogleCloudApigeeV1DeploymentChangeReportRoutingDeployment{
		ApiProxy: r.Proxy, Basepath: r.BasePath, Environment: r.Environment, Revision: r.Revision,
	}
}
