// Package jwt is what the JWT and JWS policies share: compact tokens, their
// algorithms, where keys come from, how claims are made and compared, and the
// flow variables and faults. The cryptography is that of the standard library
// and of jwx.
//
// A token never says how it is verified: the algorithm must be one the policy
// lists, the key comes from the policy alone (jwk, jku, x5c and x5u headers are
// not read), and a key fits only the algorithms of its own type. Base64 and
// JSON are read strictly: one text, one token.
//
// Keys are parsed once per value and kept in a bounded cache by hash. What was
// verified with an asymmetric key is kept too (Cache); expiry and claims are
// checked again on each use, and so is that the key is still the policy's.
package jwt

import "errors"

// Error is why a token or a key is refused: the name of the fault, and what the
// fault string says after the name of the policy.
type Error struct {
	Name   string // "InvalidToken"
	Detail string // "claim(aud)"
	Cause  error  // for logs only; never holds key material
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Name
	if e.Detail != "" {
		s += " " + e.Detail
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

func refuse(name string) *Error { return &Error{Name: name} }

func refuseFor(name, why string) *Error { return &Error{Name: name, Cause: errors.New(why)} }

func unresolved(variable string) *Error {
	return &Error{Name: "FailedToResolveVariable", Detail: "variable(" + variable + ")"}
}

func invalidClaim(name string) *Error {
	return &Error{Name: "InvalidClaim", Detail: "claim(" + name + ")"}
}
