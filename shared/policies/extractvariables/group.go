package extractvariables

import (
	"github.com/perigee-gateway/perigee/shared/flow"
)

// group is one element with patterns for one value.
type group struct {
	from  reader
	rules []rule
}

// rule is a pattern and the variables that it sets.
type rule struct {
	pattern *pattern
	vars    []flow.Var
}

// reader gives the text that patterns are held against; false if there is none.
type reader interface {
	read(fc *flow.Context, from origin) (string, bool)
}

// uriPath is the path after the base path.
type uriPath struct{}

func (uriPath) read(fc *flow.Context, from origin) (string, bool) {
	if from.message == nil || !from.message.IsRequest() {
		return "", false
	}
	return fc.PathSuffix, true
}

// messageProperty is a header or parameter of the source.
type messageProperty struct{ property flow.Property }

func (m messageProperty) read(fc *flow.Context, from origin) (string, bool) {
	if from.message == nil {
		return "", false
	}
	v := m.property.Get(fc, from.message)
	return v.String(), !v.IsNull()
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
	var memory, scratch [8]string
	best, texts := g.choose(memory[:0], scratch[:0], text)
	if best == nil {
		return nil
	}
	for i, v := range best.vars {
		if err := s.set(fc, v, flow.StringValue(texts[i])); err != nil {
			return err
		}
	}
	return nil
}

// choose returns the rule that matches with the most segments; the first of
// several.
func (g *group) choose(memory, scratch []string, text string) (best *rule, texts []string) {
	for i := range g.rules {
		r := &g.rules[i]
		if best != nil && len(r.pattern.segments) <= len(best.pattern.segments) {
			continue
		}
		if caps, ok := r.pattern.match(scratch[:0], text); ok {
			best, texts = r, append(memory[:0], caps...)
		}
	}
	return best, texts
}
