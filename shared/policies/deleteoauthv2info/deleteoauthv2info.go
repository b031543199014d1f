// Package deleteoauthv2info implements the <DeleteOAuthV2Info> policy: it removes
// an access token or an authorization code entirely. The refresh token of an
// access token stays.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/delete-oauth-v2-info-policy
//
// Faults, which set oauthV2.P.failed, oauthV2.P.fault.name and
// oauthV2.P.fault.cause:
//
//   - keymanagement.service.invalid_access_token,
//     invalid_request-authorization_code_invalid, authorization_code_expired (404)
//   - steps.oauth.v2.FailedToResolveAccessToken,
//     FailedToResolveAuthorizationCode (500): the variable is not set
//   - datastore.ErrorWhileAccessingDataStore (500): it cannot be removed
package deleteoauthv2info

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/tokeninfo"
)

// Kind is the DeleteOAuthV2Info policy.
var Kind = policy.Define("DeleteOAuthV2Info", New)

// Config is the policy's XML. One of the elements is there.
type Config struct {
	policy.Header
	// AccessToken is the access token to remove.
	AccessToken *tokeninfo.Text `xml:"AccessToken,once"`
	// AuthorizationCode is the authorization code to remove.
	AuthorizationCode *tokeninfo.Text `xml:"AuthorizationCode,once"`
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Tokens == nil {
		env.Errorf(bundle.Pos{}, "this host has no OAuth tokens")
		return nil, nil
	}
	if (c.AccessToken == nil) == (c.AuthorizationCode == nil) {
		env.Errorf(bundle.Pos{}, "InvalidOperation: want one of <AccessToken> and <AuthorizationCode>")
		return nil, nil
	}
	what, text, remove := "AccessToken", c.AccessToken, env.Tokens.DeleteToken
	if text == nil {
		what, text, remove = "AuthorizationCode", c.AuthorizationCode, env.Tokens.DeleteCode
	}
	faults, source := tokeninfo.NewFaults(env.Name(), 404), text.Compile(what, env)
	return policy.Func(func(ctx context.Context, fc *flow.Context) error {
		value := source.Get(fc)
		if value == "" {
			return faults.Unresolved(fc, what, source)
		}
		if err := remove(ctx, value); err != nil {
			return faults.Of(fc, err)
		}
		return nil
	}), nil
}
