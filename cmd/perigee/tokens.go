package main

import (
	"context"
	"fmt"
	"net/url"
	"text/tabwriter"

	"github.com/perigee-gateway/perigee/shared/apiclient"
)

// tokensCmd are the commands about OAuth tokens.
type tokensCmd struct {
	Stats tokenStatsCmd `cmd:"" help:"Count the tokens in the store, live and expired, by app and proxy."`
}

type tokenStatsCmd struct {
	Org string `arg:"" help:"Organization."`
	App string `help:"Count those of one app only, given by its id: reads no other tokens." placeholder:"APP-ID"`
	serverFlags
}

// Run prints a table of how many tokens each app has of each proxy. Expired
// tokens stay in the store for three days.
func (c *tokenStatsCmd) Run(ctx context.Context, s streams) error {
	api, done, err := c.client(ctx, c.Org)
	if err != nil {
		return err
	}
	defer done()
	type count struct{ Live, Never, Revoked, Expired int }
	var answer struct {
		Tokens []struct {
			App, AppID, Environment, Proxy string
			Access, Refresh                count
		}
	}
	query := url.Values{}
	if c.App != "" {
		query.Set("app", c.App)
	}
	if err := api.Get(ctx, apiclient.Path("organizations", c.Org)+"/tokens:stats", query, &answer); err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "APP\tENVIRONMENT\tPROXY\tKIND\tLIVE\tNEVER EXPIRE\tREVOKED\tEXPIRED")
	for _, t := range answer.Tokens {
		app := t.App
		if app == "" {
			app = t.AppID + " (deleted)"
		}
		row := func(kind string, n count) {
			if n != (count{}) {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", app, t.Environment, t.Proxy, kind, n.Live, n.Never, n.Revoked, n.Expired)
			}
		}
		row("access", t.Access)
		row("refresh", t.Refresh)
	}
	return w.Flush()
}
