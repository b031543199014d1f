// Package generatesamlassertion implements the <GenerateSAMLAssertion> policy: it
// makes a SAML 2.0 assertion, from a template or from an issuer and a subject,
// signs it with a key of a keystore, and puts it into a variable, into an XML
// message, or both.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/generate-saml-assertion-policy
//
// Without a <Template> the assertion says who the subject is and that the bearer
// may use it for five minutes. A template is expanded as AssignMessage does, so
// values are not escaped: {escapeXML} or {encodeHTML} is for those that callers
// choose. The signature is enveloped, follows the Issuer, and names the
// certificates of the alias.
//
// Variables, which a template may use: saml.id, saml.issueInstant, saml.issuer,
// saml.subject.
//
// Faults (500), which set GenerateSAMLAssertion.failed:
//
//   - steps.saml.generate.InvalidMediaTpe (spelt so): the content type is not XML,
//     and that is not ignored
//   - steps.saml.generate.SourceMessageNotAvailable: there is no such message
//   - steps.saml.generate.UnresolvedVariable: a variable is not set
//   - steps.saml.generate.InvalidTemplate: the template did not give an XML
//     element, or one that is signed already
//   - steps.saml.generate.InvalidXML, ElementNotFound, AmbiguousElement: the
//     message is not XML, or <XPath> does not select one element of it
//   - steps.saml.generate.KeyNotAvailable: the keystore has no such RSA key
//   - steps.saml.generate.SigningFailed: anything else
//
// Refused at deployment: NullKeyStore, NullKeyStoreAlias, NullIssuer, no
// <OutputVariable>, and canonicalization other than exclusive: a signature would
// break when the assertion goes into a message.
//
// Differences from Apigee: only the first fault is documented there.
package generatesamlassertion

import (
	"context"
	"errors"
	"strings"

	"github.com/beevik/etree"
	"github.com/google/uuid"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/saml"
	"github.com/perigee-gateway/perigee/shared/template"
	"github.com/perigee-gateway/perigee/shared/xmldsig"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// Kind is the GenerateSAMLAssertion policy.
var Kind = policy.Define("GenerateSAMLAssertion", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// IgnoreContentType takes a message for XML whatever its content type.
	IgnoreContentType bool `xml:"ignoreContentType,attr"`
	// Issuer is the identity provider. Required.
	Issuer *saml.Value `xml:"Issuer,once"`
	// Subject is whom the assertion is about.
	Subject *saml.Value `xml:"Subject,once"`
	// KeyStore has the key. Required.
	KeyStore *KeyStore `xml:"KeyStore,once"`
	// SignatureAlgorithm is SHA1 or SHA256, with RSA.
	SignatureAlgorithm string `xml:"SignatureAlgorithm,once" default:"SHA1"`
	// DigestMethod is SHA1 or SHA256; without it that of the signature.
	DigestMethod string `xml:"DigestMethod,once"`
	// CanonicalizationAlgorithm is exclusive canonicalization, with or without
	// comments.
	CanonicalizationAlgorithm string `xml:"CanonicalizationAlgorithm,once" default:"http://www.w3.org/2001/10/xml-exc-c14n#"`
	// OutputVariable is where the assertion goes. Required.
	OutputVariable *OutputVariable `xml:"OutputVariable,once,required"`
	// Template gives the assertion.
	Template *Template `xml:"Template,once"`
}

// KeyStore names a key. Both may be a reference, ref://name.
type KeyStore struct {
	bundle.Pos
	Name  *saml.Value `xml:"Name,once"`
	Alias *saml.Value `xml:"Alias,once"`
}

// OutputVariable is a variable, a place in a message, or both.
type OutputVariable struct {
	bundle.Pos
	FlowVariable string   `xml:"FlowVariable,once"`
	Message      *Message `xml:"Message,once"`
}

// Message is the element of a message that the assertion becomes the last child
// of.
type Message struct {
	bundle.Pos
	// Name is request, response, message, or a variable that holds a message.
	Name string `xml:"name,attr"`
	// Namespaces are the prefixes in XPath.
	Namespaces []saml.Prefix `xml:"Namespaces>Namespace"`
	XPath      string        `xml:"XPath,once"`
}

// Template is an XML element as a message template.
type Template struct {
	bundle.Pos
	// IgnoreUnresolvedVariables makes variables that are not set empty text.
	IgnoreUnresolvedVariables bool   `xml:"ignoreUnresolvedVariables,attr"`
	Text                      string `xml:",chardata"`
}

type step struct {
	faults          saml.Faults
	keys            policy.Keys
	issuer, subject saml.Source
	store, alias    saml.Source
	options         saml.SignOptions
	tmpl            *template.Template // nil: none
	ignoreUnset     bool
	ignoreType      bool
	variable        flow.Var
	message         string // "": the one of the flow, looked at only
	place           *xpath.Expr
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Keys == nil {
		return nil, errors.New("<GenerateSAMLAssertion> cannot run: there are no keystores here")
	}
	s := &step{
		faults:     saml.Faults{Kind: "GenerateSAMLAssertion", Policy: env.Name(), Prefix: "steps.saml.generate."},
		keys:       env.Keys,
		ignoreType: c.IgnoreContentType,
		issuer:     c.Issuer.Compile(env),
		subject:    c.Subject.Compile(env),
	}
	b := &builder{env, s}
	if c.Issuer.Empty() {
		b.refuse(bundle.Pos{}, "NullIssuer", "<Issuer> is empty or not specified")
	}
	b.keyStore(c.KeyStore)
	b.algorithms(c)
	b.template(c)
	if c.OutputVariable != nil {
		b.output(c.OutputVariable)
	}
	return s, nil
}

type builder struct {
	env  *policy.Env
	step *step
}

func (b *builder) refuse(pos bundle.Pos, code, text string) {
	b.env.Errorf(pos, "%s: GenerateSAMLAssertion[%s]: %s", code, b.env.Name(), text)
}

func (b *builder) keyStore(k *KeyStore) {
	if k == nil {
		k = &KeyStore{}
	}
	if k.Name.Empty() {
		b.refuse(k.Pos, "NullKeyStore", "<Name> of <KeyStore> is empty or not specified")
	}
	if k.Alias.Empty() {
		b.refuse(k.Pos, "NullKeyStoreAlias", "<Alias> of <KeyStore> is empty or not specified")
	}
	b.step.store, b.step.alias = k.Name.Compile(b.env), k.Alias.Compile(b.env)
}

func (b *builder) algorithms(c *Config) {
	o := &b.step.options
	i, ok := b.hash("SignatureAlgorithm", c.SignatureAlgorithm)
	o.Method, o.Digest = xmldsig.Methods[i], xmldsig.Digests[i]
	if ok && i == 0 {
		b.env.Warnf(bundle.Pos{}, "the assertion is signed with SHA-1, the default; <SignatureAlgorithm>SHA256</SignatureAlgorithm> is safe")
	}
	if c.DigestMethod != "" {
		i, _ = b.hash("DigestMethod", c.DigestMethod)
		o.Digest = xmldsig.Digests[i]
	}
	switch o.Canonicalization = c.CanonicalizationAlgorithm; o.Canonicalization {
	case xmldsig.Exclusive, xmldsig.ExclusiveWithComments:
	default:
		b.env.Errorf(bundle.Pos{}, "<CanonicalizationAlgorithm> is %q, want %s or %s: only exclusive canonicalization lets a signed assertion go into a message",
			o.Canonicalization, xmldsig.Exclusive, xmldsig.ExclusiveWithComments)
	}
}

// hash finds the index of a hash in xmldsig.Digests and Methods.
func (b *builder) hash(element, name string) (int, bool) {
	switch strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(name), "rsa-"), "-", "") {
	case "sha1":
		return 0, true
	case "sha256":
		return 1, true
	}
	b.env.Errorf(bundle.Pos{}, "<%s> is %q, want SHA1 or SHA256", element, name)
	return 0, false
}

func (b *builder) template(c *Config) {
	switch {
	case c.Template != nil && strings.TrimSpace(c.Template.Text) != "":
		b.step.tmpl = b.env.Template(c.Template.Pos, c.Template.Text)
		b.step.ignoreUnset = c.Template.IgnoreUnresolvedVariables
	case c.Subject.Empty():
		b.env.Errorf(bundle.Pos{}, "there is neither a <Subject> nor a <Template>: SAML knows no assertion about nobody")
	}
}

func (b *builder) output(o *OutputVariable) {
	if o.FlowVariable != "" {
		b.step.variable = b.env.Var(o.FlowVariable)
	}
	m := o.Message
	switch {
	case m == nil && o.FlowVariable == "":
		b.env.Errorf(o.Pos, "<OutputVariable> has neither <FlowVariable> nor <Message>")
	case m == nil:
	case m.Name == "" || m.XPath == "":
		b.env.Errorf(m.Pos, "<Message> needs an attribute name and an <XPath>")
	default:
		b.step.message = m.Name
		b.env.UsesMessage(m.Name)
		b.step.place = saml.Path(b.env, m.Pos, "<XPath>", m.XPath, m.Namespaces)
	}
}

// Run makes the assertion.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	m, doc, err := s.source(fc)
	if err != nil {
		return err
	}
	id := "_" + uuid.NewString()
	assertion, err := s.assertion(fc, id)
	if err != nil {
		return err
	}
	text, err := s.sign(ctx, fc, assertion, id)
	if err != nil {
		return err
	}
	return s.deliver(fc, m, doc, text)
}

// target is the element that the assertion goes into.
type target struct {
	doc     *saml.Document
	element *etree.Element
}

// source checks the message before there is anything to sign.
func (s *step) source(fc *flow.Context) (*message.Message, target, error) {
	m := fc.Message()
	if s.place != nil {
		m = fc.MessageNamed(s.message)
	}
	if m == nil {
		return nil, target{}, s.faults.New("SourceMessageNotAvailable", s.message+" message is not available")
	}
	if !s.ignoreType && !saml.IsXML(m) {
		return nil, target{}, s.faults.New("InvalidMediaTpe", "Invalid media type")
	}
	if s.place == nil {
		return m, target{}, nil
	}
	data, err := m.Content()
	if err != nil {
		return nil, target{}, err
	}
	doc, err := saml.Parse(data)
	if err != nil {
		return nil, target{}, s.faults.Of("InvalidXML", err)
	}
	el, err := doc.Select(s.place)
	if err != nil {
		return nil, target{}, s.faults.Of("ElementNotFound", err)
	}
	return m, target{doc, el}, nil
}

// assertion makes what is to be signed.
func (s *step) assertion(fc *flow.Context, id string) (*etree.Document, error) {
	issuer, err := s.issuer.Get(fc)
	if err != nil {
		return nil, s.faults.Of("UnresolvedVariable", err)
	}
	subject, err := s.subject.Get(fc)
	if err != nil {
		return nil, s.faults.Of("UnresolvedVariable", err)
	}
	now := fc.Now()
	fc.PutText("saml.id", id)
	fc.PutText("saml.issueInstant", saml.FormatTime(now))
	fc.PutText("saml.issuer", issuer)
	fc.PutText("saml.subject", subject)
	if s.tmpl == nil {
		return saml.New(id, issuer, subject, now), nil
	}
	text, err := s.tmpl.Expand(fc, s.ignoreUnset)
	var unset *template.Unresolved
	if errors.As(err, &unset) {
		return nil, s.faults.Of("", &saml.UnresolvedError{Variable: unset.Name})
	}
	if err != nil {
		return nil, s.faults.Of("InvalidTemplate", err)
	}
	doc, err := xmldsig.Parse([]byte(strings.TrimSpace(text)))
	if err != nil {
		return nil, s.faults.New("InvalidTemplate", "the template gives no XML element: "+err.Error())
	}
	return doc, nil
}

func (s *step) sign(ctx context.Context, fc *flow.Context, doc *etree.Document, id string) (string, error) {
	store, err := s.store.Get(fc)
	if err != nil {
		return "", s.faults.Of("UnresolvedVariable", err)
	}
	alias, err := s.alias.Get(fc)
	if err != nil {
		return "", s.faults.Of("UnresolvedVariable", err)
	}
	o := s.options
	if o.Key, o.Chain, err = s.keys.Key(ctx, store, alias); err != nil {
		return "", s.faults.New("KeyNotAvailable", "no key of alias "+alias+" in keystore "+store).WithCause(err)
	}
	text, err := saml.Sign(doc, id, o)
	switch {
	case errors.Is(err, saml.ErrKey):
		return "", s.faults.New("KeyNotAvailable", err.Error())
	case errors.Is(err, saml.ErrSigned):
		return "", s.faults.New("InvalidTemplate", err.Error())
	case err != nil:
		return "", s.faults.New("SigningFailed", err.Error()).WithCause(err)
	}
	return text, nil
}

func (s *step) deliver(fc *flow.Context, m *message.Message, to target, assertion string) error {
	if !s.variable.IsZero() {
		if err := s.variable.Set(fc, flow.StringValue(assertion)); err != nil {
			return s.faults.New("SigningFailed", "unable to set variable "+s.variable.Name()).WithCause(err)
		}
	}
	if s.place == nil {
		return nil
	}
	m.SetContent(to.doc.With(to.element, assertion))
	return nil
}
