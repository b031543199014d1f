package oauthv2

import (
	"errors"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// refusal is why nothing was issued: the body if the policy answers itself, and
// the fault if it does not.
type refusal struct {
	problem
	fault verdict
}

const unknownClientText = "Invalid client identifier"

// missing is the refusal of a request without a parameter.
func missing(name string) refusal {
	return invalid("Required param : "+name, missingFaults[name])
}

// missingFaults are the faults of parameters that are read from a variable.
var missingFaults = map[string]verdict{
	"code":          {"steps.oauth.v2.FailedToResolveAuthorizationCode", 500, "Failed to resolve Authorization Code"},
	"refresh_token": {"steps.oauth.v2.FailedToResolveRefreshToken", 500, "Failed to resolve Refresh Token"},
}

// missingParameter is the refusal of an authorization request, or of any without
// a client.
func missingParameter(name string) refusal {
	v := verdict{}
	switch name {
	case "client_id":
		v = verdict{"steps.oauth.v2.FailedToResolveClientId", 500, "Failed to resolve Client Id"}
	case "response_type":
		v = verdict{"steps.oauth.v2.MissingParameter", 500, "The request is missing a required parameter : response_type"}
	}
	return invalid("The request is missing a required parameter : "+name, v)
}

// invalid is a refusal with the code invalid_request.
func invalid(text string, v verdict) refusal {
	if v.code == "" {
		v = verdict{"steps.oauth.v2.InvalidRequest", 400, text}
	}
	return refusal{problem{400, "invalid_request", "invalid_request", text}, v}
}

// unsupported is the refusal of a grant type.
func unsupported(grant string) refusal {
	text := "Unsupported grant type : " + grant
	return refusal{problem{400, "invalid_request", "unsupported_grant_type", text}, verdict{"steps.oauth.v2.UnSupportedGrantType", 500, text}}
}

// refusals are those of the service that say nothing about the request.
// Source: policies reference, "Failures of generation"; oauth-http-status-code-reference.
// The names that a fault has where the page shows only the body are those of the
// policy's error table.
var refusals = map[policy.TokenReason]refusal{
	policy.UnknownClient: {
		problem{401, "invalid_client", "invalid_client", "ClientId is Invalid"},
		verdict{"oauth.v2.InvalidClientIdentifier", 500, unknownClientText}},
	policy.InvalidScope: {
		problem{400, "invalid_scope", "invalid_scope", "The requested scope is invalid"},
		verdict{"keymanagement.service.invalid_scope", 400, "The requested scope is invalid"}},
	policy.UnknownCode: {
		problem{400, "invalid_request", "invalid_grant", "Invalid Authorization Code"},
		verdict{"keymanagement.service.invalid_request-authorization_code_invalid", 400, "Invalid Authorization Code"}},
	policy.CodeExpired: {
		problem{400, "invalid_request", "invalid_grant", "Authorization Code expired"},
		verdict{"keymanagement.service.authorization_code_expired", 400, "Authorization Code expired"}},
	policy.InvalidVerifier: {
		problem{400, "invalid_request", "invalid_grant", "Invalid code_verifier"},
		verdict{"keymanagement.service.invalid_request-code_verifier_invalid", 400, "Invalid code_verifier"}},
	policy.InvalidChallenge: {
		problem{400, "invalid_request", "invalid_request", "Invalid code_challenge or code_challenge_method"},
		verdict{"steps.oauth.v2.InvalidRequest", 400, "Invalid code_challenge or code_challenge_method"}},
	policy.UnknownRefreshToken: {
		problem{400, "invalid_request", "invalid_grant", "Invalid Refresh Token"},
		verdict{"keymanagement.service.invalid_refresh_token", 400, "Invalid Refresh Token"}},
	policy.RefreshTokenExpired: {
		problem{400, "InvalidRequest", "invalid_grant", "Refresh Token expired"},
		verdict{"keymanagement.service.refresh_token_expired", 400, "Refresh Token expired"}},
	policy.RefreshTokenRevoked: {
		problem{400, "invalid_request", "invalid_grant", "Refresh Token not approved"},
		verdict{"keymanagement.service.refresh_token_not_approved", 400, "Refresh Token not approved"}},
	// An external token that is somebody else's.
	policy.UnknownToken: {
		problem{400, "invalid_request", "invalid_request", "Invalid external token"},
		verdict{"steps.oauth.v2.InvalidRequest", 400, "Invalid external token"}},
}

// refusalOf is the refusal for an error of the service.
func refusalOf(e *policy.TokenError, authorizing bool, clientID string) refusal {
	switch e.Reason {
	case policy.TokenTooLong:
		return invalid("Invalid request : "+e.Detail, verdict{})
	case policy.MissingRedirect:
		if authorizing {
			return invalid("Redirection URI is required", verdict{})
		}
		return missing("redirect_uri")
	case policy.InvalidRedirect:
		if authorizing {
			return invalid("Invalid redirection uri "+e.Detail, verdict{})
		}
		return refusal{problem{400, "invalid_request", "invalid_grant", "Invalid redirect_uri : " + e.Detail},
			verdict{"steps.oauth.v2.InvalidRequest", 400, "Invalid redirect_uri : " + e.Detail}}
	case policy.UnknownClient:
		if authorizing {
			r := refusals[policy.UnknownClient]
			r.problem = problem{401, "invalid_request", "invalid_request", "Invalid client id : " + clientID + ". ClientId is Invalid"}
			return r
		}
	case policy.ClientRefused:
		// RFC 6749 section 5.2: a client that may not be is not authenticated.
		return refusal{problem{401, "invalid_client", "invalid_client", e.Fault.Text}, verdict{e.Fault.Code, e.Fault.Status, e.Fault.Text}}
	}
	if r, ok := refusals[e.Reason]; ok {
		return r
	}
	return refusal{unavailable, verdict{"datastore.ErrorWhileAccessingDataStore", 500, unavailable.text}}
}

var unavailable = problem{500, "server_error", "server_error", "Error while accessing datastore;Please retry later"}

// refuse ends an issuing operation with a refusal.
func (b *base) refuse(fc *flow.Context, r refusal, cause error) error {
	if !b.respond && !b.errors {
		return b.fault(fc, r.fault).WithCause(cause)
	}
	f := b.fault(fc, verdict{"steps.oauth.v2." + r.code, r.status, r.text}).WithCause(cause)
	f.Message = b.errorMessage(r.problem)
	return b.end(fc, f)
}

// failed is refuse for an error of the service.
func (b *base) failed(fc *flow.Context, err error, authorizing bool, clientID string) error {
	var e *policy.TokenError
	if errors.As(err, &e) {
		return b.refuse(fc, refusalOf(e, authorizing, clientID), e)
	}
	var f *fault.Fault // of a JWT's key
	if errors.As(err, &f) {
		return f
	}
	return b.refuse(fc, refusalOf(&policy.TokenError{Reason: policy.TokenUnavailable}, authorizing, clientID), err)
}
