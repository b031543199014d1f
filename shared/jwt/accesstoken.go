package jwt

import (
	"context"
	"crypto/sha256"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// AccessTokens signs and verifies access tokens in the form of RFC 9068 for one
// OAuthV2 policy.
type AccessTokens struct {
	Signature *Signature
	Keys      *Keys

	last atomic.Pointer[keyID]
}

type keyID struct {
	key *Key
	id  [sha256.Size]byte
}

// AccessClaims are the claims of an access token. Times are in whole seconds.
type AccessClaims struct {
	Issuer, Subject, ID, ClientID, Scope string
	IssuedAt, Expires                    time.Time
}

// Sign makes a token.
func (a *AccessTokens) Sign(ctx context.Context, fc *flow.Context, c AccessClaims) (string, error) {
	h := Object{}
	h.setText("alg", a.Signature.Name)
	h.setText("typ", "at+JWT")
	kid, err := a.Keys.ID(fc, false)
	if err != nil {
		return "", err
	}
	if kid != "" {
		h.setText("kid", kid)
	}
	o := Object{}
	o.setText("iss", c.Issuer)
	o.setText("sub", c.Subject)
	o.setText("client_id", c.ClientID)
	o.setText("jti", c.ID)
	o.setInt("iat", c.IssuedAt.Unix())
	o.setInt("exp", c.Expires.Unix())
	o.setText("scope", c.Scope)
	g := &Generator{Keys: a.Keys}
	return g.sign(ctx, fc, a.Signature, h, kid, o.JSON(), false)
}

// KeyID tells the policy's key and algorithm at this moment from others: a token
// verified under one KeyID needs no verification under the same. Of a key set it
// is the set's.
func (a *AccessTokens) KeyID(ctx context.Context, fc *flow.Context) (id [sha256.Size]byte, err error) {
	if a.Keys.inSet {
		return a.setID(fc)
	}
	k, err := a.Keys.get(ctx, fc, purpose{alg: a.Signature.Name, use: "sig", ops: []string{"verify"}, fit: a.Signature.fits})
	if err != nil {
		return id, err
	}
	if l := a.last.Load(); l != nil && l.key == k {
		return l.id, nil
	}
	l := &keyID{k, sha256.Sum256(append([]byte(a.Signature.Name+" "), k.fingerprint[:]...))}
	a.last.Store(l)
	return l.id, nil
}

func (a *AccessTokens) setID(fc *flow.Context) (id [sha256.Size]byte, err error) {
	where := a.Keys.uri
	if !a.Keys.uriRef.IsZero() {
		where = a.Keys.uriRef.Get(fc).String()
	}
	if where == "" && !a.Keys.ref.IsZero() {
		where = a.Keys.ref.Get(fc).String()
	}
	return sha256.Sum256([]byte(a.Signature.Name + " set " + where)), nil
}

// Verify checks a token's form, type, algorithm, signature and times at now, and
// returns its claims. RFC 9068 section 4.
func (a *AccessTokens) Verify(ctx context.Context, fc *flow.Context, token string, now time.Time) (*AccessClaims, error) {
	t, err := Parse(token)
	if err != nil {
		return nil, err
	}
	v := &Verifier{Signatures: []*Signature{a.Signature}, Keys: a.Keys}
	h, err := v.read(fc, t)
	if err != nil {
		return nil, err
	}
	if typ, _ := t.Header.Text("typ"); !strings.EqualFold(strings.TrimPrefix(strings.ToLower(typ), "application/"), "at+jwt") {
		return nil, refuseFor("InvalidToken", "typ is not at+JWT")
	}
	k, err := v.key(ctx, fc, h)
	if err != nil {
		return nil, err
	}
	if err := v.open(t, h, k, "InvalidToken"); err != nil {
		return nil, err
	}
	o, err := ParseObject(t.Payload)
	if err != nil {
		return nil, &Error{Name: "InvalidJsonFormat", Cause: err}
	}
	return accessClaims(o, now)
}

// accessClaims reads and checks the claims of a token that is genuine.
func accessClaims(o Object, now time.Time) (*AccessClaims, error) {
	c := &AccessClaims{}
	for name, into := range map[string]*string{"iss": &c.Issuer, "sub": &c.Subject, "jti": &c.ID, "client_id": &c.ClientID, "scope": &c.Scope} {
		if s, ok := o.Text(name); ok {
			*into = s
		}
	}
	var err error
	if c.IssuedAt, err = instant(o, "iat"); err != nil {
		return nil, err
	}
	if c.Expires, err = instant(o, "exp"); err != nil {
		return nil, err
	}
	notBefore, err := instant(o, "nbf")
	switch {
	case err != nil:
		return nil, err
	case c.ClientID == "":
		return nil, &Error{Name: "MissingMandatoryClaims", Detail: "claim(client_id)"}
	case c.Expires.IsZero():
		return nil, &Error{Name: "MissingMandatoryClaims", Detail: "claim(exp)"}
	case !now.Before(c.Expires):
		return nil, refuse("TokenExpired")
	case now.Before(notBefore):
		return nil, refuse("TokenNotYetValid")
	}
	return c, nil
}

// instant is a NumericDate; the zero time if it is absent.
func instant(o Object, name string) (time.Time, error) {
	raw, ok := o.Get(name)
	if !ok {
		return time.Time{}, nil
	}
	ms, ok := seconds(raw)
	if !ok {
		return time.Time{}, &Error{Name: "InvalidClaim", Detail: "claim(" + name + ")", Cause: strconv.ErrSyntax}
	}
	return time.UnixMilli(ms), nil
}
