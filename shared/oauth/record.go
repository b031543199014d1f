package oauth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

// id is the SHA-256 of a token, code or end user: what stands for it in the
// store.
type id [sha256.Size]byte

func idOf(text string) id { return sha256.Sum256([]byte(text)) }

func (i id) String() string { return hex.EncodeToString(i[:]) }

func (s *Service) tokenKey(id string) store.Key { return entity.Key("tokens", s.org, id) }
func (s *Service) codeKey(id string) store.Key  { return entity.Key("authcodes", s.org, id) }

const (
	kindAccess  = "access"
	kindRefresh = "refresh"
)

// record is the document of a token: what is readable without it. Times are in
// milliseconds since 1970.
type record struct {
	Kind        string `json:"kind"`
	Status      string `json:"status"`
	Reason      string `json:"reason,omitempty"` // of a revocation
	Grant       string `json:"grant"`
	App         string `json:"app"`
	Developer   string `json:"developer,omitempty"`
	Client      string `json:"client"` // KeyID of the consumer key
	EndUser     string `json:"enduser,omitempty"`
	Environment string `json:"environment,omitempty"`
	Proxy       string `json:"proxy,omitempty"`
	Issued      int64  `json:"issued"`
	Expires     int64  `json:"expires,omitempty"` // 0 is never
	// Approved is when it was last approved: issued, or by ValidateToken. A
	// revocation of all tokens concerns those approved before it.
	Approved int64 `json:"approved"`
	// Family is the id of the first refresh token of the grant: all tokens of it,
	// however often they were refreshed, have the same.
	Family string `json:"family,omitempty"`
	// Refreshes counts how often it was refreshed.
	Refreshes int  `json:"refreshes,omitempty"`
	JWT       bool `json:"jwt,omitempty"`
	// Sealed is details, readable with the token only.
	Sealed []byte `json:"sealed"`
}

// details are what is sealed.
type details struct {
	Client     string                  `json:"c"`
	AppName    string                  `json:"a"`
	Email      string                  `json:"e,omitempty"`
	Scope      string                  `json:"s,omitempty"`
	Products   []string                `json:"p,omitempty"`
	EndUser    string                  `json:"u,omitempty"`
	Attributes []policy.TokenAttribute `json:"x,omitempty"`
	// Refresh is the refresh token of an access token, which GetOAuthV2Info tells
	// who has the access token.
	Refresh string `json:"r,omitempty"`
	// Public is a client that has never shown its secret.
	Public bool `json:"pub,omitempty"`

	// Redirect, State, Challenge and Method are of a code.
	Redirect  string `json:"ru,omitempty"`
	State     string `json:"st,omitempty"`
	Challenge string `json:"ch,omitempty"`
	Method    string `json:"cm,omitempty"`
}

// sealer seals and opens what belongs to a text.
func sealer(text string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(text), nil, "perigee oauth details", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func seal(text string, key store.Key, d *details) ([]byte, error) {
	plain, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	aead, err := sealer(text)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, []byte(key.String())), nil
}

func open(text string, key store.Key, sealed []byte) (*details, error) {
	aead, err := sealer(text)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, []byte(key.String()))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", key, err)
	}
	d := new(details)
	return d, json.Unmarshal(plain, d)
}

func decode(d store.Doc) (*record, error) {
	r := new(record)
	if err := json.Unmarshal(d.Data, r); err != nil {
		return nil, fmt.Errorf("decode %s: %w", d.Key, err)
	}
	return r, nil
}

func (r *record) doc(key store.Key, fields map[string]string) (store.Doc, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return store.Doc{}, err
	}
	d := store.Doc{Key: key, Fields: fields, Data: data}
	if r.Expires != 0 {
		d.ExpireAt = time.UnixMilli(r.Expires).Add(Retention)
	}
	return d, nil
}

// fields are what tokens are found by.
func (s *Service) fields(r *record) map[string]string {
	f := map[string]string{"org": s.org, "kind": r.Kind, "app": r.App, "client": r.Client}
	for name, value := range map[string]string{"enduser": r.EndUser, "developer": r.Developer, "refreshOf": r.Family} {
		if value != "" {
			f[name] = value
		}
	}
	return f
}

func (r *record) expired(now time.Time) bool {
	return r.Expires != 0 && now.UnixMilli() >= r.Expires
}

// token is the token of a record that was read with its text.
func (r *record) token(text string, d *details) *policy.Token {
	t := &policy.Token{
		Kind: policy.AccessToken, Text: text, GrantType: r.Grant, ClientID: d.Client, AppID: r.App, App: d.AppName,
		DeveloperID: r.Developer, Email: d.Email, Environment: r.Environment, Proxy: r.Proxy, Scope: d.Scope, Products: d.Products,
		Status: r.Status, RevokeReason: r.Reason, Issued: time.UnixMilli(r.Issued), Expires: millis(r.Expires), EndUser: d.EndUser,
		Attributes: d.Attributes, RefreshCount: r.Refreshes,
	}
	if r.Kind == kindRefresh {
		t.Kind = policy.RefreshToken
	}
	return t
}

// millis is a time in milliseconds; 0 is the zero time.
func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Lengths of what is made here. 28 characters are 166 bits.
const (
	accessLength  = 28
	refreshLength = 32
	codeLength    = 32
)

// random is n letters and digits, all equally likely: RFC 6749 section 10.10.
func random(n int) string {
	out := make([]byte, 0, n)
	for buf := make([]byte, n); len(out) < n; {
		_, _ = rand.Read(buf) // never fails
		for _, b := range buf {
			if int(b) < 256/len(alphabet)*len(alphabet) && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}
