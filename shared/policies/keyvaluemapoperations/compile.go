package keyvaluemapoperations

import (
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.KeyValueMaps == nil {
		env.Errorf(bundle.Pos{}, "this host has no key value maps")
	}
	b := &builder{env: env, step: &step{
		policy: env.Name(), failed: "keyvaluemapoperations." + env.Name() + ".failed",
		maps: env.KeyValueMaps, level: c.Scope, name: text{literal: "kvmap", given: true},
	}}
	if c.MapIdentifier != nil {
		b.step.name.literal = strings.TrimSpace(*c.MapIdentifier)
	}
	if c.MapName != nil {
		b.step.name = b.text(*c.MapName)
	}
	b.expiry(c)
	for _, e := range c.InitialEntries {
		b.initial(e)
	}
	b.operations(c)
	if len(b.step.ops) == 0 && len(c.InitialEntries) == 0 && len(env.Problems().Errors()) == 0 {
		env.Warnf(bundle.Pos{}, "policy %s has none of <Get>, <Put>, <Delete> and <InitialEntries>", env.Name())
	}
	return b.step, nil
}

type builder struct {
	env  *policy.Env
	step *step
}

// operations compiles the operations in the order of the file.
func (b *builder) operations(c *Config) {
	seen := map[string]int{}
	for _, el := range b.env.Policy.Root.Children {
		i := seen[el.Name]
		seen[el.Name]++
		switch el.Name {
		case "Put":
			p := c.Put[i]
			b.step.ops = append(b.step.ops, &put{override: p.Override, key: b.key(p.Key, p.Pos), values: b.values(p.Values, p.Pos)})
		case "Get":
			b.step.ops = append(b.step.ops, b.get(c.Get[i]))
		case "Delete":
			d := c.Delete[i]
			b.step.ops = append(b.step.ops, &remove{b.key(d.Key, d.Pos)})
		}
	}
}

func (b *builder) get(g Get) *get {
	op := &get{target: b.env.Var(g.AssignTo), key: b.key(g.Key, g.Pos)}
	if g.Index != nil {
		n, err := strconv.Atoi(strings.TrimSpace(*g.Index))
		if err != nil || n <= 0 {
			b.env.Errorf(g.Pos, "InvalidIndex: Invalid index %s in KeyValueMapStepDefinition %s", *g.Index, b.step.policy)
		}
		op.index = n
	}
	if !strings.HasPrefix(g.AssignTo, "private.") && g.AssignTo != "" {
		b.env.Warnf(g.Pos, "variable %s holds a value of an encrypted map; without the prefix private. it shows in debug sessions", g.AssignTo)
	}
	return op
}

func (b *builder) initial(e Entry) {
	p := put{key: b.key(e.Key, e.Pos), values: b.values(e.Values, e.Pos)}
	for _, t := range append(p.key.parameters, p.values...) {
		if !t.ref.IsZero() {
			b.env.Errorf(e.Pos, "<InitialEntries> hold literals only, not the variable %s", t.ref.Name())
		}
	}
	b.step.initial = append(b.step.initial, p)
}

func (b *builder) expiry(c *Config) {
	e := c.ExpiryTimeInSecs
	if c.ExpiryTimeInSeconds != nil {
		if e != nil {
			b.env.Errorf(e.Pos, "<KeyValueMapOperations> has both <ExpiryTimeInSecs> and <ExpiryTimeInSeconds>")
		}
		e = c.ExpiryTimeInSeconds
	}
	if e == nil {
		return
	}
	if _, err := strconv.Atoi(e.Text); err != nil && e.Text != "" {
		b.env.Errorf(e.Pos, "<ExpiryTimeInSecs> is %q, want a number of seconds", e.Text)
	}
	b.step.expiry = b.text(*e)
}

func (b *builder) key(k *Key, pos bundle.Pos) key {
	if k == nil || len(k.Parameters) == 0 {
		b.env.Errorf(pos, "KeyIsMissing: Key element is missing in KeyValueMapStepDefinition %s", b.step.policy)
		return key{}
	}
	out := key{parameters: make([]text, len(k.Parameters))}
	literals := make([]string, len(k.Parameters))
	out.constant = true
	for i, p := range k.Parameters {
		out.parameters[i], literals[i] = b.text(p), p.Text
		out.constant = out.constant && p.Ref == ""
		if p.Ref == "" && p.Text == "" {
			b.env.Errorf(p.Pos, "KeyIsMissing: <Parameter> is empty in KeyValueMapStepDefinition %s", b.step.policy)
		}
	}
	out.literal = strings.Join(literals, "__")
	return out
}

func (b *builder) values(list []Text, pos bundle.Pos) []text {
	if len(list) == 0 {
		b.env.Errorf(pos, "ValueIsMissing: Value element is missing in KeyValueMapStepDefinition %s", b.step.policy)
	}
	out := make([]text, len(list))
	for i, v := range list {
		out[i] = b.text(v)
	}
	return out
}

func (b *builder) text(t Text) text {
	out := text{literal: t.Text, given: t.Ref == "" || t.Text != ""}
	if t.Ref != "" {
		out.ref = b.env.Var(t.Ref)
	}
	return out
}

// text is a literal that a variable, where it is set, goes before.
type text struct {
	literal string
	given   bool // the literal counts where the variable is not set
	ref     flow.Var
}

// eval returns the text; if there is none, the name of the variable that is not
// set.
func (t *text) eval(fc *flow.Context) (s, missing string, ok bool) {
	if !t.ref.IsZero() {
		if v := t.ref.Get(fc); !v.IsNull() {
			return v.String(), "", true
		}
	}
	return t.literal, t.ref.Name(), t.given
}

// key is a key made of parameters.
type key struct {
	parameters []text
	literal    string // of a key without variables
	constant   bool
}

func (k *key) eval(fc *flow.Context) (s, missing string, ok bool) {
	if k.constant {
		return k.literal, "", true
	}
	for i := range k.parameters {
		t, missing, ok := k.parameters[i].eval(fc)
		if !ok {
			return "", missing, false
		}
		if i > 0 {
			s += "__"
		}
		s += t
	}
	return s, "", true
}
