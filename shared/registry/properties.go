package registry

import (
	"fmt"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/javaproperties"
)

// propertiesType is the resource type of property sets.
const propertiesType = "properties"

// setName is the name of the property set in a file.
func setName(file string) string { return strings.TrimSuffix(file, ".properties") }

// PropertySets are parsed property sets by name.
type PropertySets map[string]map[string]string

// EnvironmentProperties parses the property sets of an environment. A set that
// cannot be read is left out; the Management API accepts none.
func EnvironmentProperties(c *entity.Config) PropertySets {
	sets := PropertySets{}
	for name, text := range c.PropertySets {
		if set, err := javaproperties.Parse([]byte(text)); err == nil {
			sets[name] = set
		}
	}
	return sets
}

// BundleProperties parses the property sets of a bundle.
func BundleProperties(b *bundle.Bundle) (PropertySets, error) {
	sets := PropertySets{}
	for _, r := range b.Resources {
		if r.Type != propertiesType {
			continue
		}
		set, err := javaproperties.Parse(r.Data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.File, err)
		}
		sets[setName(r.Name)] = set
	}
	return sets, nil
}

// Properties are the property sets as the flow of a proxy sees them. It is a
// flow.PropertySource.
type Properties struct {
	// Bundle are the proxy's sets; they hide those of the environment of the
	// same name.
	Bundle      PropertySets
	Environment PropertySets
}

var _ flow.PropertySource = Properties{}

// Property implements flow.PropertySource.
func (p Properties) Property(set, key string) (string, bool) {
	s, ok := p.Bundle[set]
	if !ok {
		s = p.Environment[set]
	}
	v, ok := s[key]
	return v, ok
}
