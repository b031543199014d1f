package datacapture

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/extraction"
	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/pattern"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{
		policy: env.Name(), ignore: c.IgnoreUnresolvedVariables, throw: c.ThrowExceptionOnLimit,
		collectors: env.Collectors, analytics: env.Analytics, errors: env.Var("dataCapturePolicyErrors"),
	}
	if s.collectors == nil {
		s.collectors = anyCollector{}
	}
	if s.analytics == nil {
		env.Errorf(bundle.Pos{}, "this host records no analytics")
	}
	if len(c.Capture) == 0 {
		env.Errorf(bundle.Pos{}, "DeploymentAssertionError: <DataCapture> has no <Capture>")
	}
	b := &builder{env: env, step: s}
	seen := map[string]bool{}
	for i := range c.Capture {
		in := &c.Capture[i]
		b.collector(in, seen)
		if in.Collect == nil {
			env.Errorf(in.Pos, "DeploymentAssertionError: <Capture> has no <Collect>")
			continue
		}
		if r := b.reader(in.Collect); r != nil {
			s.captures = append(s.captures, capture{collector: in.DataCollector.Name, from: r, fallback: in.Collect.Default})
		}
	}
	return s, nil
}

// anyCollector is for hosts that know no organization while they compile: every
// collector exists.
type anyCollector struct{}

func (anyCollector) Collector(string) (string, bool) { return "", true }

type builder struct {
	env  *policy.Env
	step *step
}

// collector checks the name of a collector.
func (b *builder) collector(c *Capture, seen map[string]bool) {
	name := c.DataCollector.Name
	switch _, ok := b.step.collectors.Collector(name); {
	case name == "":
		b.env.Errorf(c.Pos, "DeploymentAssertionError: <Capture> has no <DataCollector>")
	case seen[name]:
		b.env.Errorf(c.Pos, "DeploymentAssertionError: data collector %s is in more than one <Capture>", name)
	case !ok:
		// No error: a collector that is deleted must not take the proxy down.
		b.env.Warnf(c.Pos, "data collector %s does not exist in the organization", name)
	}
	seen[name] = true
}

// reader compiles what to take; nil if that is not said.
func (b *builder) reader(c *Collect) reader {
	var found []reader
	if c.Ref != "" {
		found = append(found, b.variable(c))
	}
	m := b.message(c)
	if c.URIPath != nil {
		found = append(found, &apart{message: m, from: extraction.URIPath, patterns: b.patterns(c.URIPath.Pos, c.URIPath.Patterns, true)})
		if len(c.URIPath.Patterns) == 0 {
			b.env.Errorf(c.URIPath.Pos, "PatternCompilationFailed: <URIPath> has no <Pattern>")
		}
	}
	for _, n := range []struct {
		element, property string
		*extraction.NamedPatterns
	}{{"QueryParam", "queryparam", c.QueryParam}, {"Header", "header", c.Header}, {"FormParam", "formparam", c.FormParam}} {
		if n.NamedPatterns == nil {
			continue
		}
		if n.Name == "" {
			b.env.Errorf(n.Pos, "DeploymentAssertionError: <%s> has no attribute name", n.element)
		}
		if n.element == "FormParam" {
			m.UsesBody(b.env)
		}
		found = append(found, &apart{message: m, from: extraction.Property(n.property + "." + n.Name), patterns: b.patterns(n.Pos, n.Patterns, false)})
	}
	if c.JSONPayload != nil {
		m.UsesBody(b.env)
		found = append(found, b.json(c.JSONPayload, m))
	}
	if c.XMLPayload != nil {
		m.UsesBody(b.env)
		found = append(found, b.xml(c.XMLPayload, m))
	}
	if len(found) == 0 {
		b.env.Errorf(c.Pos, "DeploymentAssertionError: <Collect> has neither ref nor one of <URIPath>, <QueryParam>, <Header>, <FormParam>, <JSONPayload> and <XMLPayload>")
		return nil
	}
	if len(found) > 1 {
		b.env.Errorf(c.Pos, "DeploymentAssertionError: <Collect> takes more than one value")
	}
	if c.Source != nil && c.Source.ClearPayload {
		m.UsesBody(b.env)
		return &clearing{found[0], m}
	}
	return found[0]
}

func (b *builder) variable(c *Collect) reader {
	name := strings.TrimSpace(c.Ref)
	if strings.HasPrefix(name, "private.") {
		return private{name}
	}
	return variable{b.env.Var(name)}
}

func (b *builder) message(c *Collect) source {
	name := "message"
	if c.Source != nil {
		name = c.Source.Name
	}
	if name == "" {
		b.env.Errorf(c.Source.Pos, "DeploymentAssertionError: <Source> is empty")
	}
	return source{extraction.From(name)}
}

func (b *builder) patterns(pos bundle.Pos, list []extraction.Pattern, path bool) []*pattern.Pattern {
	var out []*pattern.Pattern
	for _, in := range list {
		p, err := pattern.Compile(in.Text, path, in.IgnoreCase)
		if err != nil {
			b.env.Errorf(in.Pos, "PatternCompilationFailed: %v", err)
			continue
		}
		if names := p.Names(); len(names) != 1 || names[0] != "$" {
			b.env.Errorf(in.Pos, "PatternCompilationFailed: pattern %q does not have {$} once and no other variable", in.Text)
		}
		out = append(out, p)
	}
	return out
}

func (b *builder) json(c *JSONPayload, m source) reader {
	j := &jsonPart{message: m}
	for _, src := range append(c.JSONPath, c.Misspelt...) {
		p, err := jsonpath.Compile(src)
		if err != nil || src == "" {
			b.env.Errorf(c.Pos, "JsonPathCompilationFailed: <JSONPath> %q: %v", src, err)
			continue
		}
		j.paths = append(j.paths, p)
	}
	if len(c.JSONPath)+len(c.Misspelt) == 0 {
		b.env.Errorf(c.Pos, "JsonPathCompilationFailed: <JSONPayload> has no <JSONPath>")
	}
	return j
}

func (b *builder) xml(c *XMLPayload, m source) reader {
	namespaces := extraction.Namespaces(c.Namespaces, func(n extraction.Namespace, name string) {
		b.env.Errorf(n.Pos, "XPathCompilationFailed: %s: prefix %q", name, n.Prefix)
	})
	e, err := xpath.Compile(c.XPath, namespaces)
	if err != nil || c.XPath == "" {
		b.env.Errorf(c.Pos, "XPathCompilationFailed: <XPath> %q: %v", c.XPath, err)
	}
	return &xmlPart{message: m, path: e}
}
