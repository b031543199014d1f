// Package migrate copies an organization from one Management API to another:
// from Apigee's to perigee's. It only reads at the source.
//
// The work is a list of steps in phases: what is needed comes before what needs
// it, and steps of one phase know nothing of each other. Each step can be
// repeated: it looks for what is there before it makes anything. A state file
// records the steps that were done, so a migration that was killed goes on where
// it was; one whose file is lost looks at everything again and doubles nothing.
//
// A resource that cannot be read or that the target refuses fails its step and
// no other. What no API gives (private keys), and what does not mean the same on
// the other side, ends up in the report.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/perigee-gateway/perigee/shared/apiclient"
)

// Which revisions of API proxies and shared flows are copied.
const (
	// Deployed are those that are deployed, and the newest.
	Deployed = "deployed"
	// All is every revision.
	All = "all"
	// Latest is the newest only, and not what is deployed in its place.
	Latest = "latest"
)

// Options are what is copied, from where and to where.
type Options struct {
	Source, Target *apiclient.Client
	// Organization is the one to read, TargetOrganization the one to write,
	// made if it does not exist.
	Organization, TargetOrganization string
	// Environments are those to copy; empty is all.
	Environments []string
	// Revisions is Deployed, All or Latest.
	Revisions string
	// State is where what was done is recorded; nil is nowhere.
	State *State
	// Parallel is how many steps run at once at most; 0 is 4.
	Parallel int
	// DryRun reads, and writes nothing.
	DryRun bool
	// Check, if set, says in a dry run what the target would say of a bundle.
	Check func(zip []byte) error
	// Progress is told of every step when it is over, one at a time.
	Progress func(Progress)
}

// Progress is a step that is over.
type Progress struct {
	// Done of Total steps are over, this one included.
	Done, Total int
	// Step names it: "environment test".
	Step string
	// Outcome is what became of it, Err why it failed.
	Outcome Outcome
	Err     error
}

// Outcome is what became of a step.
type Outcome string

// The outcomes.
const (
	Copied  Outcome = "copied"
	Before  Outcome = "copied before" // by a run that the state file knows of
	Planned Outcome = "to be copied"  // in a dry run
	Failed  Outcome = "failed"
)

// migration is one Run.
type migration struct {
	Options
	report *Report
	mu     sync.Mutex
	done   int
	total  int
	phases [][]step
	// deployed are the deployments at the source.
	deployed []deployment
	// mapped are the target's revisions by sourceRevision.
	mapped map[string]string
}

// step is a part of the work that is done or not. Its name is its id in the
// state file.
type step struct {
	kind, name string
	run        func(ctx context.Context, t *task) error
}

func (s step) id() string { return s.kind + " " + s.name }

// task is a step being run: what it has to say for the report.
type task struct {
	m     *migration
	notes []string
}

// note says what somebody has to do, or to know.
func (t *task) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// Run copies. The report is there also beside an error, which is one that ends
// everything: the context, a server that cannot be reached, a token that is not
// taken. Steps that failed are in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.TargetOrganization == "" {
		o.TargetOrganization = o.Organization
	}
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	m := &migration{Options: o, report: newReport(o), mapped: map[string]string{}}
	if err := m.plan(ctx); err != nil {
		return m.report, fmt.Errorf("read what there is to copy: %w", err)
	}
	for _, p := range m.phases {
		m.total += len(p)
	}
	for _, p := range m.phases {
		if err := m.phase(ctx, p); err != nil {
			return m.report, err
		}
	}
	return m.report, nil
}

// phase runs steps beside each other. An error is one that ends everything.
func (m *migration) phase(ctx context.Context, steps []step) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(m.Parallel)
	for _, s := range steps {
		g.Go(func() error { return m.step(ctx, s) })
	}
	return g.Wait()
}

func (m *migration) step(ctx context.Context, s step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r, ok := m.State.get(s.id()); ok && r.Done {
		m.over(s, Before, nil, r.Notes)
		return nil
	}
	if m.DryRun && s.kind != listing && s.kind != "proxy" && s.kind != "shared flow" && s.kind != "alias" {
		m.over(s, Planned, nil, nil)
		return nil
	}
	t := &task{m: m}
	err := s.run(ctx, t)
	if fatal(ctx, err) {
		return fmt.Errorf("%s: %w", s.id(), err)
	}
	outcome := Copied
	switch {
	case err != nil:
		outcome = Failed
	case m.DryRun:
		outcome = Planned
	default:
		if err := m.State.put(s.id(), entry{Done: true, Notes: t.notes}); err != nil {
			return err
		}
	}
	m.over(s, outcome, err, t.notes)
	return nil
}

// fatal reports whether an error ends everything: nothing else would do better.
func fatal(ctx context.Context, err error) bool {
	if err == nil {
		return false
	}
	if ctx.Err() != nil || apiclient.StatusOf(err) == http.StatusUnauthorized {
		return true
	}
	var unreached *unreachable
	return errors.As(err, &unreached)
}

// unreachable is that a server did not answer.
type unreachable struct{ err error }

func (e *unreachable) Error() string { return e.err.Error() }
func (e *unreachable) Unwrap() error { return e.err }

// over counts a step and tells of it.
func (m *migration) over(s step, outcome Outcome, err error, notes []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done++
	m.report.add(s, outcome, err, notes)
	if m.Progress != nil {
		m.Progress(Progress{Done: m.done, Total: m.total, Step: s.id(), Outcome: outcome, Err: err})
	}
}

// read reads from the source, beneath the organization.
func (m *migration) read(ctx context.Context, path string, query map[string][]string, v any) error {
	return asked("source", m.Source.Get(ctx, under(m.Organization, path), query, v))
}

// look reads from the target.
func (m *migration) look(ctx context.Context, path string, query map[string][]string, v any) error {
	return asked("target", m.Target.Get(ctx, under(m.TargetOrganization, path), query, v))
}

// write calls the target, beneath the organization.
func (m *migration) write(ctx context.Context, c apiclient.Call, v any) error {
	c.Path = under(m.TargetOrganization, c.Path)
	return asked("target", m.Target.Do(ctx, c, v))
}

// put creates something, or updates what is there already; update without a
// method leaves that as it is.
func (m *migration) put(ctx context.Context, create, update apiclient.Call) error {
	err := m.write(ctx, create, nil)
	if !apiclient.IsExists(err) {
		return err
	}
	if update.Method == "" {
		return nil
	}
	return m.write(ctx, update, nil)
}

func under(org, path string) string {
	p := apiclient.Path("organizations", org)
	if path != "" {
		p += "/" + path
	}
	return p
}

// asked says which side an error is of.
func asked(side string, err error) error {
	switch {
	case err == nil:
		return nil
	case apiclient.StatusOf(err) == 0:
		return &unreachable{fmt.Errorf("the %s: %w", side, err)}
	}
	return fmt.Errorf("the %s: %w", side, err)
}

// wanted reports whether an environment is one to copy.
func (m *migration) wanted(env string) bool {
	return len(m.Environments) == 0 || slices.Contains(m.Environments, env)
}
