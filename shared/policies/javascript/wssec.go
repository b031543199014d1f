package javascript

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/template"
	"github.com/perigee-gateway/perigee/shared/wssec"
)

// wsSecRsaSign is crypto.wsSecRsaSign(payload, options): it returns the signed
// message.
func (o *cryptoObject) wsSecRsaSign(args []goja.Value) goja.Value {
	in := &options{call: o.call, from: arg(args, 1)}
	opts := in.sign()
	signed := ""
	if in.err == nil {
		signed, in.err = wssec.Sign(textOf(arg(args, 0)), opts, o.fc.Now())
	}
	if in.err != nil {
		o.rt.Throw("Error", "crypto.wsSecRsaSign: "+in.err.Error())
	}
	return o.rt.ToValue(signed)
}

// wsSecRsaValidate is crypto.wsSecRsaValidate(payload, options): it returns
// whether the message is valid, and throws if the options are not. Why it is
// not valid goes to the debug session.
func (o *cryptoObject) wsSecRsaValidate(args []goja.Value) goja.Value {
	in := &options{call: o.call, from: arg(args, 1)}
	opts := in.validate()
	if in.err != nil {
		o.rt.Throw("Error", "crypto.wsSecRsaValidate: "+in.err.Error())
	}
	err := wssec.Validate(textOf(arg(args, 0)), opts, o.fc.Now())
	if errors.Is(err, wssec.ErrOptions) {
		o.rt.Throw("Error", "crypto.wsSecRsaValidate: "+err.Error())
	}
	if err != nil && o.fc.Observed() {
		o.fc.Emit(flow.Event{Kind: flow.Output, Name: "crypto.wsSecRsaValidate: " + err.Error()})
	}
	return o.rt.ToValue(err == nil)
}

// options reads an object of options. Every value may be a message template.
type options struct {
	*call
	from goja.Value
	err  error // the first
}

func (in *options) value(name string) goja.Value {
	o, ok := in.from.(*goja.Object)
	if !ok {
		return nil
	}
	return o.Get(name)
}

// text is an option as text, with its template filled in.
func (in *options) text(name string) string {
	v := in.value(name)
	if isNothing(v) {
		return ""
	}
	return in.expand(v.String())
}

func (in *options) expand(s string) string {
	if !strings.Contains(s, "{") {
		return strings.TrimSpace(s)
	}
	out, err := template.Text(in.fc, s, true)
	in.fail(err)
	return strings.TrimSpace(out)
}

func (in *options) fail(err error) {
	if in.err == nil {
		in.err = err
	}
}

// list is an option that is an array, or text with commas or blanks.
func (in *options) list(name string) []string {
	v := in.value(name)
	if isNothing(v) {
		return nil
	}
	var out []string
	for _, s := range in.texts(v) {
		out = append(out, strings.FieldsFunc(in.expand(s), func(c rune) bool { return c == ',' || c == ' ' || c == '\n' || c == '\t' })...)
	}
	return out
}

// names is a list of names that may hold blanks.
func (in *options) names(name string) []string {
	v := in.value(name)
	if isNothing(v) {
		return nil
	}
	var out []string
	for _, s := range in.texts(v) {
		for part := range strings.SplitSeq(in.expand(s), ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

func (in *options) flag(name string, fallback bool) bool {
	s := in.text(name)
	if s == "" {
		return fallback
	}
	b, ok := bundle.ParseBool(s)
	if !ok {
		in.fail(errors.New(name + " is " + strconv.Quote(s) + ", want true or false"))
	}
	return b
}

// duration reads 120s, 10m, 2h and 4d.
func (in *options) duration(name string) time.Duration {
	s := in.text(name)
	if s == "" {
		return 0
	}
	unit, number := time.Second, s[:len(s)-1]
	switch s[len(s)-1] {
	case 's':
	case 'm':
		unit = time.Minute
	case 'h':
		unit = time.Hour
	case 'd':
		unit = 24 * time.Hour
	case 'w':
		unit = 7 * 24 * time.Hour
	default:
		number = s
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n < 0 {
		in.fail(errors.New(name + " is " + strconv.Quote(s) + ", want a time such as 120s, 10m or 4d"))
		return 0
	}
	return time.Duration(n) * unit
}

// pemText undoes what variables and templates do to PEM: blanks before lines.
func (in *options) pemText(name string) string {
	var b strings.Builder
	for line := range strings.Lines(in.text(name)) {
		b.WriteString(strings.TrimSpace(line))
		b.WriteByte('\n')
	}
	return strings.TrimSpace(b.String())
}

func (in *options) certificate() *x509.Certificate {
	text := in.pemText("certificate")
	if text == "" {
		return nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		in.fail(errors.New("certificate is not in PEM"))
		return nil
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	in.fail(err)
	return cert
}

func (in *options) sign() wssec.SignOptions {
	o := wssec.SignOptions{
		Certificate:         in.certificate(),
		DigestMethod:        in.text("digest_method"),
		SigningMethod:       in.text("signing_method"),
		KeyIdentifier:       strings.ToUpper(in.text("key_identifier_type")),
		IssuerName:          in.text("issuer_name_style"),
		Expiry:              in.duration("expiry"),
		Elements:            in.list("elements_to_sign"),
		Prefix:              in.text("ds_prefix"),
		SOAPVersion:         soapVersion(in.text("soap_version")),
		AnySecurityHeader:   in.flag("ignore_security_header_placement", false),
		MethodNamespaces:    in.list("c14_inclusive_elements"),
		TransformNamespaces: in.list("transform_inclusive_elements"),
	}
	if v := in.value("confirmation"); !isNothing(v) {
		c := strings.Join(in.names("confirmation"), ",")
		o.Confirmation = &c
	}
	if key := in.pemText("private_key"); key != "" {
		var err error
		o.Key, err = keystore.ParsePrivateKey([]byte(key), in.text("private_key_password"))
		in.fail(err)
	}
	return o
}

func soapVersion(s string) string { return strings.TrimPrefix(strings.ToLower(s), "soap") }

func (in *options) validate() wssec.ValidateOptions {
	return wssec.ValidateOptions{
		Certificate:             in.certificate(),
		SubjectCNs:              in.names("accept_subject_cns"),
		Thumbprints:             in.list("accept_thumbprints"),
		Thumbprints256:          in.list("accept_thumbprints_sha256"),
		DigestMethod:            in.text("digest_method"),
		SigningMethod:           in.text("signing_method"),
		IgnoreExpiry:            in.flag("ignore_expiry", false),
		IgnoreCertificateExpiry: in.flag("ignore_certificate_expiry", false),
		OptionalExpiry:          !in.flag("require_expiry", true),
		MaxLifetime:             in.duration("max_lifetime"),
		Required:                in.list("required_sign_elements"),
		AnySecurityHeader:       in.flag("ignore_security_header_placement", false),
		SOAPVersion:             soapVersion(in.text("soap_version")),
		IssuerName:              in.text("issuer_name_style"),
		IssuerComparison:        in.text("issuer_name_dn_comparison"),
		SkipNumericOIDs: in.flag("issuer_name_dn_comparison_exclude_numeric_oids", false) ||
			in.flag("issuer_name_dn_comparison_exclue_numeric_oids", false), // as the documentation spells it
	}
}
