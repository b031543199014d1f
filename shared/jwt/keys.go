package jwt

import (
	"context"
	"sync/atomic"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// Keys is where a policy's key comes from: compiled key elements.
type Keys struct {
	element string // "SecretKey" ...
	id      *Text  // kid of generated tokens

	ref, pass flow.Var
	decode    Encoding                   // of secrets
	form      string                     // of a public key: "Value" or "Certificate"
	parse     func(string) (*Key, error) // of public keys
	fixed     *Key                       // from the policy's text

	inSet    bool
	fixedSet *set
	uri      string
	uriRef   flow.Var
	fetcher  *fetcher

	salt, iterations int // of PasswordKey

	last atomic.Pointer[lastKey]
}

// lastKey spares the hash of a variable's text when it is the same again.
type lastKey struct {
	text, pass string
	key        *Key
	set        *set
}

// ID returns the key id for tokens that are generated; "" if there is none.
func (k *Keys) ID(fc *flow.Context, ignore bool) (string, error) {
	if k.id == nil {
		return "", nil
	}
	id, _, err := k.id.Get(fc, ignore)
	return id, err
}

// get returns the key for p.
func (k *Keys) get(ctx context.Context, fc *flow.Context, p purpose) (*Key, error) {
	if k.inSet {
		return k.fromSet(ctx, fc, p)
	}
	key, err := k.single(fc)
	if err != nil {
		return nil, err
	}
	return key, p.fit(key)
}

func (k *Keys) single(fc *flow.Context) (*Key, error) {
	if k.ref.IsZero() {
		return k.fixed, nil
	}
	v := k.ref.Get(fc)
	if v.IsNull() {
		if k.fixed != nil {
			return k.fixed, nil
		}
		return nil, unresolved(k.ref.Name())
	}
	text, pass := v.String(), ""
	if !k.pass.IsZero() {
		v := k.pass.Get(fc)
		if v.IsNull() {
			return nil, unresolved(k.pass.Name())
		}
		pass = v.String()
	}
	if l := k.last.Load(); l != nil && l.text == text && l.pass == pass {
		return l.key, nil
	}
	key, err := k.read(text, pass)
	if err == nil {
		k.last.Store(&lastKey{text: text, pass: pass, key: key})
	}
	return key, err
}

// read makes a key of a variable's text.
func (k *Keys) read(text, pass string) (*Key, error) {
	switch k.element {
	case "PrivateKey":
		return parseOnce("private", text, pass, func() (*Key, error) { return parsePrivate(text, pass) })
	case "PublicKey":
		return parseOnce(k.form, text, "", func() (*Key, error) { return k.parse(text) })
	}
	b, err := k.decode(text)
	if err != nil {
		return nil, &Error{Name: k.invalid(), Cause: err}
	}
	if len(b) == 0 {
		return nil, refuseFor(k.invalid(), "the key is empty")
	}
	return secretKey(b), nil
}

func (k *Keys) invalid() string {
	if k.element == "PasswordKey" {
		return "InvalidPasswordKey"
	}
	return "InvalidSecretKey"
}

func (k *Keys) fromSet(ctx context.Context, fc *flow.Context, p purpose) (*Key, error) {
	if p.kid == "" {
		return nil, refuse("KeyIdMissing")
	}
	url := k.uri
	if !k.uriRef.IsZero() {
		v := k.uriRef.Get(fc)
		if v.IsNull() {
			return nil, unresolved(k.uriRef.Name())
		}
		url = v.String()
	}
	if url != "" {
		return k.fetcher.find(ctx, fc.Now(), url, p)
	}
	s, err := k.setOf(fc)
	if err != nil {
		return nil, err
	}
	return s.find(p)
}

// setOf is the key set of a variable, or of the policy's text.
func (k *Keys) setOf(fc *flow.Context) (*set, error) {
	if k.ref.IsZero() {
		return k.fixedSet, nil
	}
	v := k.ref.Get(fc)
	if v.IsNull() {
		if k.fixedSet != nil {
			return k.fixedSet, nil
		}
		return nil, unresolved(k.ref.Name())
	}
	text := v.String()
	if l := k.last.Load(); l != nil && l.text == text {
		return l.set, nil
	}
	s, err := parseOnce("set", text, "", func() (*set, error) { return parseSet(text) })
	if err == nil {
		k.last.Store(&lastKey{text: text, set: s})
	}
	return s, err
}
