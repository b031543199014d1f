package assignment

import (
	"context"
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/template"
)

// setVariable is one <AssignVariable>. Of text, textRef and so on those that
// are set were given.
type setVariable struct {
	name        flow.Var
	text        *template.Template // ResourceURL or Template
	textRef     flow.Var           // Template ref
	ref         flow.Var
	value       *string
	propertySet *template.Template
}

func (c *compiler) variable(v *Variable) {
	if v.Name == "" {
		c.env.Errorf(v.Pos, "InvalidVariableName: <Name> of <AssignVariable> is empty")
		return
	}
	if strings.HasPrefix(v.Name, "ratelimit") {
		c.env.Warnf(v.Pos, "variable %s: names that start with ratelimit are reserved", v.Name)
	}
	op := &setVariable{name: c.env.Var(v.Name), value: v.Value}
	if v.Ref != nil && *v.Ref != "" {
		op.ref = c.env.Var(*v.Ref)
	}
	if v.PropertySetRef != "" {
		op.propertySet = c.env.Template(v.Pos, v.PropertySetRef)
	}
	if t := v.Template; t != nil {
		if t.Ref != "" {
			op.textRef = c.env.Var(t.Ref)
		}
		if t.Ref == "" || strings.TrimSpace(t.Text) != "" {
			op.text = c.env.Template(t.Pos, t.Text)
		}
	}
	if v.ResourceURL != "" {
		data, err := c.resource(v.ResourceURL)
		if err != nil {
			c.env.Errorf(v.Pos, "%v", err)
			return
		}
		op.text, op.textRef = c.env.Template(v.Pos, string(data)), flow.Var{}
	}
	if op.text == nil && op.textRef.IsZero() && v.Ref == nil && op.value == nil && op.propertySet == nil {
		c.env.Errorf(v.Pos, "<AssignVariable> of %s has none of <ResourceURL>, <Template>, <Ref>, <Value> and <PropertySetRef>", v.Name)
		return
	}
	c.emit(op)
}

func (v *setVariable) apply(_ context.Context, fc *flow.Context, p *Program, _ Target) error {
	val, missing, err := v.eval(fc, p)
	switch {
	case err != nil:
		return err
	case missing != "" && !p.ignore:
		return p.unresolved(missing)
	case val.IsNull():
		err = fc.Remove(v.name.Name())
	default:
		err = v.name.Set(fc, val)
	}
	if err != nil {
		return p.setFailed(v.name.Name(), err)
	}
	return nil
}

// eval returns the value; null with the name of what is missing.
func (v *setVariable) eval(fc *flow.Context, p *Program) (val flow.Value, missing string, err error) {
	if !v.textRef.IsZero() {
		if t := v.textRef.Get(fc); !t.IsNull() {
			return v.evalText(fc, p, t.String())
		}
		missing = v.textRef.Name()
	}
	if v.text != nil {
		s, err := p.expand(fc, v.text)
		return flow.StringValue(s), "", err
	}
	if !v.ref.IsZero() {
		if val := v.ref.Get(fc); !val.IsNull() {
			return val, "", nil
		}
		missing = v.ref.Name()
	}
	if v.value != nil {
		return flow.StringValue(*v.value), "", nil
	}
	if v.propertySet != nil {
		return v.property(fc, p)
	}
	return flow.Value{}, missing, nil
}

func (v *setVariable) evalText(fc *flow.Context, p *Program, src string) (flow.Value, string, error) {
	t, err := template.CompileCached(src)
	if err != nil {
		return flow.Value{}, "", p.setFailed(v.name.Name(), err)
	}
	s, err := p.expand(fc, t)
	return flow.StringValue(s), "", err
}

func (v *setVariable) property(fc *flow.Context, p *Program) (flow.Value, string, error) {
	at, err := p.expand(fc, v.propertySet)
	if err != nil {
		return flow.Value{}, "", err
	}
	at = strings.TrimSpace(at)
	set, key, ok := strings.Cut(at, ".")
	if ok && fc.Proxy.Properties != nil {
		if s, ok := fc.Proxy.Properties.Property(set, key); ok {
			return flow.StringValue(s), "", nil
		}
	}
	return flow.Value{}, "propertyset." + at, nil
}
