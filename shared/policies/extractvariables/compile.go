package extractvariables

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/extraction"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/pattern"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	b := &builder{env: env, c: c, step: &step{
		policy: env.Name(), source: extraction.From(c.Source.Name),
		clear: c.Source.ClearPayload, ignore: c.IgnoreUnresolvedVariables,
	}}
	b.elements()
	if len(b.step.extractors) == 0 && len(env.Problems().Errors()) == 0 {
		env.Errorf(bundle.Pos{}, "NothingToExtract: policy %s has none of <URIPath>, <QueryParam>, <Header>, <FormParam>, <Variable>, <JSONPayload> and <XMLPayload>", env.Name())
	}
	if b.step.clear {
		b.step.source.UsesBody(env)
	}
	return b.step, nil
}

type builder struct {
	env  *policy.Env
	c    *Config
	step *step
}

// elements compiles the elements in the order of the file.
func (b *builder) elements() {
	seen := map[string]int{}
	for _, el := range b.env.Policy.Root.Children {
		i := seen[el.Name]
		seen[el.Name]++
		switch el.Name {
		case "URIPath":
			p := b.c.URIPath[i]
			b.group(p.Pos, p.Patterns, true, messagePart{extraction.URIPath})
		case "QueryParam":
			b.named(el.Name, b.c.QueryParam[i], "queryparam")
		case "Header":
			b.named(el.Name, b.c.Headers[i], "header")
		case "FormParam":
			b.step.source.UsesBody(b.env)
			b.named(el.Name, b.c.FormParam[i], "formparam")
		case "Variable":
			b.variable(b.c.Variable[i])
		case "JSONPayload":
			if i == 0 {
				b.json(b.c.JSONPayload)
			}
		case "XMLPayload":
			if i == 0 {
				b.xml(b.c.XMLPayload)
			}
		}
	}
}

func (b *builder) named(element string, n extraction.NamedPatterns, property string) {
	name := strings.TrimSpace(n.Name)
	if name == "" {
		b.env.Errorf(n.Pos, "MissingName: <%s> has no attribute name", element)
		return
	}
	b.group(n.Pos, n.Patterns, false, messagePart{extraction.Property(property + "." + name)})
}

func (b *builder) variable(n extraction.NamedPatterns) {
	if n.Name == "" {
		b.env.Errorf(n.Pos, "MissingName: <Variable> has no attribute name")
		return
	}
	b.group(n.Pos, n.Patterns, false, anyVariable{b.env.Var(n.Name)})
}

func (b *builder) group(pos bundle.Pos, patterns []extraction.Pattern, path bool, from reader) {
	g := &group{from: from}
	for _, in := range patterns {
		p, err := pattern.Compile(in.Text, path, in.IgnoreCase)
		if err != nil {
			b.env.Errorf(in.Pos, "%v", err)
			continue
		}
		g.rules = append(g.rules, rule{pattern: p, vars: b.targets(p.Names())})
	}
	if len(patterns) == 0 {
		b.env.Warnf(pos, "there is no <Pattern>: nothing is extracted")
	}
	b.step.extractors = append(b.step.extractors, g)
}

// targets compiles the names of variables to set.
func (b *builder) targets(names []string) []flow.Var {
	vars := make([]flow.Var, len(names))
	for i, n := range names {
		vars[i] = b.target(n)
	}
	return vars
}

func (b *builder) target(name string) flow.Var {
	if p := strings.TrimSuffix(b.c.VariablePrefix, "."); p != "" {
		name = p + "." + name
	}
	return b.env.Var(name)
}

// typ checks the type of a variable.
func (b *builder) typ(pos bundle.Pos, name, typ string) string {
	switch t := strings.ToLower(typ); t {
	case "string", "boolean", "integer", "long", "float", "double", "nodeset":
		return t
	}
	b.env.Errorf(pos, "InstantiationFailed: type of variable %s is %q, want string, boolean, integer, long, float, double or nodeset", name, typ)
	return "string"
}
