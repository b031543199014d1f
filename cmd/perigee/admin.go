package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"text/tabwriter"

	"github.com/perigee-gateway/perigee/shared/apiclient"
	"github.com/perigee-gateway/perigee/shared/entity"
)

// adminCmd are the commands that set an organization up.
type adminCmd struct {
	Init    initCmd    `cmd:"" help:"Make an organization with environments and an environment group; what exists stays."`
	Grant   grantCmd   `cmd:"" help:"Give members a role in an organization."`
	Revoke  revokeCmd  `cmd:"" help:"Take members' roles in an organization away."`
	Members membersCmd `cmd:"" help:"List who has which role in an organization."`
}

type initCmd struct {
	Org      string   `arg:"" help:"Organization."`
	Env      []string `default:"test" help:"Environments."`
	Group    string   `default:"default" help:"Environment group that the environments are attached to."`
	Hostname []string `help:"Host names of the environment group, when it is made."`
	serverFlags
}

// Run makes what is missing and prints a line for each.
func (c *initCmd) Run(ctx context.Context, s streams) error {
	api, done, err := c.client(ctx, c.Org)
	if err != nil {
		return err
	}
	defer done()
	org := apiclient.Path("organizations", c.Org)
	create := func(noun, name, path string, body any) error {
		err := api.Do(ctx, apiclient.Call{Method: http.MethodPost, Path: path, JSON: body}, nil)
		switch {
		case apiclient.IsExists(err):
			fmt.Fprintf(s.out, "%s %s is there\n", noun, name)
			return nil
		case err != nil:
			return fmt.Errorf("make %s %s: %w", noun, name, err)
		}
		fmt.Fprintf(s.out, "%s %s made\n", noun, name)
		return nil
	}
	if err := create("organization", c.Org, "organizations", map[string]string{"name": c.Org, "displayName": c.Org}); err != nil {
		return err
	}
	for _, env := range c.Env {
		if err := create("environment", env, org+"/environments", map[string]string{"name": env, "displayName": env}); err != nil {
			return err
		}
	}
	if err := create("environment group", c.Group, org+"/envgroups", map[string]any{"name": c.Group, "hostnames": c.Hostname}); err != nil {
		return err
	}
	for _, env := range c.Env {
		path := org + "/" + apiclient.Path("envgroups", c.Group, "attachments")
		if err := create("attachment of", env, path, map[string]string{"environment": env}); err != nil {
			return err
		}
	}
	return nil
}

type grantCmd struct {
	Org    string   `arg:"" help:"Organization; * is every one."`
	Role   string   `arg:"" enum:"viewer,developer,admin" help:"viewer, developer or admin."`
	Member []string `arg:"" help:"E-mail addresses of users or service accounts, or unique ids of service accounts."`
	serverFlags
}

// Run grants the role to each member.
func (c *grantCmd) Run(ctx context.Context, s streams) error {
	api, done, err := c.client(ctx, c.Org)
	if err != nil {
		return err
	}
	defer done()
	for _, m := range c.Member {
		var granted entity.Member
		call := apiclient.Call{Method: http.MethodPut, Path: memberPath(c.Org, m), JSON: map[string]string{"role": c.Role}}
		if err := api.Do(ctx, call, &granted); err != nil {
			return fmt.Errorf("grant %s to %s: %w", c.Role, m, err)
		}
		fmt.Fprintf(s.out, "%s is %s of %s\n", granted.Member, granted.Role, whole(c.Org))
	}
	return nil
}

type revokeCmd struct {
	Org    string   `arg:"" help:"Organization; * for a role in every one."`
	Member []string `arg:"" help:"Members as they were granted a role."`
	serverFlags
}

// Run takes each member's role away.
func (c *revokeCmd) Run(ctx context.Context, s streams) error {
	api, done, err := c.client(ctx, c.Org)
	if err != nil {
		return err
	}
	defer done()
	for _, m := range c.Member {
		var gone entity.Member
		if err := api.Do(ctx, apiclient.Call{Method: http.MethodDelete, Path: memberPath(c.Org, m)}, &gone); err != nil {
			return fmt.Errorf("revoke the role of %s: %w", m, err)
		}
		fmt.Fprintf(s.out, "%s is not %s of %s any more\n", gone.Member, gone.Role, whole(c.Org))
	}
	return nil
}

type membersCmd struct {
	Org string `arg:"" help:"Organization; * lists who has a role in every one."`
	serverFlags
}

// Run prints a table of members and their roles.
func (c *membersCmd) Run(ctx context.Context, s streams) error {
	api, done, err := c.client(ctx, c.Org)
	if err != nil {
		return err
	}
	defer done()
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	query := url.Values{}
	for {
		var page struct {
			Members       []entity.Member
			NextPageToken string
		}
		if err := api.Get(ctx, memberPath(c.Org), query, &page); err != nil {
			return err
		}
		for _, m := range page.Members {
			fmt.Fprintf(w, "%s\t%s\n", m.Member, m.Role)
		}
		if page.NextPageToken == "" {
			return w.Flush()
		}
		query.Set("pageToken", page.NextPageToken)
	}
}

// memberPath is the path of the members of an organization, or of one.
func memberPath(org string, member ...string) string {
	parts := []string{"organizations", org, "members"}
	if org == entity.Everywhere {
		parts = parts[2:]
	}
	return apiclient.Path(slices.Concat(parts, member)...)
}

func whole(org string) string {
	if org == entity.Everywhere {
		return "every organization"
	}
	return org
}
