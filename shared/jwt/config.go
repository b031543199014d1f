package jwt

import (
	"fmt"
	"slices"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Value is a text, or the variable that holds it; the text is the default when
// the variable is not set.
type Value struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`
}

// Name is the name of a variable.
type Name struct {
	bundle.Pos
	Text string `xml:",chardata"`
}

// SigningKeys are the elements that hold keys for signatures.
type SigningKeys struct {
	// SecretKey is the secret of HS* and of the AES key algorithms.
	SecretKey *SecretKey `xml:"SecretKey,once"`
	// PrivateKey signs or decrypts.
	PrivateKey *PrivateKey `xml:"PrivateKey,once"`
	// PublicKey verifies or encrypts.
	PublicKey *PublicKey `xml:"PublicKey,once"`
}

// EncryptionKeys are the elements that hold keys for encryption only.
type EncryptionKeys struct {
	// PasswordKey is the password of PBES2-*.
	PasswordKey *PasswordKey `xml:"PasswordKey,once"`
	// DirectKey is the content encryption key of dir.
	DirectKey *DirectKey `xml:"DirectKey,once"`
}

// SecretKey is a secret in a private variable.
type SecretKey struct {
	bundle.Pos
	// Encoding of the variable's text: hex, base16, base64 or base64url;
	// without it the text's UTF-8 is the secret.
	Encoding string `xml:"encoding,attr"`
	// ID is the kid header of tokens that are generated.
	ID    *Value `xml:"Id,once"`
	Value *Value `xml:"Value,once"`
}

// PrivateKey is a PEM private key in a private variable.
type PrivateKey struct {
	bundle.Pos
	// ID is the kid header of tokens that are generated.
	ID       *Value `xml:"Id,once"`
	Value    *Value `xml:"Value,once"`
	Password *Value `xml:"Password,once"`
}

// PublicKey is one of a PEM public key, a PEM certificate and a key set.
type PublicKey struct {
	bundle.Pos
	// ID chooses the key of a set that encrypts.
	ID          *Value `xml:"Id,once"`
	Value       *Value `xml:"Value,once"`
	Certificate *Value `xml:"Certificate,once"`
	JWKS        *JWKS  `xml:"JWKS,once"`
}

// JWKS is a JSON Web Key Set: the text, that of a variable, or one at an
// address.
type JWKS struct {
	bundle.Pos
	Ref    string `xml:"ref,attr"`
	URI    string `xml:"uri,attr"`
	URIRef string `xml:"uriRef,attr"`
	Text   string `xml:",chardata"`
}

// PasswordKey is a password in a private variable.
type PasswordKey struct {
	bundle.Pos
	ID    *Value `xml:"Id,once"`
	Value *Value `xml:"Value,once"`
	// SaltLength is in bytes.
	SaltLength int `xml:"SaltLength,once" default:"8"`
	// PBKDF2Iterations is the iteration count.
	PBKDF2Iterations int `xml:"PBKDF2Iterations,once" default:"10000"`
}

// DirectKey is a content encryption key in a private variable.
type DirectKey struct {
	bundle.Pos
	ID    *Value        `xml:"Id,once"`
	Value *EncodedValue `xml:"Value,once"`
}

// EncodedValue is a Value whose text is hex, base16, base64 or base64url.
type EncodedValue struct {
	Value
	Encoding string `xml:"encoding,attr" default:"base64"`
}

// Algorithms are the algorithms of an encrypted JWT.
type Algorithms struct {
	bundle.Pos
	// Key encrypts the content encryption key.
	Key string `xml:"Key,once"`
	// Content encrypts the payload. VerifyJWT may leave it out.
	Content string `xml:"Content,once"`
}

// Compiler turns the elements that the policies share into what runs, and
// reports what Apigee refuses to deploy by Apigee's names.
type Compiler struct {
	Env *policy.Env
	// JWS is set for the JWS policies, Generate for those that make tokens.
	JWS, Generate bool
}

// refuse reports a problem: its name, its text as Apigee has it, the policy, and
// what is concerned.
func (c *Compiler) refuse(pos bundle.Pos, name, text, detail string) {
	if detail != "" {
		detail = " " + detail
	}
	c.Env.Errorf(pos, "%s: %s : policy(%s)%s", name, text, c.Env.Name(), detail)
}

// Missing refuses a policy without a required element.
func (c *Compiler) Missing(element string) {
	c.refuse(bundle.Pos{}, "MissingConfigurationElement", "Missing configuration element", "element("+element+")")
}

// InvalidValue refuses the value of an element.
func (c *Compiler) InvalidValue(pos bundle.Pos, element, value string) {
	c.refuse(pos, "InvalidValueForElement", "Invalid value for element", fmt.Sprintf("element(%s) value(%s)", element, value))
}

// Empty refuses an element that is there and has no text.
func (c *Compiler) Empty(pos bundle.Pos, element string) {
	c.refuse(pos, "InvalidEmptyElement", "Invalid empty element", "element("+element+")")
}

// InvalidConfiguration refuses elements that exclude each other.
func (c *Compiler) InvalidConfiguration(pos bundle.Pos, why string) {
	c.refuse(pos, "InvalidConfiguration", "Invalid configuration", why)
}

// Type checks <Type> against which of Algorithm and Algorithms is there and
// says whether tokens are encrypted.
func (c *Compiler) Type(typ string, signed, encrypted bool) bool {
	switch {
	case typ != "" && typ != "Signed" && typ != "Encrypted", c.JWS && typ == "Encrypted":
		c.InvalidValue(bundle.Pos{}, "Type", typ)
	case signed && encrypted:
		c.InvalidConfiguration(bundle.Pos{}, "elements(Algorithm, Algorithms)")
	case typ == "Signed" && !signed, typ == "" && !signed && !encrypted:
		c.Missing("Algorithm")
	case typ == "Encrypted" && !encrypted:
		c.Missing("Algorithms")
	}
	return encrypted && !signed
}

// Signatures checks <Algorithm>: one of Apigee's, or for verification a list of
// one family.
func (c *Compiler) Signatures(in *Name) (algs []*Signature) {
	if in == nil {
		return nil
	}
	name, text := "InvalidValueForElement", "Invalid value for element"
	if c.JWS {
		name, text = "InvalidAlgorithm", "Invalid algorithm"
	}
	names := split(in.Text)
	if c.Generate && len(names) > 1 || len(names) == 0 {
		names = []string{in.Text}
	}
	for _, n := range names {
		a := SignatureNamed(n)
		if a == nil {
			c.refuse(in.Pos, name, text, fmt.Sprintf("element(Algorithm) value(%s)", n))
			return nil
		}
		if len(algs) > 0 && algs[0].Family() != a.Family() {
			c.refuse(in.Pos, "InvalidFamiliesForAlgorithm", "Invalid families for algorithm", fmt.Sprintf("element(Algorithm) value(%s)", in.Text))
			return nil
		}
		algs = append(algs, a)
	}
	return algs
}

// Encryption checks <Algorithms>.
func (c *Compiler) Encryption(a *Algorithms) *Encryption {
	e := &Encryption{key: keyAlgorithmNamed(a.Key), content: contentNamed(a.Content)}
	ok := true
	if e.key == nil {
		c.InvalidValue(a.Pos, "Key", a.Key)
		ok = false
	}
	if e.content == nil && (a.Content != "" || c.Generate) {
		c.InvalidValue(a.Pos, "Content", a.Content)
		ok = false
	}
	if !ok {
		return nil
	}
	return e
}

// SigningKey compiles the key for signatures of a family.
func (c *Compiler) SigningKey(k SigningKeys, e EncryptionKeys, algs []*Signature) *Keys {
	want := "PublicKey"
	switch {
	case algs[0].Symmetric():
		want = "SecretKey"
	case c.Generate:
		want = "PrivateKey"
	}
	return c.key(k, e, want, algs[0].Name)
}

// EncryptionKey compiles the key for encryption or decryption.
func (c *Compiler) EncryptionKey(k SigningKeys, e EncryptionKeys, alg *Encryption) *Keys {
	return c.key(k, e, alg.key.element(c.Generate), alg.key.name)
}

func (c *Compiler) key(k SigningKeys, e EncryptionKeys, want, alg string) *Keys {
	present := map[string]bool{
		"SecretKey": k.SecretKey != nil, "PrivateKey": k.PrivateKey != nil, "PublicKey": k.PublicKey != nil,
		"PasswordKey": e.PasswordKey != nil, "DirectKey": e.DirectKey != nil,
	}
	ok := true
	for _, name := range []string{"SecretKey", "PrivateKey", "PublicKey", "PasswordKey", "DirectKey"} {
		if present[name] && name != want {
			c.unfit(name, alg)
			ok = false
		}
	}
	switch {
	case !present[want] && ok:
		c.Missing(want)
		return nil
	case !present[want]:
		return nil
	}
	out := &Keys{element: want}
	switch want {
	case "SecretKey":
		c.secret(out, k.SecretKey)
	case "PrivateKey":
		c.private(out, k.PrivateKey)
	case "PublicKey":
		c.public(out, k.PublicKey)
	case "PasswordKey":
		c.password(out, e.PasswordKey)
	case "DirectKey":
		c.direct(out, e.DirectKey)
	}
	return out
}

func (c *Compiler) unfit(element, alg string) {
	name, action := "InvalidConfigurationForActionAndAlgorithm", "verify"
	if c.JWS {
		name = "InvalidConfigurationForActionAndAlgorithmFamily"
	}
	if c.Generate {
		action = "generate"
	}
	c.refuse(bundle.Pos{}, name, "Invalid configuration element for action and algorithm",
		fmt.Sprintf("element(%s) action(%s) algorithm(%s)", element, action, alg))
}

func (c *Compiler) secret(out *Keys, k *SecretKey) {
	decode, ok := EncodingNamed(k.Encoding)
	if !ok || strings.EqualFold(k.Encoding, "utf8") {
		c.InvalidValue(k.Pos, "SecretKey", k.Encoding)
	}
	out.decode, out.id = decode, c.Text(k.ID)
	out.ref = c.secretRef("SecretKey", k.Pos, k.Value, true)
}

func (c *Compiler) private(out *Keys, k *PrivateKey) {
	out.id = c.Text(k.ID)
	out.ref = c.secretRef("PrivateKey", k.Pos, k.Value, true)
	if k.Password != nil {
		out.pass = c.secretRef("PrivateKey", k.Pos, k.Password, true)
	}
}

func (c *Compiler) password(out *Keys, k *PasswordKey) {
	out.decode, _ = EncodingNamed("")
	out.id = c.Text(k.ID)
	out.ref = c.secretRef("PasswordKey", k.Pos, k.Value, false)
	out.salt, out.iterations = k.SaltLength, k.PBKDF2Iterations
	if k.SaltLength < 8 || k.SaltLength > 1024 { // RFC 7518 section 4.8.1.1
		c.InvalidValue(k.Pos, "SaltLength", fmt.Sprint(k.SaltLength))
	}
	if k.PBKDF2Iterations < minIterations || k.PBKDF2Iterations > mostIterations {
		c.InvalidValue(k.Pos, "PBKDF2Iterations", fmt.Sprint(k.PBKDF2Iterations))
	}
}

func (c *Compiler) direct(out *Keys, k *DirectKey) {
	out.id = c.Text(k.ID)
	var v *Value
	if k.Value != nil {
		v = &k.Value.Value
		decode, ok := EncodingNamed(k.Value.Encoding)
		if !ok || strings.EqualFold(k.Value.Encoding, "utf8") {
			c.InvalidValue(k.Pos, "DirectKey", k.Value.Encoding)
		}
		out.decode = decode
	}
	out.ref = c.secretRef("DirectKey", k.Pos, v, false)
}

// secretRef checks a reference to a secret. strict: its name must begin with
// private., which Apigee asks of SecretKey and PrivateKey.
func (c *Compiler) secretRef(element string, pos bundle.Pos, v *Value, strict bool) flow.Var {
	switch {
	case v == nil:
		c.refuse(pos, "InvalidKeyConfiguration", "Invalid key configuration", "element("+element+")")
		return flow.Var{}
	case v.Text != "":
		c.refuse(v.Pos, "InvalidSecretInConfig", "Invalid secret in configuration", "element("+element+")")
		return flow.Var{}
	case v.Ref == "":
		c.refuse(v.Pos, "EmptyElementForKeyConfiguration", "Empty element for key configuration", "element("+element+")")
		return flow.Var{}
	case strict && !strings.HasPrefix(v.Ref, "private."):
		c.refuse(v.Pos, "InvalidVariableNameForSecret", "Invalid variable name for secret", fmt.Sprintf("element(%s) variable(%s)", element, v.Ref))
	case !strings.HasPrefix(v.Ref, "private."):
		c.Env.Warnf(v.Pos, "the variable %s of <%s> is shown in debug sessions: its name does not begin with private.", v.Ref, element)
	}
	return c.Env.Var(v.Ref)
}

func (c *Compiler) public(out *Keys, k *PublicKey) {
	out.id = c.Text(k.ID)
	sources := 0
	for _, there := range []bool{k.Value != nil, k.Certificate != nil, k.JWKS != nil} {
		if there {
			sources++
		}
	}
	if sources != 1 {
		c.refuse(k.Pos, "InvalidKeyConfiguration", "Invalid key configuration", "element(PublicKey)")
		return
	}
	switch {
	case k.Value != nil:
		out.parse = parsePublic
		c.publicText(out, "Value", k.Value)
	case k.Certificate != nil:
		out.parse = parseCertificate
		c.publicText(out, "Certificate", k.Certificate)
	default:
		c.jwks(out, k)
	}
}

func (c *Compiler) publicText(out *Keys, element string, v *Value) {
	out.form = element
	if v.Ref == "" && v.Text == "" {
		c.refuse(v.Pos, "EmptyElementForKeyConfiguration", "Empty element for key configuration", "element("+element+")")
		return
	}
	if v.Ref != "" {
		out.ref = c.Env.Var(v.Ref)
	}
	if v.Text == "" {
		return
	}
	key, err := out.parse(v.Text)
	if err != nil {
		c.refuse(v.Pos, "InvalidPublicKeyValue", "Invalid public key value", "element("+element+")")
	}
	out.fixed = key
}

func (c *Compiler) jwks(out *Keys, k *PublicKey) {
	j := k.JWKS
	if c.Generate && (k.ID == nil || k.ID.Ref == "" && k.ID.Text == "") {
		c.refuse(k.Pos, "InvalidPublicKeyId", "Invalid public key Id", "element(PublicKey)")
	}
	given := slices.DeleteFunc([]string{j.Ref, j.URI, j.URIRef}, func(s string) bool { return s == "" })
	if len(given) > 1 || len(given) == 0 && j.Text == "" || j.Text != "" && j.Ref == "" && len(given) > 0 {
		c.refuse(j.Pos, "InvalidKeyConfiguration", "Invalid key configuration", "element(JWKS)")
		return
	}
	out.inSet, out.uri = true, j.URI
	switch {
	case j.Ref != "":
		out.ref = c.Env.Var(j.Ref)
	case j.URIRef != "":
		out.uriRef = c.Env.Var(j.URIRef)
	}
	if j.URI != "" || j.URIRef != "" {
		c.remote(out, j)
	}
	if j.Text != "" {
		s, err := parseSet(j.Text)
		if err != nil {
			c.refuse(j.Pos, "InvalidPublicKeyValue", "Invalid public key value", "element(JWKS)")
		}
		out.fixedSet = s
	}
}

func (c *Compiler) remote(out *Keys, j *JWKS) {
	if c.Env.Callouts == nil {
		c.Env.Errorf(j.Pos, "<JWKS> is fetched from an address, and this host makes no outbound calls")
		return
	}
	if j.URI != "" && !strings.HasPrefix(j.URI, "https://") && !strings.HasPrefix(j.URI, "http://") {
		c.InvalidValue(j.Pos, "JWKS", j.URI)
	}
	out.fetcher = &fetcher{callouts: c.Env.Callouts, scope: c.Env.Organization + "/" + c.Env.Environment}
}

// Text is a compiled Value.
type Text struct {
	ref   flow.Var
	text  string
	items []string // of text
}

// Text compiles a Value; nil stays nil.
func (c *Compiler) Text(v *Value) *Text {
	if v == nil {
		return nil
	}
	t := &Text{text: v.Text, items: split(v.Text)}
	if v.Ref != "" {
		t.ref = c.Env.Var(v.Ref)
	}
	return t
}

// Blank reports whether the element has neither text nor variable.
func (t *Text) Blank() bool { return t.ref.IsZero() && t.text == "" }

// value returns the variable's value, or else the text. ok is false if there is
// neither and that is ignored.
func (t *Text) value(fc *flow.Context, ignore bool) (v flow.Value, ok bool, err error) {
	if t.ref.IsZero() {
		return flow.StringValue(t.text), true, nil
	}
	if v := t.ref.Get(fc); !v.IsNull() {
		return v, true, nil
	}
	switch {
	case t.text != "":
		return flow.StringValue(t.text), true, nil
	case ignore:
		return flow.Value{}, false, nil
	}
	return flow.Value{}, false, unresolved(t.ref.Name())
}

// Get is the text; "" if it is not set and that is ignored.
func (t *Text) Get(fc *flow.Context, ignore bool) (s string, ok bool, err error) {
	if t.ref.IsZero() {
		return t.text, true, nil
	}
	v, ok, err := t.value(fc, ignore)
	return v.String(), ok, err
}

// list is the items of a comma-separated text, or of a variable that is a list.
func (t *Text) list(fc *flow.Context, ignore bool) (items []string, ok bool, err error) {
	if t.ref.IsZero() {
		return t.items, true, nil
	}
	v, ok, err := t.value(fc, ignore)
	if l := v.List(); l != nil {
		return l, ok, err
	}
	return split(v.String()), ok, err
}
