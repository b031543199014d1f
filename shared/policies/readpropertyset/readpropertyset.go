// Package readpropertyset implements the <ReadPropertySet> policy: it reads
// values of property sets whose name or key is known only at run time. Others
// are read as propertyset.SET.KEY without a policy.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/read-property-set-policy
//
// Faults (500), which set readpropertyset.P.failed:
//
//   - steps.readpropertyset.UnresolvedVariable: a name, a key or the property
//     is not there, without a default and with IgnoreUnresolvedVariables false
//   - steps.readpropertyset.SetVariableFailed: AssignTo cannot be set
package readpropertyset

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the ReadPropertySet policy.
var Kind = policy.Define("ReadPropertySet", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Read reads one property. Required.
	Read []Read `xml:"Read"`
	// IgnoreUnresolvedVariables unsets the variable of a property that is not
	// there instead of a fault.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// Read is a <Read>.
type Read struct {
	bundle.Pos
	// Name is the property set's. Required.
	Name Text `xml:"Name,once"`
	// Key is the property's. Required.
	Key Text `xml:"Key,once"`
	// AssignTo is the variable to set; propertyset.NAME.KEY if absent.
	AssignTo string `xml:"AssignTo,once"`
	// DefaultValue is the value of a property that is not there.
	DefaultValue *string `xml:"DefaultValue,once"`
}

// Text is the value of the variable in ref if it is set, else the content.
type Text struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`
}

type step struct {
	failed string
	ignore bool
	reads  []read
}

type read struct {
	name, key text
	target    flow.Var // zero: the property's own name
	fallback  *string
}

type text struct {
	literal string
	ref     flow.Var
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{failed: "readpropertyset." + env.Name() + ".failed", ignore: c.IgnoreUnresolvedVariables}
	if len(c.Read) == 0 {
		env.Errorf(bundle.Pos{}, "<ReadPropertySet> has no <Read>")
	}
	for _, r := range c.Read {
		out := read{name: compile(r.Name, "Name", r.Pos, env), key: compile(r.Key, "Key", r.Pos, env), fallback: r.DefaultValue}
		if r.AssignTo != "" {
			out.target = env.Var(r.AssignTo)
		}
		s.reads = append(s.reads, out)
	}
	return s, nil
}

func compile(t Text, element string, pos bundle.Pos, env *policy.Env) text {
	if t.Ref == "" && t.Text == "" {
		env.Errorf(pos, "<Read> has no <%s>", element)
	}
	out := text{literal: t.Text}
	if t.Ref != "" {
		out.ref = env.Var(t.Ref)
	}
	return out
}

func (t *text) eval(fc *flow.Context) string {
	if !t.ref.IsZero() {
		if v := t.ref.Get(fc); !v.IsNull() {
			return v.String()
		}
	}
	return t.literal
}

// Run reads the properties.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	for i := range s.reads {
		if err := s.reads[i].run(fc, s); err != nil {
			return err
		}
	}
	return nil
}

func (r *read) run(fc *flow.Context, s *step) error {
	name, key := r.name.eval(fc), r.key.eval(fc)
	value, ok := "", false
	if sets := fc.Proxy.Properties; sets != nil && name != "" && key != "" {
		value, ok = sets.Property(name, key)
	}
	if !ok && r.fallback != nil {
		value, ok = *r.fallback, true
	}
	if !ok && !s.ignore {
		return s.fault("UnresolvedVariable", "Unresolved variable : "+r.missing(name, key))
	}
	val := flow.Value{}
	if ok {
		val = flow.StringValue(value)
	}
	if r.target.IsZero() {
		fc.Put("propertyset."+name+"."+key, val)
		return nil
	}
	return r.assign(fc, s, val)
}

// missing names what is not there: the variable of the set or the key, or the
// property.
func (r *read) missing(name, key string) string {
	switch {
	case name == "":
		return r.name.ref.Name()
	case key == "":
		return r.key.ref.Name()
	}
	return "propertyset." + name + "." + key
}

func (r *read) assign(fc *flow.Context, s *step, val flow.Value) error {
	var err error
	if val.IsNull() {
		err = fc.Remove(r.target.Name())
	} else {
		err = r.target.Set(fc, val)
	}
	if err != nil {
		return s.fault("SetVariableFailed", "Failed to set variable "+r.target.Name()).WithCause(err)
	}
	return nil
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.readpropertyset."+name, 500, text).Failed(s.failed)
}
