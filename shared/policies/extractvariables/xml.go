package extractvariables

import (
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/extraction"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// xmlPayload sets variables from an XML document.
type xmlPayload struct {
	stop bool
	vars []xmlVariable
}

type xmlVariable struct {
	target flow.Var
	typ    string
	path   *xpath.Expr
}

func (b *builder) xml(c *XMLPayload) {
	b.step.source.UsesBody(b.env)
	namespaces := b.namespaces(c.Namespaces)
	x := &xmlPayload{stop: c.StopPayloadProcessing}
	for _, v := range c.Variables {
		if v.Name == "" {
			b.env.Errorf(v.Pos, "MissingName: <Variable> has no attribute name")
			continue
		}
		if len(v.XPath) == 0 {
			b.env.Errorf(v.Pos, "NoXPathsToEvaluate: <Variable> %s has no <XPath>", v.Name)
		}
		target := b.target(v.Name)
		v.Type = b.typ(v.Pos, v.Name, v.Type)
		for _, src := range v.XPath {
			if p := b.xpath(v, src, namespaces); p != nil {
				x.vars = append(x.vars, xmlVariable{target, v.Type, p})
			}
		}
	}
	if len(c.Variables) == 0 {
		b.env.Errorf(c.Pos, "NoXPathsToEvaluate: <XMLPayload> has no <Variable>")
	}
	b.step.extractors = append(b.step.extractors, x)
}

func (b *builder) namespaces(list []extraction.Namespace) map[string]string {
	return extraction.Namespaces(list, func(n extraction.Namespace, name string) {
		what := "is declared more than once"
		if n.URI == "" {
			what = "has no URI"
		}
		b.env.Errorf(n.Pos, "%s: prefix %q %s", name, n.Prefix, what)
	})
}

// xpath compiles one expression; nil if it cannot be.
func (b *builder) xpath(v XMLVariable, src string, namespaces map[string]string) *xpath.Expr {
	if src == "" {
		b.env.Errorf(v.Pos, "EmptyXPathExpression: <XPath> of variable %s is empty", v.Name)
		return nil
	}
	p, err := xpath.Compile(src, namespaces)
	if err != nil {
		b.env.Errorf(v.Pos, "XPathCompilationFailed: variable %s: %v", v.Name, err)
		return nil
	}
	if v.Type == "nodeset" && !extraction.GivesNodes(p) {
		b.env.Errorf(v.Pos, "CannotBeConvertedToNodeset: variable %s: result of XPath %q cannot be converted to nodeset", v.Name, src)
		return nil
	}
	return p
}

func (x *xmlPayload) extract(fc *flow.Context, s *step, from origin) error {
	text, ok, err := s.payload(from, isXML)
	if !ok || err != nil {
		return err
	}
	doc, err := from.xml(text)
	if err != nil {
		return s.executionFailed(err)
	}
	for _, v := range x.vars {
		r, err := v.path.Eval(doc)
		if err != nil {
			return s.executionFailed(err)
		}
		if r.Empty() {
			continue
		}
		val, err := v.value(s, r)
		if err != nil {
			return err
		}
		if err := s.set(fc, v.target, val); err != nil {
			return err
		}
		if x.stop {
			return nil
		}
	}
	return nil
}

func (o origin) xml(text []byte) (*xpath.Doc, error) {
	if o.message == nil {
		return xpath.ParseText(string(text))
	}
	return xpath.ParseIn(text, o.message.Charset())
}

func (v *xmlVariable) value(s *step, r xpath.Result) (flow.Value, error) {
	if v.typ == "nodeset" {
		return flow.StringValue(r.XML()), nil
	}
	return s.cast(strings.TrimSpace(r.Text()), r.Text(), v.typ)
}

// payload returns the text to parse: the source's own, or the body of a message
// whose content type is the right one.
func (s *step) payload(from origin, right func(string) bool) (text []byte, ok bool, err error) {
	m := from.message
	if m == nil {
		return []byte(from.text.String()), !from.text.IsNull() || !s.ignore, nil
	}
	if !right(m.MediaType()) {
		return nil, false, nil
	}
	text, err = m.Content()
	return text, true, err
}

func isXML(mediaType string) bool {
	return mediaType == "text/xml" || mediaType == "application/xml" ||
		strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+xml")
}

func isJSON(mediaType string) bool { return mediaType == "application/json" }

// cast gives text the declared type; raw is the text of a string.
func (s *step) cast(text, raw, typ string) (flow.Value, error) {
	switch typ {
	case "boolean":
		if strings.EqualFold(text, "true") || strings.EqualFold(text, "false") {
			return flow.BoolValue(strings.EqualFold(text, "true")), nil
		}
	case "integer", "long":
		bits := 64
		if typ == "integer" {
			bits = 32
		}
		if n, err := strconv.ParseInt(text, 10, bits); err == nil {
			return flow.IntValue(n), nil
		}
	case "float", "double":
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return flow.FloatValue(f), nil
		}
	default:
		return flow.StringValue(raw), nil
	}
	return flow.Value{}, s.fault("UnableToCast", "Unable to cast value "+text+" as "+strings.ToUpper(typ)+".")
}
