package boot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perigee-gateway/perigee/shared/store"
)

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string // in the explanation; "" for none
	}{
		{errors.New("credentials: could not find default credentials. See https://cloud.google.com/docs/authentication"), "PERIGEE_GOOGLE_CREDENTIALS"},
		{errors.New(`oauth2/google: status code 400: {"error":"invalid_grant"} from https://sts.googleapis.com/v1/token`), "attribute condition"},
		{errors.New("Permission 'iam.serviceAccounts.getAccessToken' denied on resource"), "workloadIdentityUser"},
		{status.Error(codes.NotFound, "The database perigee does not exist for project p"), "no such Firestore database"},
		{status.Error(codes.PermissionDenied, "Missing or insufficient permissions."), "roles/datastore.user"},
		{status.Error(codes.PermissionDenied, "Cloud Firestore API has not been used in project p before"), "enable the API"},
		{status.Error(codes.Unauthenticated, "Request had invalid authentication credentials"), "refused the credentials"},
		{status.Error(codes.FailedPrecondition, "The Cloud Firestore API is not available for Firestore in Datastore Mode database"), "Native mode"},
		{status.Error(codes.Unavailable, "connection refused"), ""},
		{errors.New("anything else"), ""},
	} {
		wrapped := fmt.Errorf("load: %w", &store.Error{Code: store.Unavailable, Op: "get", Err: c.err})
		if got := explain(wrapped); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%v: %q, want %q in it", c.err, got, c.want)
		}
	}
}

// TestLoggerExplains checks that the explanation is in the log, beside the error.
func TestLoggerExplains(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var b bytes.Buffer
		log, err := NewLogger(&b, format, "info")
		if err != nil {
			t.Fatal(err)
		}
		log.Error("configuration cannot be read", "error", status.Error(codes.PermissionDenied, "no"))
		log.Error("something else", "error", errors.New("plain"))
		for _, want := range []string{"code = PermissionDenied", "lacks a role", "plain"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q in %s", format, want, b.String())
			}
		}
		if strings.Count(b.String(), "\n") != 2 {
			t.Errorf("%s: not two lines: %s", format, b.String())
		}
		if format == "json" {
			var line struct{ Severity, Message, Error string }
			if err := json.Unmarshal(b.Bytes()[:bytes.IndexByte(b.Bytes(), '\n')], &line); err != nil || line.Severity != "ERROR" || line.Message != "configuration cannot be read" {
				t.Errorf("%+v %v", line, err)
			}
		}
	}
}
