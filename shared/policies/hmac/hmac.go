// Package hmac implements the <HMAC> policy: it computes a keyed hash of a
// message and, with <VerificationValue>, compares it with the one expected, in
// constant time.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/hmac-policy
//
// Variables: hmac.P.message, the message; hmac.P.output (or the variable that
// <Output> names), the hash; hmac.P.outputencoding.
//
// Faults (401), which set hmac.P.failed:
//
//   - steps.hmac.UnresolvedVariable: a variable of the message is not set (unless
//     that is ignored), or that of the key or of the expected value
//   - steps.hmac.EmptySecretKey: the key is empty
//   - steps.hmac.EmptyVerificationValue: the expected value is empty
//   - steps.hmac.HmacCalculationFailed: the key is not in its encoding, or the
//     output cannot be set
//   - steps.hmac.HmacVerificationFailed: the hashes differ
//
// Refused at deployment: MissingConfigurationElement, InvalidValueForElement,
// InvalidSecretInConfig, InvalidVariableName.
//
// Difference from Apigee: the text of <Message ref> is evaluated as a template
// too, and there cannot read private variables.
package hmac

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jwt"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the HMAC policy.
var Kind = policy.Define("HMAC", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Algorithm is SHA-1, SHA-224, SHA-256, SHA-384, SHA-512 or MD-5, in any
	// case, with or without the dash. Required.
	Algorithm string `xml:"Algorithm,once"`
	// SecretKey is the key. Required.
	SecretKey *SecretKey `xml:"SecretKey,once"`
	// Message is what is hashed. Required.
	Message *Message `xml:"Message,once"`
	// Output is the variable for the hash.
	Output *Output `xml:"Output,once"`
	// VerificationValue is the hash that is expected.
	VerificationValue *VerificationValue `xml:"VerificationValue,once"`
	// IgnoreUnresolvedVariables makes variables of the message that are not set
	// empty text.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// SecretKey is the key, in a private variable.
type SecretKey struct {
	bundle.Pos
	Ref string `xml:"ref,attr"`
	// Encoding is hex, base16, base64, base64url or utf8.
	Encoding string `xml:"encoding,attr" default:"utf8"`
	Text     string `xml:",chardata"`
}

// Message is a template, or the variable that holds one. White space counts.
type Message struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata,raw"`
}

// Output is a variable's name.
type Output struct {
	bundle.Pos
	// Encoding is hex, base16, base64 or base64url.
	Encoding string `xml:"encoding,attr" default:"base64"`
	Name     string `xml:",chardata"`
}

// VerificationValue is a text, or a variable.
type VerificationValue struct {
	bundle.Pos
	Ref string `xml:"ref,attr"`
	// Encoding is hex, base16, base64 or base64url.
	Encoding string `xml:"encoding,attr" default:"base64"`
	Text     string `xml:",chardata"`
}

var algorithms = map[string]func() hash.Hash{
	"sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New, "md5": md5.New,
}

var encodings = map[string]func([]byte) string{
	"hex": hex.EncodeToString, "base16": hex.EncodeToString,
	"base64": base64.StdEncoding.EncodeToString, "base64url": base64.RawURLEncoding.EncodeToString,
}

type step struct {
	policy string
	hash   func() hash.Hash

	key    flow.Var
	decode jwt.Encoding

	message flow.Var
	tmpl    *template.Template
	ignore  bool

	verify       bool
	want         flow.Var
	wantText     string
	decodeWanted jwt.Encoding

	encode   func([]byte) string
	encoding string
	output   flow.Var

	messageName, encodingName, failed string
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	prefix := "hmac." + env.Name() + "."
	s := &step{
		policy: env.Name(), ignore: c.IgnoreUnresolvedVariables,
		messageName: prefix + "message", encodingName: prefix + "outputencoding", failed: prefix + "failed",
	}
	b := &builder{env, s}
	b.algorithm(c.Algorithm)
	b.secret(c.SecretKey)
	b.message(c.Message)
	b.output(c.Output, prefix+"output")
	b.expected(c.VerificationValue)
	return s, nil
}

type builder struct {
	env  *policy.Env
	step *step
}

func (b *builder) missing(element string) {
	b.env.Errorf(bundle.Pos{}, "MissingConfigurationElement: Missing configuration element : policy(%s) element(%s)", b.step.policy, element)
}

func (b *builder) invalid(pos bundle.Pos, element, value string) {
	b.env.Errorf(pos, "InvalidValueForElement: Invalid value for element : policy(%s) element(%s) value(%s)", b.step.policy, element, value)
}

// plain is how Apigee compares names of algorithms and encodings.
func plain(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "") }

func (b *builder) algorithm(name string) {
	if name == "" {
		b.missing("Algorithm")
		return
	}
	if b.step.hash = algorithms[plain(name)]; b.step.hash == nil {
		b.invalid(bundle.Pos{}, "Algorithm", name)
	}
}

func (b *builder) secret(k *SecretKey) {
	switch {
	case k == nil || k.Ref == "" && k.Text == "":
		b.missing("SecretKey")
		return
	case k.Text != "":
		b.env.Errorf(k.Pos, "InvalidSecretInConfig: Invalid secret in configuration : policy(%s) element(SecretKey)", b.step.policy)
		return
	case !strings.HasPrefix(k.Ref, "private."):
		b.env.Errorf(k.Pos, "InvalidVariableName: Invalid variable name : policy(%s) element(SecretKey) variable(%s)", b.step.policy, k.Ref)
	}
	b.step.key = b.env.Var(k.Ref)
	var ok bool
	if b.step.decode, ok = jwt.EncodingNamed(k.Encoding); !ok {
		b.invalid(k.Pos, "SecretKey", k.Encoding)
	}
}

func (b *builder) message(m *Message) {
	if m == nil || m.Ref == "" && m.Text == "" {
		b.missing("Message")
		return
	}
	if m.Ref != "" {
		b.step.message = b.env.Var(m.Ref)
		return
	}
	b.step.tmpl = b.env.Template(m.Pos, m.Text)
}

func (b *builder) output(o *Output, name string) {
	encoding := "base64"
	if o != nil {
		encoding = plain(o.Encoding)
		if o.Name != "" {
			name = o.Name
		}
		if encodings[encoding] == nil {
			b.invalid(o.Pos, "Output", o.Encoding)
		}
	}
	b.step.encoding, b.step.encode, b.step.output = encoding, encodings[encoding], b.env.Var(name)
}

func (b *builder) expected(v *VerificationValue) {
	if v == nil {
		return
	}
	b.step.verify, b.step.wantText = true, v.Text
	if v.Ref != "" {
		b.step.want = b.env.Var(v.Ref)
	}
	if v.Ref == "" && v.Text == "" {
		b.missing("VerificationValue")
	}
	if encodings[plain(v.Encoding)] == nil {
		b.invalid(v.Pos, "VerificationValue", v.Encoding)
		return
	}
	b.step.decodeWanted, _ = jwt.EncodingNamed(v.Encoding)
}

// Run computes the hash, and compares it.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	key, err := s.secretKey(fc)
	if err != nil {
		return err
	}
	text, err := s.text(fc)
	if err != nil {
		return err
	}
	fc.PutText(s.messageName, text)
	mac := hmac.New(s.hash, key)
	mac.Write([]byte(text))
	sum := mac.Sum(nil)
	fc.PutText(s.encodingName, s.encoding)
	if err := s.output.Set(fc, flow.StringValue(s.encode(sum))); err != nil {
		return s.fault("HmacCalculationFailed", "HMAC calculation failed", "").WithCause(err)
	}
	return s.compare(fc, sum)
}

func (s *step) secretKey(fc *flow.Context) ([]byte, error) {
	v := s.key.Get(fc)
	if v.IsNull() {
		return nil, s.unresolved(s.key.Name())
	}
	text := v.String()
	if text == "" {
		return nil, s.fault("EmptySecretKey", "Empty secret key", "variable("+s.key.Name()+")")
	}
	key, err := s.decode(text)
	if err != nil {
		return nil, s.fault("HmacCalculationFailed", "HMAC calculation failed", "").WithCause(err)
	}
	if len(key) == 0 {
		return nil, s.fault("EmptySecretKey", "Empty secret key", "variable("+s.key.Name()+")")
	}
	return key, nil
}

// text is the message.
func (s *step) text(fc *flow.Context) (text string, err error) {
	if s.tmpl != nil {
		text, err = jwt.Expand(s.tmpl, fc, s.ignore)
	} else {
		v := s.message.Get(fc)
		if v.IsNull() && !s.ignore {
			return "", s.unresolved(s.message.Name())
		}
		text, err = jwt.ExpandUntrusted(fc, v.String(), s.ignore)
	}
	if err == nil {
		return text, nil
	}
	var e *jwt.Error
	if errors.As(err, &e) && e.Name == "FailedToResolveVariable" {
		return "", s.fault("UnresolvedVariable", "Unresolved variable", e.Detail)
	}
	return "", s.fault("HmacCalculationFailed", "HMAC calculation failed", "").WithCause(err)
}

func (s *step) compare(fc *flow.Context, sum []byte) error {
	if !s.verify {
		return nil
	}
	text := s.wantText
	if !s.want.IsZero() {
		v := s.want.Get(fc)
		if v.IsNull() && text == "" {
			return s.unresolved(s.want.Name())
		}
		if !v.IsNull() {
			text = v.String()
		}
	}
	if text == "" {
		return s.fault("EmptyVerificationValue", "Empty verification value", "")
	}
	want, err := s.decodeWanted(text)
	if err != nil || !hmac.Equal(want, sum) {
		return s.fault("HmacVerificationFailed", "HMAC verification failed", "").WithCause(err)
	}
	return nil
}

func (s *step) unresolved(name string) *fault.Fault {
	return s.fault("UnresolvedVariable", "Unresolved variable", "variable("+name+")")
}

// fault makes a fault. The texts have the form of those of the JWT policies
// (unverified).
func (s *step) fault(name, text, detail string) *fault.Fault {
	text += ": policy(" + s.policy + ")"
	if detail != "" {
		text += " " + detail
	}
	return fault.New("steps.hmac."+name, 401, text).Failed(s.failed)
}
