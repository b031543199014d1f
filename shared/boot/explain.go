package boot

import (
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// explain says what to do about an error of Google's libraries whose own text
// does not: "" if there is nothing to add.
func explain(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "could not find default credentials"):
		return "there are no Google credentials: on AWS set PERIGEE_GOOGLE_CREDENTIALS to the external_account configuration (docs/DEPLOY.md, \"AWS\"); elsewhere set GOOGLE_APPLICATION_CREDENTIALS or run \"gcloud auth application-default login\"; on Google Cloud the service has no service account"
	case strings.Contains(text, "sts.googleapis.com") || strings.Contains(text, "subject token"):
		return "Google did not take the AWS role for the workload identity provider's: compare the provider's attribute condition with the function's role (docs/DEPLOY.md, \"AWS\")"
	case strings.Contains(text, "iam.serviceAccounts.getAccessToken"):
		return "the caller may not be that service account: grant it roles/iam.workloadIdentityUser (from AWS) or roles/iam.serviceAccountTokenCreator on it"
	}
	var s interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &s) {
		return ""
	}
	switch code := s.GRPCStatus().Code(); {
	case code == codes.NotFound && strings.Contains(text, "database"):
		return "there is no such Firestore database: create it (docs/DEPLOY.md), or correct PERIGEE_STORE"
	case code == codes.PermissionDenied && strings.Contains(text, "has not been used in project"):
		return "enable the API in the project (docs/DEPLOY.md)"
	case code == codes.PermissionDenied:
		return "the service account lacks a role: roles/datastore.user on the project for the store, roles/secretmanager.secretAccessor for secrets (docs/SECURITY.md lists them)"
	case code == codes.Unauthenticated:
		return "Google refused the credentials: they are expired, or of a deleted service account"
	case code == codes.FailedPrecondition && strings.Contains(text, "Datastore Mode"):
		return "the Firestore database is in Datastore mode; perigee needs Native mode"
	}
	return ""
}
