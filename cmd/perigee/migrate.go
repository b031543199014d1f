package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/perigee-gateway/perigee/shared/apiclient"
	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/migrate"
)

type migrateCmd struct {
	FromApigee fromApigeeCmd `cmd:"" help:"Copy an organization of Apigee (or another perigee) to a Management API. It can be stopped and run again."`
}

type fromApigeeCmd struct {
	Org          string   `arg:"" help:"Organization at the source."`
	TargetOrg    string   `help:"Organization at the target, made if it does not exist; default: the same name." placeholder:"ORG"`
	Source       string   `default:"https://apigee.googleapis.com" help:"The source's Management API."`
	SourceToken  string   `env:"APIGEE_TOKEN" help:"Bearer token for the source; default: what gcloud auth print-access-token gives." placeholder:"TOKEN"`
	Environments []string `help:"Only these environments." placeholder:"ENV"`
	Revisions    string   `default:"deployed" enum:"deployed,all,latest" help:"deployed (and the newest), all or latest revisions of proxies and shared flows."`
	State        string   `help:"File that records what was done; default perigee-migrate-ORG.state." placeholder:"FILE"`
	Report       string   `help:"Write the report to the file, too." placeholder:"FILE"`
	Parallel     int      `default:"4" help:"Resources copied at once."`
	DryRun       bool     `help:"Read everything, check the bundles, write nothing."`
	serverFlags
}

// Run copies, and prints the report whatever came of it.
func (c *fromApigeeCmd) Run(ctx context.Context, s streams) error {
	target, done, err := c.client(ctx, c.target())
	if err != nil {
		return err
	}
	defer done()
	bar := newBar(s.out)
	o := migrate.Options{
		Source: &apiclient.Client{Base: c.Source, Token: c.sourceToken()}, Target: target,
		Organization: c.Org, TargetOrganization: c.target(), Environments: c.Environments, Revisions: c.Revisions,
		Parallel: c.Parallel, DryRun: c.DryRun, Check: boot.LintZip, Progress: bar.step,
	}
	if !c.DryRun {
		if o.State, err = migrate.OpenState(c.stateFile(), migrate.About{
			Source: c.Source, Organization: c.Org, Target: c.where(), TargetOrganization: c.target(),
		}); err != nil {
			return err
		}
		defer o.State.Close()
	}
	report, err := migrate.Run(ctx, o)
	if len(report.Steps) == 0 {
		return err // it did not begin
	}
	bar.end()
	if err := errors.Join(report.Write(s.out), c.writeReport(report)); err != nil {
		return err
	}
	switch {
	case err != nil && !c.DryRun:
		return fmt.Errorf("stopped: %w; the same command goes on from here", err)
	case err != nil:
		return err
	case len(report.Failures) > 0:
		return fmt.Errorf("%d of the steps failed", len(report.Failures))
	}
	return nil
}

func (c *fromApigeeCmd) target() string {
	if c.TargetOrg != "" {
		return c.TargetOrg
	}
	return c.Org
}

// where is the target in the state file.
func (c *fromApigeeCmd) where() string {
	if c.Store != "" {
		return c.Store
	}
	return c.Server
}

func (c *fromApigeeCmd) stateFile() string {
	if c.State != "" {
		return c.State
	}
	return "perigee-migrate-" + c.Org + ".state"
}

func (c *fromApigeeCmd) writeReport(r *migrate.Report) error {
	if c.Report == "" {
		return nil
	}
	f, err := os.Create(c.Report)
	if err != nil {
		return err
	}
	return errors.Join(r.Write(f), f.Close())
}

// tokenLife is how long a token of gcloud's is used: they live for an hour, and
// gcloud hands one out until its end is near.
const tokenLife = 5 * time.Minute

// sourceToken is the token that was given, or gcloud's.
func (c *fromApigeeCmd) sourceToken() func(context.Context) (string, error) {
	if c.SourceToken != "" {
		return fixedToken(c.SourceToken)
	}
	var mu sync.Mutex
	var token string
	var until time.Time
	return func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Now().Before(until) {
			return token, nil
		}
		out, err := exec.CommandContext(ctx, "gcloud", "auth", "print-access-token").Output()
		if err != nil {
			return "", fmt.Errorf("gcloud auth print-access-token: %w (or give --source-token, or APIGEE_TOKEN)", explained(err))
		}
		token, until = strings.TrimSpace(string(out)), time.Now().Add(tokenLife)
		return token, nil
	}
}

// explained adds what a program said when it failed.
func explained(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}

// bar shows how far a migration is: a bar on a terminal, a line for each step
// elsewhere.
type bar struct {
	out   io.Writer
	width int // of the terminal; 0 is none
}

func newBar(out io.Writer) *bar {
	b := &bar{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.width = 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			b.width = w
		}
	}
	return b
}

func (b *bar) step(p migrate.Progress) {
	if b.width == 0 {
		fmt.Fprintf(b.out, "%-13s %s%s\n", p.Outcome, p.Step, because(p.Err))
		return
	}
	if p.Err != nil {
		fmt.Fprintf(b.out, "\r\x1b[K%s %s%s\n", p.Outcome, p.Step, because(p.Err))
	}
	fmt.Fprintf(b.out, "\r\x1b[K%s", b.drawn(p))
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + strings.ReplaceAll(err.Error(), "\n", "; ")
}

// drawn is the bar with the numbers and the step, no wider than the terminal.
func (b *bar) drawn(p migrate.Progress) string {
	const cells = 30
	full := cells * p.Done / max(p.Total, 1)
	line := []rune(fmt.Sprintf("[%s%s] %d/%d %s", strings.Repeat("#", full), strings.Repeat(".", cells-full), p.Done, p.Total, p.Step))
	return string(line[:min(len(line), max(b.width-1, 0))])
}

func (b *bar) end() {
	if b.width > 0 {
		fmt.Fprintln(b.out)
	}
}
