package management

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/store"
)

func TestErrors(t *testing.T) {
	violated := &entity.Error{
		Code: entity.FailedPrecondition, Message: "deployment validations failed",
		Violations: []*apigee.GoogleRpcPreconditionFailureViolation{{Type: "T", Subject: "s", Description: "because"}},
	}
	for _, c := range []struct {
		err    error
		status int
		body   string
	}{
		{fmt.Errorf("wrapped: %w", notFound("proxy %q not found", "x")), 404, `{"error":{"code":404,"message":"proxy \"x\" not found","status":"NOT_FOUND"}}`},
		{entity.Errorf(entity.AlreadyExists, "there"), 409, `{"error":{"code":409,"message":"there","status":"ALREADY_EXISTS"}}`},
		{entity.Errorf(entity.ResourceExhausted, "full"), 429, `{"error":{"code":429,"message":"full","status":"RESOURCE_EXHAUSTED"}}`},
		{entity.Errorf("NEW", "unheard of"), 500, `{"error":{"code":500,"message":"unheard of","status":"INTERNAL"}}`},
		{violated, 400, `{"error":{"code":400,"message":"deployment validations failed; because","status":"FAILED_PRECONDITION","details":[{"@type":"type.googleapis.com/google.rpc.PreconditionFailure","violations":[{"description":"because","subject":"s","type":"T"}]}]}}`},
		{&badRequest{message: "bad", fields: []fieldViolation{{"f", "d"}}}, 400, `{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"f","description":"d"}]}]}}`},
		{errors.New("disk of host-7 is on fire"), 500, `{"error":{"code":500,"message":"Internal error encountered.","status":"INTERNAL"}}`},
		{&store.Error{Code: store.Unavailable, Op: "get", Err: errors.New("dial 10.0.0.1")}, 503, `{"error":{"code":503,"message":"The service is currently unavailable.","status":"UNAVAILABLE"}}`},
		{&store.Error{Code: store.Conflict, Op: "update"}, 409, `{"error":{"code":409,"message":"The operation was aborted by a concurrent change; try again.","status":"ABORTED"}}`},
		{&store.Error{Code: store.Invalid, Op: "put", Err: errors.New("document of 2 bytes")}, 400, `{"error":{"code":400,"message":"Request is not storable: document of 2 bytes","status":"INVALID_ARGUMENT"}}`},
		{keystore.Errorf(keystore.Invalid, "no certificate"), 400, `{"error":{"code":400,"message":"no certificate","status":"INVALID_ARGUMENT"}}`},
		{fmt.Errorf("put: %w", keystore.Errorf(keystore.Denied, "project p refuses")), 500, `{"error":{"code":500,"message":"Internal error encountered.","status":"INTERNAL"}}`},
		{keystore.Errorf(keystore.Unavailable, "dial"), 503, `{"error":{"code":503,"message":"The service is currently unavailable.","status":"UNAVAILABLE"}}`},
		{context.DeadlineExceeded, 504, `{"error":{"code":504,"message":"The deadline expired before the operation could complete.","status":"DEADLINE_EXCEEDED"}}`},
		{fmt.Errorf("read: %w", context.Canceled), 499, `{"error":{"code":499,"message":"The operation was cancelled.","status":"CANCELLED"}}`},
	} {
		a := newAPI(t)
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/v1/x", nil)
		s := &server{Options: Options{Log: logInto(a)}}
		(&call{server: s, w: w, r: r, query: r.URL.Query()}).fail(c.err)
		(&reply{t: t, what: c.err.Error(), status: w.Code, body: w.Body.String()}).want(c.status).is(c.body)
		if logged := a.log.Len() > 0; logged != (c.status >= 500) {
			t.Errorf("%v: log is %s", c.err, &a.log)
		}
	}
}

func TestPanicIsInternal(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.Auth = panicking{} })
	a.do("POST", "keyvaluemaps", `{"name":"m"}`).want(500, `"status":"INTERNAL"`).lacks("oops")
	if !strings.Contains(a.log.String(), "oops") || !strings.Contains(a.log.String(), "change refused") {
		t.Errorf("log is %s", &a.log)
	}
}
