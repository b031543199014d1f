package keystore

import (
	"errors"
	"fmt"
)

// Code says what kind of error it is. The set is closed; callers act on the
// code, never on the text.
type Code uint8

// The codes.
const (
	// Unavailable is everything that may pass: a network fault, a time-out,
	// a cancelled context, a quota. It is the zero value.
	Unavailable Code = iota
	// NotFound is an alias or secret that is not there.
	NotFound
	// AlreadyExists is a create of what is there.
	AlreadyExists
	// Invalid is input that can never be stored, or a stored secret that
	// cannot be understood.
	Invalid
	// Conflict is a replace of a version that is no longer current.
	Conflict
	// Denied is an engine that refuses the credentials.
	Denied
)

var codeNames = [...]string{"unavailable", "not found", "already exists", "invalid", "conflict", "denied"}

// String is the code in words.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// Error is every error of a driver and of Store.
type Error struct {
	Code Code
	// Message is for people; it never holds key material or a password.
	Message string
	// Cause is the underlying error; nil if there is none. Message says it
	// already.
	Cause error
}

// Error is the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code.String()
	}
	return e.Message
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error of a code. The operand of a %w becomes its cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// CodeOf is the code of an error; Unavailable if it is not one of ours.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Unavailable
}

// IsNotFound reports whether err says that something is not there.
func IsNotFound(err error) bool { return err != nil && CodeOf(err) == NotFound }
