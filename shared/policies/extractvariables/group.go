package extractvariables

import (
	"github.com/perigee-gateway/perigee/shared/extraction"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/pattern"
)

// group is one element with patterns for one value.
type group struct {
	from  reader
	rules []rule
}

// rule is a pattern and the variables that it sets.
type rule struct {
	pattern *pattern.Pattern
	vars    []flow.Var
}

// reader gives the text that patterns are held against; false if there is none.
type reader interface {
	read(fc *flow.Context, from origin) (string, bool)
}

// messagePart is the path, a header or a parameter of the source.
type messagePart struct{ extraction.Part }

func (p messagePart) read(fc *flow.Context, from origin) (string, bool) {
	if from.message == nil {
		return "", false
	}
	return p.Text(fc, from.message)
}

type anyVariable struct{ v flow.Var }

func (a anyVariable) read(fc *flow.Context, _ origin) (string, bool) {
	v := a.v.Get(fc)
	return v.String(), !v.IsNull()
}

func (g *group) extract(fc *flow.Context, s *step, from origin) error {
	text, ok := g.from.read(fc, from)
	if !ok {
		return nil
	}
	var texts pattern.Captures
	best := g.choose(&texts, text)
	if best == nil {
		return nil
	}
	for i, v := range best.vars {
		if err := s.set(fc, v, flow.StringValue(texts.At(i))); err != nil {
			return err
		}
	}
	return nil
}

// choose returns the rule that matches with the most segments, the first of
// several, and leaves its texts in c.
func (g *group) choose(c *pattern.Captures, text string) *rule {
	if len(g.rules) == 1 {
		if g.rules[0].pattern.Match(c, text) {
			return &g.rules[0]
		}
		return nil
	}
	var best *rule
	for i := range g.rules {
		r := &g.rules[i]
		if best != nil && r.pattern.Segments() <= best.pattern.Segments() {
			continue
		}
		var try pattern.Captures
		if r.pattern.Match(&try, text) {
			best, *c = r, try
		}
	}
	return best
}
