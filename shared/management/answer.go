package management

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/store"
)

// object is a JSON object of an answer that has no type of its own.
type object map[string]any

// file is an answer that is not JSON.
type file struct {
	contentType string
	name        string // of a download, "" for none
	data        []byte
}

// noContent is the answer 204.
type noContent struct{}

// answer writes what a handler returned; nil is an empty object.
func (c *call) answer(v any) {
	switch v := v.(type) {
	case file:
		c.w.Header().Set("Content-Type", v.contentType)
		if v.name != "" {
			c.w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", v.name))
		}
		c.write(http.StatusOK, v.data)
	case noContent:
		c.w.WriteHeader(http.StatusNoContent)
	case nil:
		c.json(http.StatusOK, object{})
	default:
		c.json(http.StatusOK, v)
	}
}

// json writes v as Google's front end does: two spaces, UTF-8.
func (c *call) json(status int, v any) {
	data, err := marshal(v)
	if err != nil {
		c.Log.LogAttrs(c.ctx(), slog.LevelError, "encode answer", slog.Any("error", err))
		status, data = http.StatusInternalServerError, []byte(`{"error":{"code":500,"message":"Internal error encountered.","status":"INTERNAL"}}`)
	}
	var out bytes.Buffer
	if json.Indent(&out, data, "", "  ") == nil && c.query.Get("prettyPrint") != "false" {
		data = append(out.Bytes(), '\n')
	}
	c.w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	c.write(status, data)
}

func (c *call) write(status int, data []byte) {
	h := c.w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-store")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(data) // the caller has gone
}

// marshal is json.Marshal without the escapes for HTML.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// Codes beside those of package entity.
const (
	unauthenticated  entity.Code = "UNAUTHENTICATED"
	permissionDenied entity.Code = "PERMISSION_DENIED"
	cancelled        entity.Code = "CANCELLED"
	deadline         entity.Code = "DEADLINE_EXCEEDED"
)

// statusOf is the HTTP status of a code.
// Source: https://cloud.google.com/apis/design/errors#handling_errors
var statusOf = map[entity.Code]int{
	entity.InvalidArgument:    http.StatusBadRequest,
	entity.FailedPrecondition: http.StatusBadRequest,
	unauthenticated:           http.StatusUnauthorized,
	permissionDenied:          http.StatusForbidden,
	entity.NotFound:           http.StatusNotFound,
	entity.AlreadyExists:      http.StatusConflict,
	entity.Aborted:            http.StatusConflict,
	entity.ResourceExhausted:  http.StatusTooManyRequests,
	cancelled:                 499,
	entity.Internal:           http.StatusInternalServerError,
	entity.Unavailable:        http.StatusServiceUnavailable,
	deadline:                  http.StatusGatewayTimeout,
}

func invalid(format string, args ...any) error {
	return entity.Errorf(entity.InvalidArgument, format, args...)
}

func notFound(format string, args ...any) error {
	return entity.Errorf(entity.NotFound, format, args...)
}

// badRequest is an error about fields of the request.
type badRequest struct {
	message string
	fields  []fieldViolation
	bundle  []bundleViolation
}

// bundleViolation is what is wrong in one file of a bundle, as Apigee's own
// answer to an import has it.
//
// Source: https://github.com/apigee/apigeecli/issues/534 (a captured answer)
type bundleViolation struct {
	Filename    string `json:"filename"`
	Description string `json:"description"`
}

type fieldViolation struct {
	Field       string `json:"field,omitempty"`
	Description string `json:"description"`
}

func (e *badRequest) Error() string { return e.message }

// refused is the error for a bundle with problems: the message has all of them
// as file:line: message, the details each by its file.
func refused(b *bundle.Bundle, problems bundle.Problems) error {
	e := &badRequest{message: "bundle contains errors:\n" + problems.Errors().String()}
	folder := ""
	if b != nil {
		folder = b.Kind.Folder() + "/"
	}
	for _, p := range problems.Errors() {
		description := p.Message
		if p.Line > 0 {
			description = fmt.Sprintf("line %d: %s", p.Line, p.Message)
		}
		e.fields = append(e.fields, fieldViolation{Field: folder + p.File, Description: description})
		e.bundle = append(e.bundle, bundleViolation{Filename: folder + p.File, Description: description})
	}
	return e
}

// errorBody is Google's error JSON.
type errorBody struct {
	Code    int         `json:"code"`
	Message string      `json:"message"`
	Status  entity.Code `json:"status"`
	Details []any       `json:"details,omitempty"`
}

// fail writes an error. What is not meant for callers is logged and answered as
// internal.
func (c *call) fail(err error) {
	e := errorBody{Status: codeOf(err), Message: messageOf(err), Details: detailsOf(err)}
	e.Code = statusOf[e.Status]
	if e.Code >= http.StatusInternalServerError {
		attrs := []slog.Attr{slog.String("method", c.r.Method), slog.Any("error", causeOf(err))}
		if c.route != nil {
			attrs = append(attrs, slog.String("resource", c.resource()))
		}
		c.Log.LogAttrs(c.ctx(), slog.LevelError, "call failed", attrs...)
	}
	if e.Status == unauthenticated {
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/"`)
	}
	c.json(e.Code, object{"error": e})
}

// codeOf is the code of any error.
func codeOf(err error) entity.Code {
	var bad *badRequest
	var own *entity.Error
	var key *keystore.Error
	switch {
	case errors.As(err, &bad):
		return entity.InvalidArgument
	case errors.As(err, &own):
		if _, ok := statusOf[own.Code]; ok {
			return own.Code
		}
		return entity.Internal
	case errors.Is(err, context.Canceled):
		return cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return deadline
	case errors.As(err, &key):
		return keyCodes[key.Code]
	}
	return entity.CodeOf(err)
}

// keyCodes are the codes of package keystore. Its Denied is about the host's own
// credentials.
var keyCodes = map[keystore.Code]entity.Code{
	keystore.Unavailable: entity.Unavailable, keystore.NotFound: entity.NotFound, keystore.AlreadyExists: entity.AlreadyExists,
	keystore.Invalid: entity.InvalidArgument, keystore.Conflict: entity.Aborted, keystore.Denied: entity.Internal,
}

// causeOf is what the log is told of an error: the cause that callers are not.
func causeOf(err error) error {
	var own *entity.Error
	if errors.As(err, &own) && own.Err != nil {
		return fmt.Errorf("%w: %w", err, own.Err)
	}
	return err
}

// plain is what is said of errors without a message for callers.
var plain = map[entity.Code]string{
	entity.Internal:        "Internal error encountered.",
	entity.Unavailable:     "The service is currently unavailable.",
	entity.Aborted:         "The operation was aborted by a concurrent change; try again.",
	entity.NotFound:        "Requested entity was not found.",
	entity.AlreadyExists:   "Requested entity already exists.",
	entity.InvalidArgument: "Request contains an invalid argument.",
	cancelled:              "The operation was cancelled.",
	deadline:               "The deadline expired before the operation could complete.",
}

func messageOf(err error) string {
	code := codeOf(err)
	var bad *badRequest
	var own *entity.Error
	var key *keystore.Error
	switch {
	case errors.As(err, &bad):
		return bad.message
	case errors.As(err, &own):
		return own.Error()
	case code == entity.InvalidArgument && errors.As(err, &key):
		return key.Message
	case errors.As(err, &key) && (code == entity.NotFound || code == entity.AlreadyExists):
		return key.Message
	case store.CodeOf(err) == store.Invalid && code == entity.InvalidArgument:
		return "Request is not storable: " + strings.TrimSpace(cause(err))
	}
	return plain[code]
}

// cause is the innermost message of a store's refusal: which limit was exceeded.
func cause(err error) string {
	var e *store.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return "invalid"
}

func detailsOf(err error) []any {
	var bad *badRequest
	if errors.As(err, &bad) && len(bad.fields) > 0 {
		details := []any{object{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": bad.fields}}
		if len(bad.bundle) > 0 {
			details = append(details, object{"@type": "type.googleapis.com/edge.configstore.bundle.BadBundle", "violations": bad.bundle})
		}
		return details
	}
	var own *entity.Error
	if errors.As(err, &own) && len(own.Violations) > 0 {
		return []any{struct {
			Type       string                                          `json:"@type"`
			Violations []*apigee.GoogleRpcPreconditionFailureViolation `json:"violations"`
		}{"type.googleapis.com/google.rpc.PreconditionFailure", own.Violations}}
	}
	return nil
}
