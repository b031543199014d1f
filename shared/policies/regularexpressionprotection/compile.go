package regularexpressionprotection

import (
	"fmt"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/extraction"
	"github.com/perigee-gateway/perigee/shared/javaregex"
	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	b := &builder{env: env, c: c, step: &step{
		policy: env.Name(), source: extraction.From(c.Source), ignore: c.IgnoreUnresolvedVariables,
	}}
	b.elements()
	if len(b.step.checks) == 0 && len(env.Problems().Errors()) == 0 {
		b.errorf(bundle.Pos{}, "NothingToEnforce", "at least one of URIPath, QueryParam, Header, FormParam, XMLPayload, JSONPayload is mandatory")
	}
	return b.step, nil
}

type builder struct {
	env  *policy.Env
	c    *Config
	step *step
}

func (b *builder) errorf(pos bundle.Pos, name, format string, args ...any) {
	b.env.Errorf(pos, "%s: RegularExpressionProtection %s: %s", name, b.env.Name(), fmt.Sprintf(format, args...))
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
			b.add(&uriPath{b.patterns(p.Pos, "URIPath", p.Patterns)})
		case "QueryParam":
			n, p := b.named("QueryParam", b.c.QueryParam[i])
			b.add(&queryParam{n, p})
		case "Header":
			n, p := b.named("Header", b.c.Headers[i])
			b.add(&header{n, p})
		case "FormParam":
			b.step.source.UsesBody(b.env)
			n, p := b.named("FormParam", b.c.FormParam[i])
			b.add(&formParam{n, p})
		case "Variable":
			n, p := b.named("Variable", b.c.Variable[i])
			b.add(&variable{b.env.Var(n), p})
		case "JSONPayload":
			b.json(&b.c.JSONPayload[i])
		case "XMLPayload":
			b.xml(&b.c.XMLPayload[i])
		}
	}
}

func (b *builder) add(c check) { b.step.checks = append(b.step.checks, c) }

func (b *builder) named(element string, n NamedPatterns) (string, []*javaregex.Regexp) {
	name := strings.TrimSpace(n.Name)
	if name == "" {
		b.env.Errorf(n.Pos, "<%s> has no attribute name", element)
	}
	return name, b.patterns(n.Pos, element+" "+name, n.Patterns)
}

// patterns compiles expressions; context says where they stand.
func (b *builder) patterns(pos bundle.Pos, context string, list []Pattern) []*javaregex.Regexp {
	if len(list) == 0 {
		b.errorf(pos, "NoPatternsToEnforce", "No patterns to enforce in %s", context)
	}
	var out []*javaregex.Regexp
	for _, p := range list {
		compile := javaregex.Compile
		if p.IgnoreCase {
			compile = javaregex.CompileIgnoreCase
		}
		re, err := compile(p.Text)
		if err != nil || p.Text == "" {
			b.errorf(p.Pos, "InvalidRegularExpression", "Invalid Regular Expression %s, Context %s", p.Text, context)
			continue
		}
		out = append(out, re)
	}
	return out
}

func (b *builder) json(c *JSONPayload) {
	b.step.source.UsesBody(b.env)
	if len(c.JSONPath) == 0 {
		b.errorf(c.Pos, "NoPatternsToEnforce", "No patterns to enforce in JSONPayload")
	}
	j := &jsonPayload{escape: c.EscapeSlashCharacter}
	for _, p := range c.JSONPath {
		if p.Expression == "" {
			b.errorf(p.Pos, "EmptyJSONPathExpression", "Empty JSONPath expression")
			continue
		}
		path, err := jsonpath.Compile(p.Expression)
		if err != nil {
			b.errorf(p.Pos, "JSONPathCompilationFailed", "Failed to compile jsonpath %s. Context %v", p.Expression, err)
		}
		j.paths = append(j.paths, jsonCheck{path, b.patterns(p.Pos, "JSONPath "+p.Expression, p.Patterns)})
	}
	b.add(j)
}

func (b *builder) xml(c *XMLPayload) {
	b.step.source.UsesBody(b.env)
	if len(c.XPath) == 0 {
		b.errorf(c.Pos, "NoPatternsToEnforce", "No patterns to enforce in XMLPayload")
	}
	namespaces := b.namespaces(c.Namespaces)
	x := &xmlPayload{}
	for _, p := range c.XPath {
		if path := b.xpath(p, namespaces); path != nil {
			x.paths = append(x.paths, xmlCheck{path, p.Type == "nodeset", b.patterns(p.Pos, "XPath "+p.Expression, p.Patterns)})
		}
	}
	b.add(x)
}

func (b *builder) namespaces(list []extraction.Namespace) map[string]string {
	return extraction.Namespaces(list, func(n extraction.Namespace, name string) {
		if n.URI == "" {
			b.errorf(n.Pos, name, "Non-empty prefix %s cannot be mapped to empty uri", n.Prefix)
		} else {
			b.errorf(n.Pos, name, "Duplicate prefix %s", n.Prefix)
		}
	})
}

// xpath compiles one expression; nil if it cannot be.
func (b *builder) xpath(p XPath, namespaces map[string]string) *xpath.Expr {
	if p.Expression == "" {
		b.errorf(p.Pos, "EmptyXPathExpression", "Empty XPath expression")
		return nil
	}
	e, err := xpath.Compile(p.Expression, namespaces)
	if err != nil {
		b.errorf(p.Pos, "XPathCompilationFailed", "Failed to compile xpath %s. Context %v", p.Expression, err)
		return nil
	}
	if p.Type == "nodeset" && !extraction.GivesNodes(e) {
		b.errorf(p.Pos, "CannotBeConvertedToNodeset", "Result of xpath %s cannot be converted to nodeset. Context XPath", p.Expression)
		return nil
	}
	return e
}
