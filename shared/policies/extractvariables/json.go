package extractvariables

import (
	"errors"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/template"
)

// jsonPayload sets variables from a JSON document.
type jsonPayload struct {
	stop bool
	vars []jsonVariable
}

type jsonVariable struct {
	target flow.Var
	typ    string
	path   *jsonpath.Path     // nil if it depends on the call
	source *template.Template // gives the path
	cache  *jsonpath.Cache
}

func (b *builder) json(c *JSONPayload) {
	b.step.source.UsesBody(b.env)
	j := &jsonPayload{stop: c.StopPayloadProcessing}
	for _, v := range c.Variables {
		if v.Name == "" {
			b.env.Errorf(v.Pos, "MissingName: <Variable> has no attribute name")
			continue
		}
		if len(v.JSONPath) == 0 {
			b.env.Errorf(v.Pos, "NoJSONPathsToEvaluate: <Variable> %s has no <JSONPath>", v.Name)
		}
		target, typ := b.target(v.Name), b.typ(v.Pos, v.Name, v.Type)
		for _, src := range v.JSONPath {
			j.vars = append(j.vars, b.jsonVariable(v.Pos, target, typ, src))
		}
	}
	if len(c.Variables) == 0 {
		b.env.Errorf(c.Pos, "NoJSONPathsToEvaluate: <JSONPayload> has no <Variable>")
	}
	b.step.extractors = append(b.step.extractors, j)
}

func (b *builder) jsonVariable(pos bundle.Pos, target flow.Var, typ, src string) jsonVariable {
	v := jsonVariable{target: target, typ: typ}
	if src == "" {
		b.env.Errorf(pos, "EmptyJSONPathExpression: a <JSONPath> of variable %s is empty", target.Name())
		return v
	}
	v.source = b.env.Template(pos, src)
	if _, constant := v.source.Constant(); !constant {
		v.cache = new(jsonpath.Cache)
		return v
	}
	p, err := jsonpath.Compile(src)
	if err != nil {
		b.env.Errorf(pos, "JSONPathCompilationFailed: variable %s: %v", target.Name(), err)
	}
	v.path = p
	return v
}

func (j *jsonPayload) extract(fc *flow.Context, s *step, from origin) error {
	text, ok, err := s.payload(from, isJSON)
	if !ok || err != nil {
		return err
	}
	root, err := jsonpath.Parse(text)
	switch {
	case err != nil && from.message == nil:
		return s.fault("JsonPathParsingFailure", "ExtractVariables "+s.policy+": Json path parsing failed for for flow variables "+s.source.Name()).WithCause(err)
	case err != nil:
		return s.executionFailed(err)
	}
	for i := range j.vars {
		v := &j.vars[i]
		val, err := v.eval(fc, s, root)
		if err != nil {
			return err
		}
		if val.IsNull() {
			continue
		}
		if err := s.set(fc, v.target, val); err != nil {
			return err
		}
		if j.stop {
			return nil
		}
	}
	return nil
}

// eval returns the value of the variable, null if it is not to be set.
func (v *jsonVariable) eval(fc *flow.Context, s *step, root *jsonpath.Value) (flow.Value, error) {
	path, err := v.at(fc, s)
	if err != nil {
		return flow.Value{}, err
	}
	found, ok := path.Eval(root)
	switch {
	case !ok && s.ignore:
		return flow.Value{}, nil
	case !ok:
		return flow.Value{}, s.invalidPath(path.String(), nil)
	case found.Kind() == jsonpath.Null:
		return flow.Value{}, nil
	}
	return s.castJSON(found, v.typ)
}

// at returns the path, which may be a template's.
func (v *jsonVariable) at(fc *flow.Context, s *step) (*jsonpath.Path, error) {
	if v.path != nil {
		return v.path, nil
	}
	src, err := v.source.Expand(fc, s.ignore)
	var u *template.Unresolved
	if errors.As(err, &u) {
		return nil, s.invalidPath(v.source.Source(), err)
	}
	if err != nil {
		return nil, s.executionFailed(err)
	}
	path, err := v.cache.Compile(strings.TrimSpace(src))
	if err != nil {
		return nil, s.invalidPath(src, err)
	}
	return path, nil
}

func (s *step) invalidPath(path string, err error) error {
	return s.fault("InvalidJSONPath", "Invalid JSON path "+path+" in policy "+s.policy+".").WithCause(err)
}

// castJSON gives a JSON value the declared type. A number may lose its
// fraction, as Java's conversions have it.
func (s *step) castJSON(v *jsonpath.Value, typ string) (flow.Value, error) {
	text := v.Text()
	switch {
	case typ == "nodeset":
		return flow.StringValue(string(v.AppendJSON(nil))), nil
	case v.Kind() == jsonpath.Number && (typ == "integer" || typ == "long"):
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			break
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil && f > -1<<63 && f < 1<<63 {
			return flow.IntValue(int64(f)), nil
		}
	}
	return s.cast(text, text, typ)
}
