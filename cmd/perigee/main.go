// Command perigee runs Apigee API proxies: on a laptop, in a container, and as
// the tool that checks and deploys bundles.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line. Other programs rely on serve, gateway, management,
// lint and deploy.
type cli struct {
	Version kong.VersionFlag `help:"Print the version."`

	Serve      serveCmd      `cmd:"" help:"Run gateway and Management API on this machine; bundles are deployed at start and again when their files change."`
	Gateway    gatewayCmd    `cmd:"" help:"Run the data plane, configured by PERIGEE_ environment variables (container entry point)."`
	Management managementCmd `cmd:"" help:"Run the Management API, configured by PERIGEE_ environment variables (container entry point)."`
	Lint       lintCmd       `cmd:"" help:"Report every problem of bundles as file:line: message."`
	Deploy     deployCmd     `cmd:"" help:"Import a bundle and deploy it through a Management API."`
	Migrate    migrateCmd    `cmd:"" help:"Copy organizations from elsewhere."`
	Backup     backupCmd     `cmd:"" help:"Save the configuration of an organization, secrets included, in one file."`
	Restore    restoreCmd    `cmd:"" help:"Make the organization that a backup holds."`
	Tokens     tokensCmd     `cmd:"" help:"Look at OAuth tokens."`
	Reference  referenceCmd  `cmd:"" hidden:"" help:"Print docs/CLI.md."`
	Admin      adminCmd      `cmd:"" help:"Set an organization up: what it consists of, who may do what."`
}

// version is set with -ldflags "-X main.version=1.2.3".
var version = "dev"

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run executes one command line and returns the exit code: 0, 1 if the command
// failed, 2 if it could not be understood.
func run(ctx context.Context, args []string, s streams) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c, kong.Name("perigee"), kong.Description("Apigee API proxies as serverless functions."),
		kong.UsageOnError(), kong.Vars{"version": version}, kong.Writers(s.out, s.err), kong.Exit(func(code int) { exit = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s))
	if err != nil {
		fmt.Fprintln(s.err, "perigee:", err)
		return 2
	}
	kctx, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err != nil {
		fmt.Fprintln(s.err, "perigee:", err)
		return 2
	}
	if err := kctx.Run(); err != nil {
		fmt.Fprintln(s.err, "perigee:", err)
		return 1
	}
	return 0
}
