package migrate

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Report is what became of a migration.
type Report struct {
	options Options
	// Steps are the numbers of steps by kind and outcome.
	Steps map[string]map[Outcome]int
	// Failures say why steps failed, Notes what needs a hand or to be known.
	Failures, Notes []string
}

func newReport(o Options) *Report {
	return &Report{options: o, Steps: map[string]map[Outcome]int{}}
}

func (r *Report) add(s step, outcome Outcome, err error, notes []string) {
	if r.Steps[s.kind] == nil {
		r.Steps[s.kind] = map[Outcome]int{}
	}
	r.Steps[s.kind][outcome]++
	if err != nil {
		r.Failures = append(r.Failures, s.id()+": "+err.Error())
	}
	for _, n := range notes {
		r.Notes = append(r.Notes, s.id()+": "+n)
	}
}

// always is what every migration leaves to people.
var always = []string{
	"host names of environment groups: point DNS at the new gateway and give it certificates for them",
	"roles: members of the Google Cloud project are not members here; grant them with perigee admin grant",
	"OAuth tokens that were issued stay with Apigee: clients ask for new ones with the same keys",
	"developers and apps have new ids (developerId, appId); e-mail addresses, names, keys and secrets are the same",
	"not copied: rate plans, subscriptions, balances, portals, reports, analytics, debug sessions, caches' contents, quota counts",
}

// Write writes the report as text.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	from, to := r.options.Organization, r.options.TargetOrganization
	fmt.Fprintf(&b, "\nMigration of %s to %s", from, to)
	if r.options.DryRun {
		b.WriteString(" (dry run: nothing was written)")
	}
	b.WriteString("\n\n")
	for _, kind := range slices.Sorted(maps.Keys(r.Steps)) {
		var parts []string
		for _, o := range []Outcome{Copied, Before, Planned, Failed} {
			if n := r.Steps[kind][o]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, o))
			}
		}
		fmt.Fprintf(&b, "  %-18s %s\n", kind, strings.Join(parts, ", "))
	}
	section(&b, "Failed; run the same command again when the reason is gone", r.Failures)
	section(&b, "Needs a hand", r.Notes)
	section(&b, "In any case", always)
	_, err := io.WriteString(w, b.String())
	return err
}

func section(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for _, l := range slices.Sorted(slices.Values(lines)) {
		fmt.Fprintf(b, "  - %s\n", strings.ReplaceAll(l, "\n", "\n    "))
	}
}
