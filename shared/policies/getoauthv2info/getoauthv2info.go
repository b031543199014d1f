// Package getoauthv2info implements the <GetOAuthV2Info> policy: it looks up an
// access token, a refresh token, an authorization code or a client and sets
// variables about it.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/get-oauth-v2-info-policy
//
// The variables are under oauthv2accesstoken.P, oauthv2refreshtoken.P,
// oauthv2authcode.P or oauthv2client.P. An access token must be in force and, as
// on Apigee, have an API product that allows the call, unless
// <IgnoreAccessTokenStatus> is true.
//
// Faults (500 unless noted), which set oauthV2.P.failed, oauthV2.P.fault.name and
// oauthV2.P.fault.cause:
//
//   - keymanagement.service.invalid_access_token, access_token_expired,
//     access_token_not_approved, invalid_refresh_token, refresh_token_expired,
//     refresh_token_not_approved, invalid_request-authorization_code_invalid,
//     authorization_code_expired, invalid_client-invalid_client_id
//   - keymanagement.service.InvalidAPICallAsNoApiProductMatchFound (401)
//   - steps.oauth.v2.FailedToResolveAccessToken, FailedToResolveAuthorizationCode,
//     FailedToResolveClientId, FailedToResolveRefreshToken: the variable is not set
//   - datastore.ErrorWhileAccessingDataStore: it cannot be looked up
package getoauthv2info

import (
	"context"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/tokeninfo"
)

// Kind is the GetOAuthV2Info policy.
var Kind = policy.Define("GetOAuthV2Info", New)

// Config is the policy's XML. One of the first four elements is there.
type Config struct {
	policy.Header
	// AccessToken is the access token to look up.
	AccessToken *tokeninfo.Text `xml:"AccessToken,once"`
	// AuthorizationCode is the authorization code to look up.
	AuthorizationCode *tokeninfo.Text `xml:"AuthorizationCode,once"`
	// ClientID is the consumer key to look up.
	ClientID *tokeninfo.Text `xml:"ClientId,once"`
	// RefreshToken is the refresh token to look up.
	RefreshToken *tokeninfo.Text `xml:"RefreshToken,once"`
	// IgnoreAccessTokenStatus takes access tokens that are expired or revoked.
	IgnoreAccessTokenStatus bool `xml:"IgnoreAccessTokenStatus,once"`
}

type step struct {
	tokeninfo.Faults
	name   string
	tokens policy.Tokens
	now    func() time.Time
	source *tokeninfo.Source
	ignore bool
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Tokens == nil {
		env.Errorf(bundle.Pos{}, "this host has no OAuth tokens")
	}
	s := &step{Faults: tokeninfo.NewFaults(env.Name(), 500), name: env.Name(), tokens: env.Tokens, now: env.Now, ignore: c.IgnoreAccessTokenStatus}
	var run policy.Func
	given := 0
	for _, k := range []struct {
		name string
		text *tokeninfo.Text
		run  policy.Func
	}{
		{"AccessToken", c.AccessToken, s.accessToken}, {"AuthorizationCode", c.AuthorizationCode, s.code},
		{"ClientId", c.ClientID, s.client}, {"RefreshToken", c.RefreshToken, s.refreshToken},
	} {
		if k.text != nil {
			given++
			s.source, run = k.text.Compile(k.name, env), k.run
		}
	}
	if given != 1 {
		env.Errorf(bundle.Pos{}, "%d of <AccessToken>, <AuthorizationCode>, <ClientId> and <RefreshToken>, want one", given)
	}
	return run, nil
}

func (s *step) accessToken(ctx context.Context, fc *flow.Context) error {
	text := s.source.Get(fc)
	if text == "" {
		return s.Unresolved(fc, "AccessToken", s.source)
	}
	if !s.ignore {
		call := policy.CallOf(fc)
		if _, err := s.tokens.Verify(ctx, policy.TokenCheck{Text: text, Call: call}); err != nil {
			return s.Of(fc, err)
		}
	}
	t, err := s.tokens.Token(ctx, policy.AccessToken, text)
	if err != nil {
		return s.Of(fc, err)
	}
	tokeninfo.Publish(fc, "oauthv2accesstoken."+s.name+".", t, s.now())
	return nil
}

func (s *step) refreshToken(ctx context.Context, fc *flow.Context) error {
	text := s.source.Get(fc)
	if text == "" {
		return s.Unresolved(fc, "RefreshToken", s.source)
	}
	t, err := s.tokens.Token(ctx, policy.RefreshToken, text)
	if err == nil && !s.ignore {
		err = inForce(t, s.now())
	}
	if err != nil {
		return s.Of(fc, err)
	}
	tokeninfo.Publish(fc, "oauthv2refreshtoken."+s.name+".", t, s.now())
	return nil
}

func inForce(t *policy.Token, now time.Time) error {
	switch {
	case t.Expired(now):
		return &policy.TokenError{Reason: policy.RefreshTokenExpired}
	case !t.Approved():
		return &policy.TokenError{Reason: policy.RefreshTokenRevoked}
	}
	return nil
}

func (s *step) code(ctx context.Context, fc *flow.Context) error {
	text := s.source.Get(fc)
	if text == "" {
		return s.Unresolved(fc, "AuthorizationCode", s.source)
	}
	c, err := s.tokens.Code(ctx, text)
	if err != nil {
		return s.Of(fc, err)
	}
	prefix := "oauthv2authcode." + s.name + "."
	for _, a := range c.Attributes {
		fc.PutText(prefix+a.Name, a.Value)
	}
	fc.PutText(prefix+"code", c.Text)
	fc.PutText(prefix+"scope", c.Scope)
	fc.PutText(prefix+"redirect_uri", c.RedirectURI)
	fc.PutText(prefix+"client_id", c.ClientID)
	return nil
}

// clientNames are the variables of a client; its app's attributes follow.
var clientNames = []string{"client_id", "client_secret", "redirection_uris", "developer.email", "developer.app.name", "developer.id"}

func (s *step) client(ctx context.Context, fc *flow.Context) error {
	id := s.source.Get(fc)
	if id == "" {
		return s.Unresolved(fc, "ClientId", s.source)
	}
	c, err := s.tokens.Client(ctx, id)
	if err != nil {
		return s.Of(fc, err)
	}
	prefix := "oauthv2client." + s.name + "."
	for name, value := range c.Variables.Variables() {
		if custom, ok := strings.CutPrefix(name, "developer.app."); ok {
			fc.Put(prefix+custom, value)
		}
	}
	for _, name := range clientNames {
		fc.Put(prefix+name, c.Variables.Variable(name))
	}
	return nil
}
