package jwt

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// Verifier is what VerifyJWT and VerifyJWS check of a token: its algorithm, its
// signature (or that it decrypts), and its headers.
type Verifier struct {
	// Signatures are the algorithms allowed, nil for encrypted tokens.
	Signatures []*Signature
	// Encryption are those of encrypted tokens.
	Encryption *Encryption
	Keys       *Keys
	// Known are the critical headers that the policy understands.
	Known *Text
	// IgnoreCritical leaves the crit header unread.
	IgnoreCritical bool
	// Headers must be there with the same values.
	Headers *ClaimSet
	// IgnoreUnresolved treats variables that are not set as empty.
	IgnoreUnresolved bool
}

// headers are what the header says of the token's verification.
type headers struct{ alg, enc, kid string }

// read checks a token's header before any key is used.
func (v *Verifier) read(fc *flow.Context, t *Token) (h headers, err error) {
	if t.Encrypted != (v.Encryption != nil) {
		return h, v.mismatch(t)
	}
	if _, ok := t.Header.Get("alg"); !ok {
		return h, refuse("NoAlgorithmFoundInHeader")
	}
	h.alg, _ = t.Header.Text("alg")
	h.enc, _ = t.Header.Text("enc")
	h.kid, _ = t.Header.Text("kid")
	if !v.allows(h) {
		return h, v.mismatch(t)
	}
	return h, v.critical(fc, t.Header)
}

func (v *Verifier) allows(h headers) bool {
	if e := v.Encryption; e != nil {
		return h.alg == e.key.name && contentNamed(h.enc) != nil && (e.content == nil || e.content.name == h.enc)
	}
	return slices.ContainsFunc(v.Signatures, func(a *Signature) bool { return a.Name == h.alg })
}

// mismatch names the fault for an algorithm that is not the policy's.
func (v *Verifier) mismatch(t *Token) error {
	name := "AlgorithmMismatch"
	if len(v.Signatures) > 1 {
		name = "AlgorithmInTokenNotPresentInConfiguration"
	}
	alg, ok := t.Header.Text("alg")
	if !ok {
		return refuse("NoAlgorithmFoundInHeader")
	}
	return &Error{Name: name, Detail: "algorithm(" + alg + ")"}
}

// critical refuses tokens with critical headers that are not known: RFC 7515
// section 4.1.11.
func (v *Verifier) critical(fc *flow.Context, h Object) error {
	raw, ok := h.Get("crit")
	if !ok || v.IgnoreCritical {
		return nil
	}
	crit, ok := stringsOf(raw)
	if !ok || len(crit) == 0 {
		return refuseFor("InvalidJsonFormat", "crit is no list of names")
	}
	var known []string
	if v.Known != nil {
		var err error
		if known, _, err = v.Known.list(fc, v.IgnoreUnresolved); err != nil {
			return err
		}
	}
	for _, name := range crit {
		if !slices.Contains(known, name) {
			return &Error{Name: "UnhandledCriticalHeader", Detail: "header(" + name + ")"}
		}
	}
	return nil
}

// signature is the algorithm called name, which was allowed.
func (v *Verifier) signature(name string) *Signature {
	for _, a := range v.Signatures {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// key finds the key for a token with the given headers.
func (v *Verifier) key(ctx context.Context, fc *flow.Context, h headers) (*Key, error) {
	p := purpose{kid: h.kid, alg: h.alg, use: "sig", ops: []string{"verify"}}
	if e := v.Encryption; e != nil {
		c := contentNamed(h.enc)
		p.fit = func(k *Key) error { return e.key.fits(k, c) }
	} else {
		p.fit = v.signature(h.alg).fits
	}
	return v.Keys.get(ctx, fc, p)
}

// open verifies the signature, or decrypts the payload. wrong is the name of the
// fault if it does neither.
func (v *Verifier) open(t *Token, h headers, k *Key, wrong string) error {
	if e := v.Encryption; e != nil {
		payload, err := e.open(t, contentNamed(h.enc), k, v.Keys.iterations)
		t.Payload, t.payload = string(payload), payload
		if err != nil {
			return &Error{Name: wrong, Cause: err}
		}
		return nil
	}
	if err := v.signature(h.alg).verify(k, []byte(t.signing), t.signature); err != nil {
		return &Error{Name: wrong, Cause: err}
	}
	return nil
}

// JWTVerifier verifies JWTs for one policy.
type JWTVerifier struct {
	Verifier
	Subject, Issuer, Audience, ID, Required *Text
	Claims                                  *ClaimSet
	Allowance, MaxLifespan                  *Span
	UseIssueTime, IgnoreIssuedAt            bool

	names names
	salt  [sha256.Size]byte // tells the policy's cache entries from those of others
}

// Prepare sets up what depends on the policy's name. It is called once.
func (v *JWTVerifier) Prepare(policy string) {
	v.names = newNames("jwt." + policy + ".")
	_, _ = rand.Read(v.salt[:])
}

// verified is a token whose signature was verified with a key. It holds no
// decision that depends on the time, the request or the rest of the policy.
type verified struct {
	header      Object
	claims      Object
	headers     headers
	audience    []string
	at          times
	vars        []variable
	fingerprint [sha256.Size]byte
	weight      uint32 // bytes, about
}

// Run verifies the token and sets the variables. A token whose signature is
// wrong sets none but valid.
func (v *JWTVerifier) Run(ctx context.Context, fc *flow.Context, token string) error {
	v.names.clear(fc)
	err := v.run(ctx, fc, token)
	fc.Put(v.names.valid, flow.BoolValue(err == nil))
	return err
}

func (v *JWTVerifier) run(ctx context.Context, fc *flow.Context, token string) error {
	d, err := v.verified(ctx, fc, token)
	if err != nil {
		return err
	}
	now := fc.Now()
	put(fc, d.vars)
	v.names.putRemaining(fc, d.at, now.UnixMilli())
	return v.check(fc, d, now)
}

// verified verifies the signature, or finds that it was verified before with
// what is still the key.
func (v *JWTVerifier) verified(ctx context.Context, fc *flow.Context, token string) (*verified, error) {
	id, cacheable := v.cacheID(token)
	if cacheable {
		if d := seen(id); d != nil {
			if err := v.critical(fc, d.header); err != nil {
				return nil, err
			}
			k, err := v.key(ctx, fc, d.headers)
			if err != nil {
				return nil, err
			}
			same := k.fingerprint == d.fingerprint
			if !same || d.at.expired(fc.Now().UnixMilli()) {
				forget(id)
			}
			if same {
				return d, nil
			}
		}
	}
	d, err := v.verify(ctx, fc, token)
	if err == nil && cacheable && !d.at.expired(fc.Now().UnixMilli()) {
		remember(id, d, len(token))
	}
	return d, err
}

func (v *JWTVerifier) verify(ctx context.Context, fc *flow.Context, token string) (*verified, error) {
	t, err := Parse(token)
	if err != nil {
		return nil, err
	}
	h, err := v.read(fc, t)
	if err != nil {
		return nil, err
	}
	k, err := v.key(ctx, fc, h)
	if err != nil {
		return nil, err
	}
	if err := v.open(t, h, k, "InvalidToken"); err != nil {
		return nil, err
	}
	claims, err := t.claims()
	if err != nil {
		return nil, err
	}
	at, err := readTimes(claims)
	if err != nil {
		return nil, err
	}
	w := newWriter(v.names.prefix, 8+2*len(t.Header)+10+3*len(claims))
	w.header(t)
	w.claims(t.Payload, claims, at)
	return &verified{header: t.Header, claims: claims, headers: h, audience: audience(claims), at: at, vars: w.vars, fingerprint: k.fingerprint}, nil
}

// audience is the aud claim: a text, or a list of them.
func audience(claims Object) []string {
	if s, ok := claims.Text("aud"); ok {
		return []string{s}
	}
	raw, _ := claims.Get("aud")
	list, _ := stringsOf(raw)
	return list
}

// check compares the claims with the policy and the clock.
func (v *JWTVerifier) check(fc *flow.Context, d *verified, now time.Time) error {
	if err := v.checkTimes(fc, d.at, now); err != nil {
		return err
	}
	for _, c := range [...]struct {
		name string
		want *Text
	}{{"sub", v.Subject}, {"iss", v.Issuer}, {"jti", v.ID}} {
		if err := v.checkText(fc, d.claims, c.name, c.want); err != nil {
			return err
		}
	}
	if err := v.checkAudience(fc, d.audience); err != nil {
		return err
	}
	if err := v.Claims.check(fc, v.IgnoreUnresolved, d.claims); err != nil {
		return err
	}
	if err := v.Headers.check(fc, v.IgnoreUnresolved, d.header); err != nil {
		return err
	}
	return v.checkRequired(fc, d.claims)
}

func (v *JWTVerifier) checkTimes(fc *flow.Context, at times, t time.Time) error {
	allowance, _, err := v.Allowance.get(fc, v.IgnoreUnresolved, "InvalidConfiguration")
	if err != nil {
		return err
	}
	now, slack := t.UnixMilli(), allowance.Milliseconds()
	switch {
	case at.hasExp && now >= at.exp+slack:
		return refuse("TokenExpired")
	case at.hasNbf && now < at.nbf-slack,
		at.hasIat && !v.IgnoreIssuedAt && now < at.iat-slack:
		return refuse("TokenNotYetValid")
	}
	return v.checkLifespan(fc, at)
}

// checkLifespan refuses tokens that are valid for longer than MaxLifespan, or
// that do not say for how long they are.
func (v *JWTVerifier) checkLifespan(fc *flow.Context, at times) error {
	most, ok, err := v.MaxLifespan.get(fc, v.IgnoreUnresolved, "InvalidConfiguration")
	if err != nil || v.MaxLifespan == nil {
		return err
	}
	from, has, name := at.nbf, at.hasNbf, "nbf"
	if v.UseIssueTime {
		from, has, name = at.iat, at.hasIat, "iat"
	}
	switch {
	case !has:
		return invalidClaim(name)
	case !ok || !at.hasExp || at.exp-from > most.Milliseconds():
		return invalidClaim("exp")
	}
	return nil
}

func (v *JWTVerifier) checkText(fc *flow.Context, claims Object, name string, want *Text) error {
	if want == nil || want.Blank() {
		return nil
	}
	s, _, err := want.Get(fc, v.IgnoreUnresolved)
	if err != nil {
		return err
	}
	if got, ok := claims.Text(name); !ok || got != s {
		return invalidClaim(name)
	}
	return nil
}

// checkAudience wants one of the configured audiences to be one of the token's.
func (v *JWTVerifier) checkAudience(fc *flow.Context, got []string) error {
	if v.Audience == nil || v.Audience.Blank() {
		return nil
	}
	want, _, err := v.Audience.list(fc, v.IgnoreUnresolved)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(want, func(s string) bool { return slices.Contains(got, s) }) {
		return nil
	}
	return invalidClaim("aud")
}

func (v *JWTVerifier) checkRequired(fc *flow.Context, claims Object) error {
	if v.Required == nil {
		return nil
	}
	list, _, err := v.Required.list(fc, v.IgnoreUnresolved)
	if err != nil {
		return err
	}
	for _, name := range list {
		if _, ok := claims.Get(name); !ok {
			return invalidClaim(name)
		}
	}
	return nil
}

// JWSVerifier verifies JWSs for one policy.
type JWSVerifier struct {
	Verifier
	// Detached is the variable with the payload of a detached JWS.
	Detached flow.Var
	names    names
}

// Prepare sets up what depends on the policy's name. It is called once.
func (v *JWSVerifier) Prepare(policy string) { v.names = newNames("jws." + policy + ".") }

// Run verifies the token and sets the variables. A token whose signature is
// wrong sets none but valid.
func (v *JWSVerifier) Run(ctx context.Context, fc *flow.Context, token string) error {
	v.names.clear(fc)
	err := v.run(ctx, fc, token)
	fc.Put(v.names.valid, flow.BoolValue(err == nil))
	return err
}

func (v *JWSVerifier) run(ctx context.Context, fc *flow.Context, token string) error {
	t, err := Parse(token)
	if err != nil {
		return err
	}
	h, err := v.read(fc, t)
	if err != nil {
		return err
	}
	detached := t.Detached()
	if err := v.payload(fc, t); err != nil {
		return err
	}
	k, err := v.key(ctx, fc, h)
	if err != nil {
		return err
	}
	if err := v.open(t, h, k, "InvalidJws"); err != nil {
		return err
	}
	putJWS(fc, v.names.prefix, t, detached)
	return v.Headers.check(fc, v.IgnoreUnresolved, t.Header)
}

// payload gives a detached JWS its payload.
func (v *JWSVerifier) payload(fc *flow.Context, t *Token) error {
	switch {
	case v.Detached.IsZero() && t.Detached():
		return refuse("InvalidSignature")
	case v.Detached.IsZero():
		return nil
	case !t.Detached():
		return refuseFor("InvalidPayload", "the payload is in the JWS and detached from it")
	}
	p := v.Detached.Get(fc)
	if p.IsNull() {
		return unresolved(v.Detached.Name())
	}
	t.attach(p.String())
	return nil
}

func putJWS(fc *flow.Context, prefix string, t *Token, detached bool) {
	w := newWriter(prefix, 8+2*len(t.Header))
	w.header(t)
	put(fc, w.vars)
	payload := t.Payload
	if detached {
		payload = ""
	}
	fc.PutText(prefix+"payload", payload)
}

// Decoder sets the variables of tokens without verifying them.
type Decoder struct {
	jws   bool
	names names
}

// NewDecoder returns the decoder of DecodeJWT, or with jws of DecodeJWS.
func NewDecoder(policy string, jws bool) *Decoder {
	if jws {
		return &Decoder{true, newNames("jws." + policy + ".")}
	}
	return &Decoder{false, newNames("jwt." + policy + ".")}
}

// Run decodes the token. Of an encrypted JWT only the header can be read.
func (d *Decoder) Run(fc *flow.Context, token string) error {
	d.names.clear(fc)
	t, err := Parse(token)
	if err != nil {
		return err
	}
	if d.jws {
		if t.Encrypted {
			return refuse("FailedToDecode")
		}
		putJWS(fc, d.names.prefix, t, false)
		return nil
	}
	w := newWriter(d.names.prefix, 16+2*len(t.Header))
	w.header(t)
	if t.Encrypted {
		put(fc, w.vars)
		return nil
	}
	claims, err := t.claims()
	if err != nil {
		return err
	}
	at, err := readTimes(claims)
	if err != nil {
		at = times{}
	}
	w.claims(t.Payload, claims, at)
	put(fc, w.vars)
	d.names.putRemaining(fc, at, fc.Now().UnixMilli())
	return nil
}

// Source reads the token out of its variable.
type Source struct{ v flow.Var }

// Source compiles <Source>: the variable that holds the token. An element that
// is there and empty is refused.
func (c *Compiler) Source(in *Name) Source {
	if in == nil {
		return Source{c.Env.Var("request.header.authorization")}
	}
	if in.Text == "" {
		c.Empty(in.Pos, "Source")
		return Source{}
	}
	return Source{c.Env.Var(in.Text)}
}

// Get returns the token.
func (s Source) Get(fc *flow.Context) (string, error) {
	v := s.v.Get(fc)
	if v.IsNull() {
		return "", unresolved(s.v.Name())
	}
	return FromSource(v.String()), nil
}

// DetachedContent compiles <DetachedContent>: the variable with the payload.
func (c *Compiler) DetachedContent(in *Value) flow.Var {
	if in == nil {
		return flow.Var{}
	}
	name := in.Text
	if name == "" {
		name = in.Ref
	}
	if name == "" {
		c.Empty(in.Pos, "DetachedContent")
		return flow.Var{}
	}
	return c.Env.Var(name)
}
