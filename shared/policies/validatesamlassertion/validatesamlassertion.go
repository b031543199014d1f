// Package validatesamlassertion implements the <ValidateSAMLAssertion> policy: it
// checks that an XML message holds a SAML 2.0 assertion that somebody in the
// truststore signed and that is valid now, and sets variables from it.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/validate-saml-assertion-policy
//
// <AssertionXPath> selects the one assertion, <SignedElementXPath> the one element
// with the signature: the assertion itself, or one around it. The signature must
// be a child of that element, refer to it and to nothing else. The certificate of
// the key must be in the truststore, or be in the signature and have an authority
// in the truststore. Times of the conditions and of the subject confirmations must
// be met to the second. Audiences are left to the proxy.
//
// Variables: saml.valid, and if it is true saml.id, saml.issuer,
// saml.issueInstant, saml.subject, saml.subjectFormat, saml.scmethod,
// saml.scdaddress, saml.scdinresponse, saml.scdrcpt, saml.authnInstant,
// saml.authnSessionIndex, saml.authnSnooa, saml.authnContextClassRef,
// saml.attributeNames and saml.attribute.NAME, both with commas between several.
// What the assertion lacks is not set.
//
// Faults (500), which set ValidateSAMLAssertion.failed:
//
//   - steps.saml.validate.InvalidMediaTpe (spelt so): the content type is not XML,
//     and that is not ignored
//   - steps.saml.validate.SourceMessageNotAvailable: there is no such message
//   - steps.saml.validate.InvalidXML: the message is not XML, or has a document
//     type
//   - steps.saml.validate.ElementNotFound, AmbiguousElement: an XPath does not
//     select one element, or there is an assertion beside the one that is signed
//   - steps.saml.validate.InvalidAssertion: it is none of SAML 2.0, has a condition
//     that is not known, or a comment in a text
//   - steps.saml.validate.UnsupportedAlgorithm: signed with HMAC, MD5 and the like,
//     or transforms that SAML does not allow
//   - steps.saml.validate.InvalidSignature: none, wrong, or of another element
//   - steps.saml.validate.UntrustedSigner: nobody in the truststore stands for it
//   - steps.saml.validate.AssertionNotYetValid, AssertionExpired
//   - steps.saml.validate.TrustStoreNotAvailable: it cannot be read or is empty
//
// Refused at deployment: SourceNotConfigured, TrustStoreNotConfigured.
//
// Differences from Apigee: the faults are not documented there.
package validatesamlassertion

import (
	"context"
	"errors"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/saml"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// Kind is the ValidateSAMLAssertion policy.
var Kind = policy.Define("ValidateSAMLAssertion", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// IgnoreContentType takes a message for XML whatever its content type.
	IgnoreContentType bool `xml:"ignoreContentType,attr"`
	// Source says where the assertion is. Required.
	Source *Source `xml:"Source,once"`
	// TrustStore has the certificates that may sign: its name, ref://name, or a
	// variable in ref. Required.
	TrustStore *saml.Value `xml:"TrustStore,once"`
	// RemoveAssertion takes the assertion out of the message once it is valid.
	RemoveAssertion bool `xml:"RemoveAssertion,once"`
}

// Source is a message and paths in it: XPath, or AssertionXPath and
// SignedElementXPath.
type Source struct {
	bundle.Pos
	// Name is request, response, message, or a variable that holds a message.
	Name string `xml:"name,attr" default:"request"`
	// Namespaces are the prefixes in the paths.
	Namespaces *Namespaces `xml:"Namespaces,once"`
	// XPath selects a signed assertion. Deprecated.
	XPath string `xml:"XPath,once"`
	// AssertionXPath selects the assertion.
	AssertionXPath string `xml:"AssertionXPath,once"`
	// SignedElementXPath selects the element that is signed.
	SignedElementXPath string `xml:"SignedElementXPath,once"`
}

// Namespaces are prefixes.
type Namespaces struct {
	bundle.Pos
	List []saml.Prefix `xml:"Namespace"`
}

type step struct {
	faults            saml.Faults
	keys              policy.Keys
	source            string
	assertion, signed *xpath.Expr
	trust             saml.Source
	ignoreType        bool
	remove            bool
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Keys == nil {
		return nil, errors.New("<ValidateSAMLAssertion> cannot run: there are no keystores here")
	}
	s := &step{
		faults: saml.Faults{Kind: "ValidateSAMLAssertion", Policy: env.Name(), Prefix: "steps.saml.validate."},
		keys:   env.Keys, trust: c.TrustStore.Compile(env), ignoreType: c.IgnoreContentType, remove: c.RemoveAssertion,
	}
	if c.TrustStore.Empty() {
		env.Errorf(bundle.Pos{}, "TrustStoreNotConfigured: ValidateSAMLAssertion[%s]: Trust store is not configured", env.Name())
	}
	if c.Source == nil {
		refuse(env, bundle.Pos{}, "there is no <Source>")
		return s, nil
	}
	s.source = c.Source.Name
	env.UsesMessage(s.source)
	s.paths(env, c.Source)
	return s, nil
}

func refuse(env *policy.Env, pos bundle.Pos, why string) {
	env.Errorf(pos, "SourceNotConfigured: ValidateSAMLAssertion[%s]: Source is not correctly configured: %s", env.Name(), why)
}

func (s *step) paths(env *policy.Env, c *Source) {
	var prefixes []saml.Prefix
	if n := c.Namespaces; n != nil {
		if prefixes = n.List; len(prefixes) == 0 {
			refuse(env, n.Pos, "<Namespaces> is empty")
		}
	}
	for _, p := range prefixes {
		if p.Prefix == "" || p.URI == "" {
			refuse(env, p.Pos, "a <Namespace> needs an attribute prefix and a URI")
		}
	}
	compile := func(src string) *xpath.Expr {
		return saml.Path(env, c.Pos, "SourceNotConfigured: ValidateSAMLAssertion["+env.Name()+"]: Source is not correctly configured", src, prefixes)
	}
	switch one, both := c.XPath != "", c.AssertionXPath != "" && c.SignedElementXPath != ""; {
	case one && c.AssertionXPath == "" && c.SignedElementXPath == "":
		s.assertion = compile(c.XPath)
		s.signed = s.assertion
	case both && !one:
		s.assertion, s.signed = compile(c.AssertionXPath), compile(c.SignedElementXPath)
	default:
		refuse(env, c.Pos, "it needs both <AssertionXPath> and <SignedElementXPath>, or only <XPath>")
	}
}

// Run validates the assertion.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	forget(fc)
	m, doc, err := s.document(fc)
	if err != nil {
		return err
	}
	assertion, err := doc.Select(s.assertion)
	if err != nil {
		return s.faults.Of("", err)
	}
	signed, err := doc.Select(s.signed)
	if err != nil {
		return s.faults.Of("", err)
	}
	store, err := s.trust.Get(fc)
	if err != nil {
		return s.faults.Of("", err)
	}
	trust, err := s.keys.Certificates(ctx, store, "")
	if err != nil || len(trust) == 0 {
		return s.faults.New("TrustStoreNotAvailable", "there are no certificates of trust store "+store).WithCause(err)
	}
	a, err := doc.Validate(assertion, signed, trust, fc.Now())
	if err != nil {
		return s.faults.Of("InvalidAssertion", err)
	}
	report(fc, a)
	if s.remove {
		if doc.IsRoot(assertion) {
			m.SetContent(nil)
			return nil
		}
		m.SetContent(doc.Without(assertion))
	}
	return nil
}

func (s *step) document(fc *flow.Context) (*message.Message, *saml.Document, error) {
	m := fc.MessageNamed(s.source)
	if m == nil {
		return nil, nil, s.faults.New("SourceMessageNotAvailable", s.source+" message is not available")
	}
	if !s.ignoreType && !saml.IsXML(m) {
		return nil, nil, s.faults.New("InvalidMediaTpe", "Invalid media type")
	}
	data, err := m.Content()
	if err != nil {
		return nil, nil, err
	}
	doc, err := saml.Parse(data)
	if err != nil {
		return nil, nil, s.faults.Of("", err)
	}
	return m, doc, nil
}

// reported are the variables, but for the attributes.
var reported = map[string]func(*saml.Assertion) string{
	"saml.id":                   func(a *saml.Assertion) string { return a.ID },
	"saml.issuer":               func(a *saml.Assertion) string { return a.Issuer },
	"saml.issueInstant":         func(a *saml.Assertion) string { return a.IssueInstant },
	"saml.subject":              func(a *saml.Assertion) string { return a.Subject },
	"saml.subjectFormat":        func(a *saml.Assertion) string { return a.SubjectFormat },
	"saml.scmethod":             func(a *saml.Assertion) string { return a.Confirmation.Method },
	"saml.scdaddress":           func(a *saml.Assertion) string { return a.Confirmation.Address },
	"saml.scdinresponse":        func(a *saml.Assertion) string { return a.Confirmation.InResponseTo },
	"saml.scdrcpt":              func(a *saml.Assertion) string { return a.Confirmation.Recipient },
	"saml.authnInstant":         func(a *saml.Assertion) string { return a.Authn.Instant },
	"saml.authnSessionIndex":    func(a *saml.Assertion) string { return a.Authn.SessionIndex },
	"saml.authnSnooa":           func(a *saml.Assertion) string { return a.Authn.SessionNotOnOrAfter },
	"saml.authnContextClassRef": func(a *saml.Assertion) string { return a.Authn.ContextClassRef },
	"saml.attributeNames": func(a *saml.Assertion) string {
		names := make([]string, len(a.Attributes))
		for i, at := range a.Attributes {
			names[i] = at.Name
		}
		return strings.Join(names, ",")
	},
}

const attribute = "saml.attribute."

// forget unsets what an earlier assertion of the call has left.
func forget(fc *flow.Context) {
	for name := range fc.Variables() {
		if strings.HasPrefix(name, attribute) || reported[name] != nil {
			fc.Put(name, flow.Value{})
		}
	}
	fc.Put("saml.valid", flow.BoolValue(false))
}

func report(fc *flow.Context, a *saml.Assertion) {
	values := map[string][]string{}
	for _, at := range a.Attributes {
		values[at.Name] = append(values[at.Name], at.Values...)
	}
	for name, v := range values {
		fc.PutText(attribute+name, strings.Join(v, ","))
	}
	for name, of := range reported {
		if value := of(a); value != "" {
			fc.PutText(name, value)
		}
	}
	fc.Put("saml.valid", flow.BoolValue(true))
}
