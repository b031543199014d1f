package management

import (
	"context"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/entity"
)

// deploymentList is the answer with deployments; none is {}.
func deploymentList(all []*entity.Deployment, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	list := &apigee.GoogleCloudApigeeV1ListDeploymentsResponse{}
	for _, d := range all {
		list.Deployments = append(list.Deployments, d.API())
	}
	return list, nil
}

// askedKind is API proxies, or shared flows with sharedFlows=true.
func (c *call) askedKind() (entity.Kind, error) {
	flows, err := c.flag("sharedFlows")
	if flows {
		return entity.SharedFlow, err
	}
	return entity.API, err
}

func listDeployments(c *call) (any, error) {
	kind, err := c.askedKind()
	if err != nil {
		return nil, err
	}
	return deploymentList(c.Deployments.All(c.ctx(), c.param("org"), kind))
}

func listEnvironmentDeployments(c *call) (any, error) {
	kind, err := c.askedKind()
	if err != nil {
		return nil, err
	}
	return deploymentList(c.Deployments.InEnvironment(c.ctx(), c.param("org"), c.param("env"), kind))
}

// listDeployments are those of a proxy or shared flow: of the path's environment
// and revision, if it has them.
func (b bundles) listDeployments(c *call) (any, error) {
	if _, err := b.find(c); err != nil {
		return nil, err
	}
	all, err := c.Deployments.Of(c.ctx(), c.param("org"), b.kind, c.param("api"))
	var some []*entity.Deployment
	for _, d := range all {
		if (c.param("env") == "" || d.Environment == c.param("env")) && (c.param("rev") == "" || d.Revision == c.param("rev")) {
			some = append(some, d)
		}
	}
	return deploymentList(some, err)
}

// getDeployment is the state of a deployed revision.
func (b bundles) getDeployment(c *call) (any, error) {
	d, err := c.Deployments.Get(c.ctx(), c.param("org"), c.param("env"), b.kind, c.param("api"))
	if entity.IsNotFound(err) || err == nil && d.Revision != c.param("rev") {
		return nil, notFound("Deployment of %s %q revision %s in environment %q not found", b.kind, c.param("api"), c.param("rev"), c.param("env"))
	}
	if err != nil {
		return nil, err
	}
	return c.Deployments.Status(c.ctx(), c.param("org"), d)
}

// request is what the path and query ask to deploy.
func (b bundles) request(c *call) (deployment.Request, error) {
	override, err := c.flag("override")
	if err != nil {
		return deployment.Request{}, err
	}
	// Everything changes in one transaction: there is no order to sequence.
	if _, err := c.flag("sequencedRollout"); err != nil {
		return deployment.Request{}, err
	}
	account, err := serviceAccount(c.query.Get("serviceAccount"))
	return deployment.Request{
		Organization: c.param("org"), Environment: c.param("env"), Kind: b.kind, Name: c.param("api"), Revision: c.param("rev"),
		ServiceAccount: account, Override: override,
	}, err
}

// serviceAccount is an account's e-mail address, given alone or as the resource
// projects/P/serviceAccounts/EMAIL.
func serviceAccount(s string) (string, error) {
	if i := strings.LastIndex(s, "/serviceAccounts/"); i >= 0 {
		s = s[i+len("/serviceAccounts/"):]
	}
	if s != "" && (strings.Count(s, "@") != 1 || strings.HasPrefix(s, "@") || strings.HasSuffix(s, "@") || strings.ContainsAny(s, " /\r\n\t\"<>")) {
		return "", invalid("serviceAccount %q is not the e-mail address of a service account", s)
	}
	return s, nil
}

// deploy validates the revision for its environment, then deploys it. When it
// answers, the deployment is in force.
func (b bundles) deploy(c *call) (any, error) {
	q, err := b.request(c)
	if err != nil {
		return nil, err
	}
	if err := b.fit(c); err != nil {
		return nil, err
	}
	d, err := c.Deployments.Deploy(c.ctx(), q)
	if err != nil {
		return nil, err
	}
	return d.API(), nil
}

// fit is an error if the path's revision cannot run in the path's environment:
// the compiler knows more than when it was imported.
func (b bundles) fit(c *call) error {
	zip, err := c.Deployments.Bundle(c.ctx(), c.param("org"), b.kind, c.param("api"), c.param("rev"))
	if err != nil {
		return err
	}
	_, _, err = c.validate(c.param("env"), b.kind, zip)
	return err
}

func (b bundles) undeploy(c *call) (any, error) {
	if _, err := c.flag("sequencedRollout"); err != nil {
		return nil, err
	}
	return nil, c.Deployments.Undeploy(c.ctx(), c.param("org"), c.param("env"), b.kind, c.param("api"), c.param("rev"))
}

// deployReport says what a deployment would change, and why it would be refused.
func (b bundles) deployReport(c *call) (any, error) {
	return b.report(c, c.Deployments.Report)
}

func (b bundles) undeployReport(c *call) (any, error) {
	return b.report(c, c.Deployments.UndeployReport)
}

func (b bundles) report(c *call, of func(context.Context, deployment.Request) (*apigee.GoogleCloudApigeeV1DeploymentChangeReport, error)) (any, error) {
	q, err := b.request(c)
	if err != nil {
		return nil, err
	}
	return of(c.ctx(), q)
}
