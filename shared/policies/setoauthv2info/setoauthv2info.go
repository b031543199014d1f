// Package setoauthv2info implements the <SetOAuthV2Info> policy: it adds custom
// attributes to an access token, or changes them.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/set-oauth-v2-info-policy
//
// Only custom attributes can be set; scope, status, expires_in and the like stay.
// Other instances see the change within 180 s. The variables of the token are set
// under oauthv2accesstoken.P.
//
// Faults (500 unless noted), which set oauthV2.P.failed, oauthV2.P.fault.name and
// oauthV2.P.fault.cause:
//
//   - keymanagement.service.invalid_access_token, access_token_expired,
//     access_token_not_approved: the token is not one, or not in force
//   - steps.oauth.v2.FailedToResolveAccessToken: the variable is not set
//   - steps.oauth.v2.InvalidRequest (400): more than 18 attributes, or a longer
//     one than 2 KB
//   - datastore.ErrorWhileAccessingDataStore: the token cannot be read or written
package setoauthv2info

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/tokeninfo"
)

// Kind is the SetOAuthV2Info policy.
var Kind = policy.Define("SetOAuthV2Info", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// AccessToken is the token to change. Required.
	AccessToken *tokeninfo.Text `xml:"AccessToken,once,required"`
	// Attributes are set; at most 18.
	Attributes []Attribute `xml:"Attributes>Attribute"`
}

// Attribute is an <Attribute>.
type Attribute struct {
	bundle.Pos
	Name string `xml:"name,attr"`
	// Ref is the variable of the value; the text is its default.
	Ref string `xml:"ref,attr"`
	// Display shows it in later responses.
	Display bool   `xml:"display,attr" default:"true"`
	Text    string `xml:",chardata"`
}

// reserved are the fields of a token that are no custom attributes.
var reserved = []string{
	"scope", "status", "expires_in", "developer_email", "developer.email", "client_id", "org_name", "organization_name", "refresh_count",
	"access_token", "refresh_token", "issued_at", "token_type", "api_product_list", "application_name", "grant_type",
}

type attribute struct {
	policy.TokenAttribute
	ref flow.Var
}

type step struct {
	tokeninfo.Faults
	name       string
	tokens     policy.Tokens
	now        func() time.Time
	token      *tokeninfo.Source
	attributes []attribute
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Tokens == nil {
		env.Errorf(bundle.Pos{}, "this host has no OAuth tokens")
	}
	s := &step{Faults: tokeninfo.NewFaults(env.Name(), 500), name: env.Name(), tokens: env.Tokens, now: env.Now, token: c.AccessToken.Compile("AccessToken", env)}
	if len(c.Attributes) == 0 {
		env.Errorf(bundle.Pos{}, "<Attributes> has no <Attribute>")
	}
	if len(c.Attributes) > 18 {
		env.Errorf(c.Attributes[18].Pos, "%d attributes, at most 18 are allowed", len(c.Attributes))
	}
	for _, a := range c.Attributes {
		switch {
		case a.Name == "":
			env.Errorf(a.Pos, "<Attribute> has no name")
		case slices.Contains(reserved, a.Name):
			env.Warnf(a.Pos, "%s is no custom attribute of a token: it is left as it is", a.Name)
		default:
			s.attributes = append(s.attributes, compile(a, env))
		}
	}
	return s, nil
}

func compile(a Attribute, env *policy.Env) attribute {
	out := attribute{TokenAttribute: policy.TokenAttribute{Name: a.Name, Value: a.Text, Hidden: !a.Display}}
	if a.Ref != "" {
		out.ref = env.Var(a.Ref)
	}
	return out
}

// Run changes the token.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	text := s.token.Get(fc)
	if text == "" {
		return s.Unresolved(fc, "AccessToken", s.token)
	}
	var set []policy.TokenAttribute
	for _, a := range s.attributes {
		t := a.TokenAttribute
		if !a.ref.IsZero() {
			v := a.ref.Get(fc)
			if v.IsNull() && t.Value == "" {
				continue
			}
			if !v.IsNull() {
				t.Value = strings.Clone(v.String())
			}
		}
		set = append(set, t)
	}
	t, err := s.tokens.SetAttributes(ctx, text, set)
	if err != nil {
		return s.Of(fc, err)
	}
	tokeninfo.Publish(fc, "oauthv2accesstoken."+s.name+".", t, s.now())
	return nil
}
