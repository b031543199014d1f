// Package accessentity implements the <AccessEntity> policy: it reads the
// profile of an app, a developer, an API product or a consumer key into the
// variable AccessEntity.P, as XML or JSON.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/access-entity-policy
//
// There is no fault for an entity that does not exist, nor for an identifier
// whose variable is not set: AccessEntity.P is not set then. A store that cannot
// be asked is datastore.ErrorWhileAccessingDataStore (500).
//
// Refused at deployment: InvalidEntityType, and identifiers that do not go with
// the type.
package accessentity

import (
	"context"
	"slices"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the AccessEntity policy.
var Kind = policy.Define("AccessEntity", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// EntityType is what is read.
	EntityType *EntityType `xml:"EntityType,once,required"`
	// EntityIdentifier says which one.
	EntityIdentifier *Identifier `xml:"EntityIdentifier,once"`
	// SecondaryIdentifier narrows it where the first does not suffice.
	SecondaryIdentifier *Identifier `xml:"SecondaryIdentifier,once"`
	// Identifiers are both in one list.
	Identifiers []Identifier `xml:"Identifiers>Identifier"`
	// OutputFormat is the form of the profile.
	OutputFormat string `xml:"OutputFormat,once" default:"XML" enum:"XML,JSON"`
}

// EntityType is an <EntityType>.
type EntityType struct {
	bundle.Pos
	Value string `xml:"value,attr"`
}

// Identifier is a property of the entity and the variable with its value.
type Identifier struct {
	bundle.Pos
	Ref  string `xml:"ref,attr,required"`
	Type string `xml:"type,attr,required"`
}

// identifiers are the ways to name each type of entity.
// Source: policies reference, "AccessEntity"
var identifiers = map[string]struct{ primary, secondary []string }{
	"apiproduct": {[]string{"appid", "apiproductname", "appname", "consumerkey"},
		[]string{"apiresource", "developeremail", "developerid", "appgroupname", "companyname"}},
	"app":               {[]string{"appid", "appname", "consumerkey"}, []string{"developeremail", "developerid", "appgroupname", "companyname"}},
	"appgroupname":      {primary: []string{"appid", "appgroupname", "consumerkey"}},
	"authorizationcode": {primary: []string{"authorizationcode"}},
	"company":           {primary: []string{"appid", "companyname", "consumerkey"}},
	"companydeveloper":  {primary: []string{"companyname"}, secondary: []string{"developeremail", "developerid"}},
	"consumerkey":       {primary: []string{"consumerkey"}},
	"consumerkey_scope": {primary: []string{"consumerkey", "consumerkey_scope"}},
	"developer":         {primary: []string{"appid", "consumerkey", "developeremail", "developerid"}},
	"requesttoken":      {primary: []string{"requesttoken", "consumerkey"}},
	"verifier":          {primary: []string{"verifier"}},
}

// step is the compiled policy.
type step struct {
	entities  policy.Entities
	kind      string
	json      bool
	primary   identifier
	secondary identifier
	variable  string
}

type identifier struct {
	kind string
	ref  flow.Var
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Entities == nil {
		env.Errorf(bundle.Pos{}, "this host cannot read entities")
	}
	s := &step{entities: env.Entities, json: c.OutputFormat == "JSON", variable: "AccessEntity." + env.Name()}
	if c.EntityType == nil {
		return s, nil
	}
	s.kind = strings.ToLower(strings.TrimSpace(c.EntityType.Value))
	known, ok := identifiers[s.kind]
	if !ok {
		env.Errorf(c.EntityType.Pos, "InvalidEntityType: Invalid type [%s] in ACCESSENTITYStepDefinition [%s]", c.EntityType.Value, env.Name())
		return s, nil
	}
	primary, secondary := c.EntityIdentifier, c.SecondaryIdentifier
	if len(c.Identifiers) > 0 {
		primary = &c.Identifiers[0]
	}
	if len(c.Identifiers) > 1 {
		secondary = &c.Identifiers[1]
	}
	if primary == nil {
		env.Errorf(bundle.Pos{}, "<AccessEntity> has no <EntityIdentifier>")
		return s, nil
	}
	s.primary = compile(env, s.kind, primary, known.primary)
	if secondary != nil {
		s.secondary = compile(env, s.kind, secondary, known.secondary)
	}
	return s, nil
}

func compile(env *policy.Env, kind string, i *Identifier, known []string) identifier {
	typ := strings.ToLower(strings.TrimSpace(i.Type))
	switch {
	case len(known) == 0:
		env.Errorf(i.Pos, "an entity of type %q has no secondary identifier", kind)
	case !slices.Contains(known, typ):
		env.Errorf(i.Pos, "an entity of type %q is not identified by %q, but by one of: %s", kind, i.Type, strings.Join(known, ", "))
	}
	return identifier{kind: typ, ref: env.Var(i.Ref)}
}

// Run reads the profile.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	q := policy.EntityQuery{Kind: s.kind, JSON: s.json}
	var ok bool
	if q.Primary, ok = s.primary.eval(fc); !ok {
		fc.Put(s.variable, flow.Value{})
		return nil
	}
	q.Secondary, _ = s.secondary.eval(fc)
	profile, found, err := s.entities.Entity(ctx, q)
	if err != nil {
		return err
	}
	if !found {
		fc.Put(s.variable, flow.Value{})
		return nil
	}
	fc.PutText(s.variable, string(profile))
	return nil
}

func (i *identifier) eval(fc *flow.Context) (policy.Identifier, bool) {
	if i.ref.IsZero() {
		return policy.Identifier{}, false
	}
	v := i.ref.Get(fc)
	return policy.Identifier{Type: i.kind, Value: v.String()}, !v.IsNull() && v.String() != ""
}
