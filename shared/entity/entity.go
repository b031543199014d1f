// Package entity holds the shapes perigee persists that the Management API's own
// types (google.golang.org/api/apigee/v1) lack: what is recorded of a revision
// and of a deployment, the version stamp, the configuration of an environment
// as the data plane reads it, the nodes of the routing index. It also names
// documents and checks names and limits.
//
// It reads and writes nothing; packages registry and deployment do.
package entity

import (
	"errors"
	"fmt"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/store"

	"github.com/perigee-gateway/perigee/shared/bundle"
)

// Kind says what a revision or a deployment is of; it is the name in the
// Management API's paths without the plural.
type Kind string

// The kinds.
const (
	API        Kind = "api"
	SharedFlow Kind = "sharedflow"
)

// Bundle is the kind of bundle it is imported from.
func (k Kind) Bundle() bundle.Kind {
	if k == SharedFlow {
		return bundle.KindSharedFlow
	}
	return bundle.KindAPIProxy
}

// String is the kind in messages.
func (k Kind) String() string {
	if k == SharedFlow {
		return "shared flow"
	}
	return "API proxy"
}

// Plural is the kind in resource names: organizations/O/apis/A.
func (k Kind) Plural() string { return string(k) + "s" }

// Code classifies an Error; the values are Google's RPC status names.
type Code string

// The codes entity, registry and deployment give.
const (
	NotFound           Code = "NOT_FOUND"
	AlreadyExists      Code = "ALREADY_EXISTS"
	InvalidArgument    Code = "INVALID_ARGUMENT"
	FailedPrecondition Code = "FAILED_PRECONDITION"
	ResourceExhausted  Code = "RESOURCE_EXHAUSTED"
	Aborted            Code = "ABORTED"
	Unavailable        Code = "UNAVAILABLE"
	Internal           Code = "INTERNAL"
)

// Error is a refusal whose Message the caller of the Management API may see.
type Error struct {
	Code    Code
	Message string
	// Violations become google.rpc.PreconditionFailure in the answer's details.
	Violations []*apigee.GoogleRpcPreconditionFailureViolation
	// Err is the cause, not for the caller's eyes; it may be nil.
	Err error
}

// Error is the message, and the violations behind it.
func (e *Error) Error() string {
	s := e.Message
	for _, v := range e.Violations {
		s += "; " + v.Description
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of an error of entity, registry, deployment or store;
// empty for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	switch store.CodeOf(err) {
	case store.NotFound:
		return NotFound
	case store.AlreadyExists:
		return AlreadyExists
	case store.Invalid:
		return InvalidArgument
	case store.Conflict:
		return Aborted
	case store.Unavailable:
		return Unavailable
	}
	return Internal
}

// IsNotFound reports whether err has code NotFound.
func IsNotFound(err error) bool { return CodeOf(err) == NotFound }

// IsAlreadyExists reports whether err has code AlreadyExists.
func IsAlreadyExists(err error) bool { return CodeOf(err) == AlreadyExists }
