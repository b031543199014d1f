package jwt

import (
	"encoding/base64"
	"errors"
	"strings"
)

// maxHeader is the largest header of a token, in bytes of base64.
const maxHeader = 64 << 10

// Token is a compact JWS or JWE (RFC 7515 section 7.1, RFC 7516 section 7.1)
// taken apart and decoded. Nothing in it is verified.
type Token struct {
	Header     Object
	HeaderJSON string
	// Payload is the payload of a JWS; that of a JWE is known after decryption.
	Payload   string
	Encrypted bool

	signing   string // header.payload, as received
	payload64 string
	payload   []byte // the bytes of Payload
	signature []byte

	key, iv, ciphertext, tag []byte // of a JWE
}

var errCompact = errors.New("not a token in compact form")

// Parse takes a token apart: three parts are a JWS, five a JWE. The error has
// the name FailedToDecode or InvalidJsonFormat.
func Parse(s string) (*Token, error) {
	part := [5]string{}
	n := 0
	for p := range strings.SplitSeq(s, ".") {
		if n == len(part) {
			return nil, &Error{Name: "FailedToDecode", Cause: errCompact}
		}
		part[n] = p
		n++
	}
	if n != 3 && n != 5 || len(part[0]) > maxHeader {
		return nil, &Error{Name: "FailedToDecode", Cause: errCompact}
	}
	t := &Token{Encrypted: n == 5}
	head, err := decode64(part[0])
	if err != nil {
		return nil, &Error{Name: "FailedToDecode", Cause: err}
	}
	t.HeaderJSON = string(head)
	if t.Header, err = parseObject(head, t.HeaderJSON); err != nil {
		return nil, &Error{Name: "InvalidJsonFormat", Cause: err}
	}
	if n == 5 {
		err = t.encrypted(part)
	} else {
		err = t.signed(s, part)
	}
	if err != nil {
		return nil, &Error{Name: "FailedToDecode", Cause: err}
	}
	return t, nil
}

func (t *Token) signed(s string, part [5]string) (err error) {
	t.signing, t.payload64 = s[:len(part[0])+1+len(part[1])], part[1]
	if raw, ok := t.Header.Get("b64"); ok && raw != "true" {
		return errors.New("payloads that are not encoded (RFC 7797) are not supported")
	}
	if t.signature, err = decode64(part[2]); err != nil {
		return err
	}
	t.payload, err = decode64(part[1])
	t.Payload = string(t.payload)
	return err
}

func (t *Token) encrypted(part [5]string) error {
	t.signing = part[0]
	for i, into := range []*[]byte{&t.key, &t.iv, &t.ciphertext, &t.tag} {
		b, err := decode64(part[i+1])
		if err != nil {
			return err
		}
		*into = b
	}
	return nil
}

// Detached reports whether the payload of a JWS is left out.
func (t *Token) Detached() bool { return !t.Encrypted && t.payload64 == "" }

// claims is the payload of a JWT as an object.
func (t *Token) claims() (Object, error) {
	o, err := parseObject(t.payload, t.Payload)
	if err != nil {
		return nil, &Error{Name: "InvalidJsonFormat", Cause: err}
	}
	return o, nil
}

// attach gives a detached JWS its payload.
func (t *Token) attach(payload string) {
	t.Payload, t.payload = payload, []byte(payload)
	t.payload64 = base64.RawURLEncoding.EncodeToString([]byte(payload))
	t.signing += t.payload64
}

var strict = base64.RawURLEncoding.Strict()

// decode64 decodes base64url without padding. Unlike the package it lets no
// line breaks through.
func decode64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break in base64")
	}
	return strict.DecodeString(s)
}

// FromSource returns the token in the text of a variable: without "Bearer " in
// front.
func FromSource(s string) string {
	const scheme = "bearer "
	if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
		s = s[len(scheme):]
	}
	return strings.TrimSpace(s)
}
