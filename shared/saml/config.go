package saml

import (
	"errors"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// Prefix binds a prefix of XPath expressions to a namespace.
type Prefix struct {
	bundle.Pos
	Prefix string `xml:"prefix,attr"`
	URI    string `xml:",chardata"`
}

// Path compiles the XPath of an element. A problem, which begins with code, goes
// to env, and gives nil.
func Path(env *policy.Env, pos bundle.Pos, code, src string, prefixes []Prefix) *xpath.Expr {
	m := map[string]string{}
	for _, p := range prefixes {
		m[p.Prefix] = p.URI
	}
	x, err := xpath.Compile(src, m)
	if err != nil {
		env.Errorf(pos, "%s: %v", code, err)
		return nil
	}
	return x
}

// Value is the variable in ref if it is set, else the text.
type Value struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`
}

// Empty reports whether v says nothing.
func (v *Value) Empty() bool {
	return v == nil || strings.TrimSpace(v.Ref) == "" && strings.TrimSpace(v.Text) == ""
}

// Source is a compiled Value.
type Source struct {
	ref  flow.Var
	text string
}

// Compile compiles v, which may be nil.
func (v *Value) Compile(env *policy.Env) Source {
	if v == nil {
		return Source{}
	}
	s := Source{text: strings.TrimSpace(v.Text)}
	if ref := strings.TrimSpace(v.Ref); ref != "" {
		s.ref = env.Var(ref)
	}
	return s
}

// Get returns the value; an error names the variable that is not set.
func (s Source) Get(fc *flow.Context) (string, error) {
	if !s.ref.IsZero() {
		if v := s.ref.Get(fc); !v.IsNull() {
			return v.String(), nil
		}
		if s.text == "" {
			return "", &UnresolvedError{s.ref.Name()}
		}
	}
	return s.text, nil
}

// UnresolvedError says that a variable is not set.
type UnresolvedError struct{ Variable string }

func (e *UnresolvedError) Error() string { return "variable " + e.Variable + " is not set" }

// IsXML reports whether the content type of a message is text/xml,
// application/xml, or one that ends in +xml.
func IsXML(m *message.Message) bool {
	ct, _, _ := strings.Cut(m.Header.Get("Content-Type"), ";")
	kind, sub, _ := strings.Cut(strings.ToLower(strings.TrimSpace(ct)), "/")
	return (kind == "text" || kind == "application") && (sub == "xml" || strings.HasSuffix(sub, "+xml"))
}

// Faults makes the faults of a policy.
type Faults struct {
	Kind   string // GenerateSAMLAssertion
	Policy string
	Prefix string // steps.saml.generate.
}

// New makes a fault.
func (f Faults) New(name, text string) *fault.Fault {
	return fault.New(f.Prefix+name, 500, f.Kind+"["+f.Policy+"]: "+text).Failed(f.Kind+".failed", f.Kind+"."+f.Policy+".failed")
}

// Of makes the fault of an error of this package; others are called name.
func (f Faults) Of(name string, err error) *fault.Fault {
	var e *Error
	var u *UnresolvedError
	switch {
	case errors.As(err, &e):
		return f.New(string(e.Reason), e.Msg)
	case errors.As(err, &u):
		return f.New("UnresolvedVariable", u.Error())
	}
	return f.New(name, err.Error()).WithCause(err)
}
