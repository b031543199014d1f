// Package statisticscollector implements the <StatisticsCollector> policy: it
// puts values of variables into the call's analytics record, under names of its
// own. Apigee Edge has it; on Apigee X DataCapture took its place.
//
// Source: https://docs.apigee.com/api-platform/reference/policies/statistics-collector-policy
//
// A statistic of type INTEGER, LONG, FLOAT or DOUBLE is a metric, one of type
// STRING or BOOLEAN a dimension. A variable that is not set, or not of the type,
// gives the statistic's default; without one there is no value. There is no
// fault.
//
// Refused at deployment: UnsupportedDatatype, InvalidName, DatatypeMissing.
package statisticscollector

import (
	"context"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the StatisticsCollector policy.
var Kind = policy.Define("StatisticsCollector", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Statistics are the values to collect. Required.
	Statistics *Statistics `xml:"Statistics,once"`
}

// Statistics is the list of statistics.
type Statistics struct {
	bundle.Pos
	Statistic []Statistic `xml:"Statistic"`
}

// Statistic is one value to collect.
type Statistic struct {
	bundle.Pos
	// Name is what the statistic is called in queries.
	Name string `xml:"name,attr"`
	// Ref is the variable.
	Ref string `xml:"ref,attr"`
	// Type is string, boolean, integer, long, float or double, in any case.
	Type string `xml:"type,attr"`
	// Default is collected where the variable gives nothing.
	Default string `xml:",chardata"`
}

// maxValue bounds a value that is a text, as that of DataCapture is, in bytes;
// the rest is cut off.
const maxValue = 400

type step struct {
	analytics  policy.Analytics
	statistics []statistic
}

type statistic struct {
	name     string
	variable flow.Var
	convert  func(string) (any, bool)
	fallback any // nil: none
}

// Run collects the values.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	for i := range s.statistics {
		st := &s.statistics[i]
		value := st.fallback
		if v := st.variable.Get(fc); !v.IsNull() {
			if got, ok := st.convert(v.String()); ok {
				value = got
			}
		}
		if value != nil {
			s.analytics.Record(fc, st.name, value)
		}
	}
	return nil
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{analytics: env.Analytics}
	if env.Analytics == nil {
		env.Errorf(bundle.Pos{}, "this host records no analytics")
		return s, nil
	}
	if c.Statistics == nil || len(c.Statistics.Statistic) == 0 {
		env.Errorf(bundle.Pos{}, "<StatisticsCollector> has no <Statistic>")
		return s, nil
	}
	for i := range c.Statistics.Statistic {
		s.statistics = append(s.statistics, compile(&c.Statistics.Statistic[i], env))
	}
	return s, nil
}

func compile(c *Statistic, env *policy.Env) statistic {
	st := statistic{name: c.Name, variable: env.Var(c.Ref), convert: converters[strings.ToLower(c.Type)]}
	switch {
	case c.Name == "":
		env.Errorf(c.Pos, "<Statistic> has no attribute name")
	case env.Analytics.Reserved(c.Name):
		env.Errorf(c.Pos, "InvalidName: StatisticsCollection: Name: %s conflicts with system defined variables. Context %s", c.Name, env.Name())
	case !plain(c.Name):
		env.Errorf(c.Pos, "<Statistic> is named %q, want letters, digits, '_', '-' and '.'", c.Name)
	}
	if c.Ref == "" {
		env.Errorf(c.Pos, "<Statistic> has no attribute ref")
	}
	switch {
	case c.Type == "":
		env.Errorf(c.Pos, "DatatypeMissing: StatisticsCollection %s: Datatype of %s is missing. Context %s", env.Name(), c.Name, env.Name())
		return st
	case st.convert == nil:
		env.Errorf(c.Pos, "UnsupportedDatatype: StatisticsCollection %s: Datatype %s is unsupported . Context %s", env.Name(), c.Type, env.Name())
		return st
	}
	if text := strings.TrimSpace(c.Default); text != "" {
		v, ok := st.convert(text)
		if !ok {
			env.Warnf(c.Pos, "the default %q of statistic %s is not of type %s: without effect", text, c.Name, c.Type)
			return st
		}
		st.fallback = v
	}
	return st
}

// plain reports whether queries can name a statistic.
func plain(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z'
		return !letter && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	})
}

// converters give a text a type, by its name in lower case.
var converters = map[string]func(string) (any, bool){
	"string": text, "boolean": boolean, "integer": integer, "long": integer, "float": float, "double": float,
}

func text(s string) (any, bool) {
	if len(s) > maxValue {
		s = strings.ToValidUTF8(s[:maxValue], "")
	}
	return s, s != ""
}

func boolean(s string) (any, bool) {
	return strings.EqualFold(s, "true"), strings.EqualFold(s, "true") || strings.EqualFold(s, "false")
}

func integer(s string) (any, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n, err == nil
}

func float(s string) (any, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return f, err == nil && f-f == 0 // neither infinite nor none
}
