package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/perigee-gateway/perigee/shared/apiclient"
	"github.com/perigee-gateway/perigee/shared/bundle"
)

type deployCmd struct {
	Bundle         string `arg:"" help:"Bundle directory or zip."`
	Name           string `help:"Name of the proxy or shared flow; default: the bundle's own."`
	Env            string `required:"" help:"Environment to deploy to."`
	Org            string `default:"local" help:"Organization."`
	ServiceAccount string `help:"Service account that targets' Google tokens are minted for."`
	serverFlags
}

// Run imports the bundle, shows the warnings, and deploys the new revision, taking
// the place of the one deployed before.
func (c *deployCmd) Run(ctx context.Context, s streams) error {
	b, err := bundle.Load(c.Bundle)
	if err != nil {
		return err
	}
	data, err := bundle.Zip(b)
	if err != nil {
		return err
	}
	api, done, err := c.client(ctx, c.Org)
	if err != nil {
		return err
	}
	defer done()
	name, collection := c.name(b), "apis"
	if b.Kind == bundle.KindSharedFlow {
		collection = "sharedflows"
	}
	var imported struct {
		Revision string
		Warnings []string
	}
	err = api.Do(ctx, apiclient.Call{
		Method: http.MethodPost, Path: apiclient.Path("organizations", c.Org, collection), Body: data, ContentType: "application/octet-stream",
		Query: url.Values{"action": {"import"}, "name": {name}},
	}, &imported)
	if err != nil {
		return fmt.Errorf("import %s: %w", name, err)
	}
	for _, w := range imported.Warnings {
		fmt.Fprintln(s.err, "warning:", w)
	}
	query := url.Values{"override": {"true"}}
	if c.ServiceAccount != "" {
		query.Set("serviceAccount", c.ServiceAccount)
	}
	err = api.Do(ctx, apiclient.Call{
		Method: http.MethodPost, Query: query,
		Path: apiclient.Path("organizations", c.Org, "environments", c.Env, collection, name, "revisions", imported.Revision, "deployments"),
	}, nil)
	if err != nil {
		return fmt.Errorf("deploy %s revision %s: %w", name, imported.Revision, err)
	}
	fmt.Fprintf(s.out, "deployed %s revision %s to %s\n", name, imported.Revision, c.Env)
	return nil
}

// name is what the bundle is deployed as.
func (c *deployCmd) name(b *bundle.Bundle) string {
	switch {
	case c.Name != "":
		return c.Name
	case b.Name != "":
		return b.Name
	}
	return strings.TrimSuffix(filepath.Base(c.Bundle), filepath.Ext(c.Bundle))
}
