package bundle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a bundle. File is relative to the bundle root
// ("policies/AM-1.xml"), Line counts from 1; 0 means the file as a whole.
type Pos struct {
	File string
	Line int
}

// String returns "file:line", or the file alone without a line.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Problem is one finding about a bundle. A warning does not keep the bundle
// from being deployed.
type Problem struct {
	Pos
	Message string
	Warning bool
}

// String returns "file:line: message", with "warning: " before the message of
// a warning.
func (p Problem) String() string {
	text := p.Message
	if p.Warning {
		text = "warning: " + text
	}
	if p.Pos == (Pos{}) {
		return text
	}
	return p.Pos.String() + ": " + text
}

// Problems collects findings. As an error it stands for those that are not
// warnings.
type Problems []Problem

// Errorf adds an error at pos.
func (ps *Problems) Errorf(pos Pos, format string, args ...any) {
	*ps = append(*ps, Problem{Pos: pos, Message: fmt.Sprintf(format, args...)})
}

// Warnf adds a warning at pos.
func (ps *Problems) Warnf(pos Pos, format string, args ...any) {
	*ps = append(*ps, Problem{Pos: pos, Message: fmt.Sprintf(format, args...), Warning: true})
}

// Add appends err at pos; a Problems or Problem inside err keeps its own
// places. A nil err adds nothing.
func (ps *Problems) Add(pos Pos, err error) {
	switch e := err.(type) {
	case nil:
	case Problems:
		*ps = append(*ps, e...)
	default:
		ps.Errorf(pos, "%s", e)
	}
}

// Sort orders by file, line and message and drops repetitions.
func (ps *Problems) Sort() {
	slices.SortStableFunc(*ps, func(a, b Problem) int {
		return cmp.Or(
			strings.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			strings.Compare(a.Message, b.Message),
		)
	})
	*ps = slices.Compact(*ps)
}

// Errors returns the problems that are not warnings.
func (ps Problems) Errors() Problems { return ps.filter(false) }

// Warnings returns the warnings.
func (ps Problems) Warnings() Problems { return ps.filter(true) }

func (ps Problems) filter(warning bool) Problems {
	var out Problems
	for _, p := range ps {
		if p.Warning == warning {
			out = append(out, p)
		}
	}
	return out
}

// Err returns nil when there are only warnings, else ps sorted, warnings
// included.
func (ps Problems) Err() error {
	if len(ps.Errors()) == 0 {
		return nil
	}
	out := slices.Clone(ps)
	out.Sort()
	return out
}

// Error lists the problems that are not warnings, one to a line.
func (ps Problems) Error() string { return ps.Errors().String() }

// String lists all problems, one to a line.
func (ps Problems) String() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
