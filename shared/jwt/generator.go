package jwt

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Generator is what GenerateJWT and GenerateJWS make a token with.
type Generator struct {
	Keys *Keys
	// Headers are added to the header, Critical named in crit.
	Headers  *ClaimSet
	Critical *Text
	// IgnoreUnresolved leaves out what a variable that is not set would give.
	IgnoreUnresolved bool
	// Output is the variable to set.
	Output flow.Var
}

// Output compiles <OutputVariable>, whose default is standard.
func (c *Compiler) Output(in *Name, standard string) flow.Var {
	switch {
	case in == nil:
		return c.Env.Var(standard)
	case in.Text == "":
		c.Empty(in.Pos, "OutputVariable")
		return flow.Var{}
	}
	return c.Env.Var(in.Text)
}

// complete adds kid, the additional headers and crit; it returns kid.
func (g *Generator) complete(fc *flow.Context, h *Object) (kid string, err error) {
	if kid, err = g.Keys.ID(fc, g.IgnoreUnresolved); err != nil {
		return "", err
	}
	if kid != "" {
		h.setText("kid", kid)
	}
	if err := g.Headers.add(fc, g.IgnoreUnresolved, h); err != nil {
		return "", err
	}
	if g.Critical == nil {
		return kid, nil
	}
	names, _, err := g.Critical.list(fc, g.IgnoreUnresolved)
	if err == nil && len(names) > 0 {
		h.set("crit", quoteList(names))
	}
	return kid, err
}

func quoteList(list []string) string {
	b := []byte{'['}
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, quote(s)...)
	}
	return string(append(b, ']'))
}

// sign returns the compact JWS of payload.
func (g *Generator) sign(ctx context.Context, fc *flow.Context, a *Signature, h Object, kid, payload string, detach bool) (string, error) {
	k, err := g.Keys.get(ctx, fc, purpose{kid: kid, alg: a.Name, use: "sig", ops: []string{"sign"}, fit: a.fits})
	if err != nil {
		return "", err
	}
	b := base64.RawURLEncoding.AppendEncode(nil, []byte(h.JSON()))
	b = append(b, '.')
	head := len(b)
	b = base64.RawURLEncoding.AppendEncode(b, []byte(payload))
	signature, err := a.sign(k, b)
	if err != nil {
		return "", &Error{Name: "SigningFailed", Cause: err}
	}
	if detach {
		b = b[:head]
	}
	return string(base64.RawURLEncoding.AppendEncode(append(b, '.'), signature)), nil
}

func (g *Generator) put(fc *flow.Context, token string) error {
	if err := g.Output.Set(fc, flow.StringValue(token)); err != nil {
		return &Error{Name: "GenerationFailed", Cause: err}
	}
	return nil
}

// JWTGenerator makes JWTs for one policy.
type JWTGenerator struct {
	Generator
	// Signature signs; nil for tokens that Encryption encrypts.
	Signature                     *Signature
	Encryption                    *Encryption
	Subject, Issuer, Audience, ID *Text
	ExpiresIn                     *Span
	NotBefore                     *Instant
	Claims                        *ClaimSet
	// Compress compresses the payload of an encrypted token.
	Compress bool
}

// Run makes a token and sets the output variable.
func (g *JWTGenerator) Run(ctx context.Context, fc *flow.Context) error {
	claims, err := g.claims(fc)
	if err != nil {
		return err
	}
	h := Object{{"typ", `"JWT"`}}
	var token string
	if g.Encryption != nil {
		token, err = g.encrypt(ctx, fc, h, claims.JSON())
	} else {
		h.setText("alg", g.Signature.Name)
		var kid string
		if kid, err = g.complete(fc, &h); err != nil {
			return err
		}
		token, err = g.sign(ctx, fc, g.Signature, h, kid, claims.JSON(), false)
	}
	if err != nil {
		return err
	}
	return g.put(fc, token)
}

func (g *JWTGenerator) encrypt(ctx context.Context, fc *flow.Context, h Object, payload string) (string, error) {
	e := g.Encryption
	h.setText("alg", e.key.name)
	h.setText("enc", e.content.name)
	if g.Compress {
		h.setText("zip", "DEF")
	}
	kid, err := g.complete(fc, &h)
	if err != nil {
		return "", err
	}
	k, err := g.Keys.get(ctx, fc, purpose{
		kid: kid, alg: e.key.name, use: "enc", ops: []string{"encrypt", "wrapKey", "deriveKey", "deriveBits"},
		fit: func(k *Key) error { return e.key.fits(k, e.content) },
	})
	if err != nil {
		return "", err
	}
	token, err := e.seal(h, payload, k, g.Keys)
	if err != nil {
		return "", &Error{Name: "EncryptionFailed", Cause: err}
	}
	return token, nil
}

// claims are the registered claims, then the additional ones. A JSON object of
// additional claims never replaces what an element of the policy sets.
func (g *JWTGenerator) claims(fc *flow.Context) (Object, error) {
	o := make(Object, 0, 12)
	for _, c := range [...]struct {
		name string
		text *Text
	}{{"sub", g.Subject}, {"iss", g.Issuer}} {
		if err := g.text(fc, &o, c.name, c.text); err != nil {
			return nil, err
		}
	}
	if err := g.audience(fc, &o); err != nil {
		return nil, err
	}
	if err := g.times(fc, &o, fc.Now()); err != nil {
		return nil, err
	}
	if g.ID != nil && g.ID.Blank() {
		o.setText("jti", uuid.NewString())
	} else if err := g.text(fc, &o, "jti", g.ID); err != nil {
		return nil, err
	}
	return o, g.Claims.add(fc, g.IgnoreUnresolved, &o)
}

func (g *JWTGenerator) text(fc *flow.Context, o *Object, name string, t *Text) error {
	if t == nil || t.Blank() {
		return nil
	}
	s, ok, err := t.Get(fc, g.IgnoreUnresolved)
	if err == nil && ok {
		o.setText(name, s)
	}
	return err
}

func (g *JWTGenerator) audience(fc *flow.Context, o *Object) error {
	if g.Audience == nil || g.Audience.Blank() {
		return nil
	}
	list, ok, err := g.Audience.list(fc, g.IgnoreUnresolved)
	switch {
	case err != nil || !ok:
		return err
	case len(list) == 1:
		o.setText("aud", list[0])
	case len(list) > 1:
		o.set("aud", quoteList(list))
	}
	return nil
}

func (g *JWTGenerator) times(fc *flow.Context, o *Object, now time.Time) error {
	o.setInt("iat", now.Unix())
	d, ok, err := g.ExpiresIn.get(fc, g.IgnoreUnresolved, "GenerationFailed")
	if err != nil {
		return err
	}
	if ok {
		o.setInt("exp", now.Add(d).Unix())
	}
	from, ok, err := g.NotBefore.get(fc, now, g.IgnoreUnresolved)
	if err == nil && ok {
		o.setInt("nbf", from.Unix())
	}
	return err
}

// Payload is a compiled <Payload>: a template, or the variable that holds one.
type Payload struct {
	ref  flow.Var
	tmpl *template.Template
}

// Payload compiles <Payload>, which is required.
func (c *Compiler) Payload(in *Value) *Payload {
	if in == nil {
		c.Missing("Payload")
		return nil
	}
	if in.Ref == "" && in.Text == "" {
		c.Empty(in.Pos, "Payload")
		return nil
	}
	p := &Payload{}
	if in.Ref != "" {
		p.ref = c.Env.Var(in.Ref)
	}
	if in.Text != "" {
		p.tmpl = c.Env.Template(in.Pos, in.Text)
	}
	return p
}

func (p *Payload) get(fc *flow.Context, ignore bool) (string, error) {
	if !p.ref.IsZero() {
		if v := p.ref.Get(fc); !v.IsNull() {
			return ExpandUntrusted(fc, v.String(), ignore)
		}
	}
	switch {
	case p.tmpl != nil:
		return Expand(p.tmpl, fc, ignore)
	case ignore:
		return "", refuse("MissingPayload")
	}
	return "", unresolved(p.ref.Name())
}

// JWSGenerator makes JWSs for one policy.
type JWSGenerator struct {
	Generator
	Signature *Signature
	Payload   *Payload
	// Detach leaves the payload out of the token.
	Detach bool
}

// Run makes a token and sets the output variable.
func (g *JWSGenerator) Run(ctx context.Context, fc *flow.Context) error {
	payload, err := g.Payload.get(fc, g.IgnoreUnresolved)
	if err != nil {
		return err
	}
	h := Object{{"alg", quote(g.Signature.Name)}}
	kid, err := g.complete(fc, &h)
	if err != nil {
		return err
	}
	token, err := g.sign(ctx, fc, g.Signature, h, kid, payload, g.Detach)
	if err != nil {
		return g.signingFailed(err)
	}
	return g.put(fc, token)
}

// signingFailed is how Apigee calls a key of HS384 and HS512 that is too short.
func (g *JWSGenerator) signingFailed(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Name == "InsufficientKeyLength" && g.Signature.Name != "HS256" {
		return &Error{Name: "SigningFailed", Cause: e}
	}
	return err
}
