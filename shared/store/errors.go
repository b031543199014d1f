package store

import (
	"context"
	"errors"
	"fmt"
)

// Code classifies an Error. Callers act on the code, never on the text.
type Code int

// The closed set of codes. The zero Code is no error.
const (
	// NotFound: the document does not exist, or has expired.
	NotFound Code = iota + 1
	// AlreadyExists: Create met an existing document.
	AlreadyExists
	// Invalid: the arguments break a rule of the store; repeating cannot help.
	Invalid
	// Conflict: concurrent transactions met, and retries did not help.
	Conflict
	// Unavailable: the engine cannot be reached now, is closed or over its quota,
	// or the context ended; repeating later may help.
	Unavailable
	// Internal: anything else.
	Internal
)

var codeNames = [...]string{"ok", "not found", "already exists", "invalid", "conflict", "unavailable", "internal"}

// String is the code in words.
func (c Code) String() string {
	if c < 0 || int(c) >= len(codeNames) {
		return fmt.Sprintf("code %d", int(c))
	}
	return codeNames[c]
}

// Error is the error of every operation of this package and of its engines.
type Error struct {
	Code Code
	// Key is the document concerned; its ID is empty where there is no single
	// one.
	Key Key
	// Op is the operation: get, query, update ...
	Op string
	// Err is the cause; it may be nil.
	Err error
}

// Error names the operation, the document, the code and the cause.
func (e *Error) Error() string {
	s := "store: " + e.Op
	if e.Key != (Key{}) {
		s += " " + e.Key.String()
	}
	s += ": " + e.Code.String()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the first Error in err's chain; without one, zero
// for nil, Unavailable for an ended context, and Internal for the rest.
func CodeOf(err error) Code {
	if err == nil {
		return 0
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Unavailable
	}
	return Internal
}

// IsNotFound reports whether err has code NotFound.
func IsNotFound(err error) bool { return CodeOf(err) == NotFound }

// IsAlreadyExists reports whether err has code AlreadyExists.
func IsAlreadyExists(err error) bool { return CodeOf(err) == AlreadyExists }

// IsInvalid reports whether err has code Invalid.
func IsInvalid(err error) bool { return CodeOf(err) == Invalid }

// IsConflict reports whether err has code Conflict.
func IsConflict(err error) bool { return CodeOf(err) == Conflict }

// IsUnavailable reports whether err has code Unavailable.
func IsUnavailable(err error) bool { return CodeOf(err) == Unavailable }

// wrap gives err a code, an operation and a key unless it has them already.
func wrap(op string, key Key, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Code: CodeOf(err), Key: key, Op: op, Err: err}
}

// ended is wrap for an operation of ctx: whatever the engine calls it, an error
// after ctx ended has code Unavailable and ctx's error in its chain, except that
// a document was missing or in the way all the same.
func ended(ctx context.Context, op string, key Key, err error) error {
	cause := ctx.Err()
	switch CodeOf(err) {
	case Unavailable, Conflict, Internal:
	default:
		cause = nil
	}
	if cause == nil || errors.Is(err, cause) {
		return wrap(op, key, err)
	}
	return &Error{Code: Unavailable, Key: key, Op: op, Err: fmt.Errorf("%w: %w", cause, err)}
}

// invalid is an error of code Invalid about key.
func invalid(op string, key Key, format string, args ...any) error {
	return &Error{Code: Invalid, Key: key, Op: op, Err: fmt.Errorf(format, args...)}
}
