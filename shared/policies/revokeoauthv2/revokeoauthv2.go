// Package revokeoauthv2 implements the <RevokeOAuthV2> policy: it revokes the
// tokens of an app, of an end user, or of an end user of an app, however many
// there are, at once. Other instances know within a refresh.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/revoke-oauth-v2-policy
//
// The tokens that were issued before <RevokeBeforeTimestamp> are revoked; tokens
// issued later than the policy runs never are. An element whose variable is not
// set is a fault: narrowing less than was meant would revoke more.
//
// Faults, which set oauthV2.P.failed, oauthV2.P.fault.name and
// oauthV2.P.fault.cause:
//
//   - steps.oauth.v2.FailedToResolveVariable (500): a variable is not set
//   - steps.oauth.v2.InvalidTimestamp (500): RevokeBeforeTimestamp is no number of
//     milliseconds
//   - datastore.ErrorWhileAccessingDataStore (500): the revocation cannot be stored
package revokeoauthv2

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/tokeninfo"
)

// Kind is the RevokeOAuthV2 policy.
var Kind = policy.Define("RevokeOAuthV2", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// AppID is the id of the app whose tokens are revoked.
	AppID *tokeninfo.Text `xml:"AppId,once"`
	// EndUserID is the end user whose tokens are revoked.
	EndUserID *tokeninfo.Text `xml:"EndUserId,once"`
	// RevokeBeforeTimestamp is in milliseconds since 1970; now if absent.
	RevokeBeforeTimestamp *tokeninfo.Text `xml:"RevokeBeforeTimestamp,once"`
	// Cascade revokes refresh tokens too.
	Cascade bool `xml:"Cascade,once"`
}

type step struct {
	tokeninfo.Faults
	tokens             policy.Tokens
	app, endUser, when *tokeninfo.Source
	cascade            bool
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Tokens == nil {
		env.Errorf(bundle.Pos{}, "this host has no OAuth tokens")
	}
	if c.AppID == nil && c.EndUserID == nil {
		env.Errorf(bundle.Pos{}, "want <AppId>, <EndUserId> or both")
	}
	s := &step{
		Faults: tokeninfo.NewFaults(env.Name(), 500), tokens: env.Tokens, app: c.AppID.Compile("AppId", env),
		endUser: c.EndUserID.Compile("EndUserId", env), when: c.RevokeBeforeTimestamp.Compile("RevokeBeforeTimestamp", env), cascade: c.Cascade,
	}
	if t := c.RevokeBeforeTimestamp; t != nil && strings.TrimSpace(t.Text) != "" {
		if _, err := strconv.ParseInt(strings.TrimSpace(t.Text), 10, 64); err != nil {
			env.Errorf(t.Pos, "<RevokeBeforeTimestamp> is %q, want milliseconds since 1970", t.Text)
		}
	}
	return s, nil
}

// Run revokes the tokens.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	r := policy.Revocation{AppID: s.app.Get(fc), EndUser: s.endUser.Get(fc), Cascade: s.cascade}
	when := s.when.Get(fc)
	for _, e := range []struct {
		source *tokeninfo.Source
		value  string
	}{{s.app, r.AppID}, {s.endUser, r.EndUser}, {s.when, when}} {
		if e.source != nil && e.value == "" {
			return s.New(fc, "steps.oauth.v2.FailedToResolveVariable", 500, "Failed to resolve variable "+e.source.Name())
		}
	}
	if when != "" {
		ms, err := strconv.ParseInt(strings.TrimSpace(when), 10, 64)
		if err != nil {
			return s.New(fc, "steps.oauth.v2.InvalidTimestamp", 500, "Invalid timestamp "+when)
		}
		r.Before = time.UnixMilli(ms)
	}
	if err := s.tokens.Revoke(ctx, r); err != nil {
		return s.Of(fc, err)
	}
	return nil
}
