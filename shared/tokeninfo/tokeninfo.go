// Package tokeninfo is what the policies about tokens that were issued share:
// GetOAuthV2Info, SetOAuthV2Info, DeleteOAuthV2Info and RevokeOAuthV2. It reads
// their references, makes their faults and sets their variables.
package tokeninfo

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Text is a literal, or the value of the variable in ref if that is set.
type Text struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`

	_ struct{} `ignored:"@type"`
}

// Source is a compiled Text.
type Source struct {
	ref  flow.Var
	text string
}

// Compile compiles an element; one that is there must say where its value is.
func (t *Text) Compile(element string, env *policy.Env) *Source {
	if t == nil {
		return nil
	}
	s := &Source{text: strings.TrimSpace(t.Text)}
	if t.Ref != "" {
		s.ref = env.Var(t.Ref)
	}
	if t.Ref == "" && s.text == "" {
		env.Errorf(t.Pos, "<%s> has neither ref nor a value", element)
	}
	return s
}

// Get is the value, "" if there is none.
func (s *Source) Get(fc *flow.Context) string {
	if s == nil {
		return ""
	}
	if !s.ref.IsZero() {
		if v := s.ref.Get(fc); !v.IsNull() && v.String() != "" {
			return v.String()
		}
	}
	return s.text
}

// Name is the variable's name, or the literal.
func (s *Source) Name() string {
	if s.ref.IsZero() {
		return s.text
	}
	return s.ref.Name()
}

// Faults makes the faults of one policy.
type Faults struct {
	policy string
	// Status is that of what is not found or not in force.
	status int
}

// NewFaults returns the faults of a policy, with the status for a token, code or
// client that is not one.
func NewFaults(policy string, status int) Faults { return Faults{policy, status} }

// New makes a fault and sets its variables.
func (f Faults) New(fc *flow.Context, code string, status int, text string) *fault.Fault {
	x := fault.New(code, status, text).Failed("oauthV2." + f.policy + ".failed")
	fc.PutText("oauthV2."+f.policy+".fault.name", x.ShortName())
	fc.PutText("oauthV2."+f.policy+".fault.cause", text)
	return x
}

// Unresolved is the fault of a reference without a value: what is AccessToken,
// AuthorizationCode, ClientId or RefreshToken.
func (f Faults) Unresolved(fc *flow.Context, what string, s *Source) *fault.Fault {
	return f.New(fc, "steps.oauth.v2.FailedToResolve"+what, 500, "Failed to resolve "+what+" : "+s.Name())
}

// known are the code and text of reasons. The public pages give the names with
// and without a prefix; captured answers have keymanagement.service.
var known = map[policy.TokenReason][2]string{
	policy.UnknownToken:        {"invalid_access_token", "Invalid Access Token"},
	policy.TokenExpired:        {"access_token_expired", "Access Token expired"},
	policy.TokenRevoked:        {"access_token_not_approved", "Access Token not approved"},
	policy.UnknownRefreshToken: {"invalid_refresh_token", "Invalid Refresh Token"},
	policy.RefreshTokenExpired: {"refresh_token_expired", "Refresh Token expired"},
	policy.RefreshTokenRevoked: {"refresh_token_not_approved", "Refresh Token not approved"},
	policy.UnknownCode:         {"invalid_request-authorization_code_invalid", "Invalid Authorization Code"},
	policy.CodeExpired:         {"authorization_code_expired", "Authorization Code expired"},
	policy.UnknownClient:       {"invalid_client-invalid_client_id", "ClientId is Invalid"},
}

// Of is the fault for an error of policy.Tokens.
func (f Faults) Of(fc *flow.Context, err error) *fault.Fault {
	var e *policy.TokenError
	if !errors.As(err, &e) {
		return f.unavailable(fc, err)
	}
	if k, ok := known[e.Reason]; ok {
		return f.New(fc, "keymanagement.service."+k[0], f.status, k[1]).WithCause(e.Cause)
	}
	switch e.Reason {
	case policy.NoProduct, policy.NoProducts, policy.NoResource:
		return f.New(fc, "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound", 401, "Invalid API call as no apiproduct match found")
	case policy.TokenTooLong:
		return f.New(fc, "steps.oauth.v2.InvalidRequest", 400, "Invalid request : "+e.Detail)
	case policy.ClientRefused:
		return f.New(fc, e.Fault.Code, e.Fault.Status, e.Fault.Text)
	}
	return f.unavailable(fc, err)
}

func (f Faults) unavailable(fc *flow.Context, err error) *fault.Fault {
	return f.New(fc, "datastore.ErrorWhileAccessingDataStore", 500, "Error while accessing datastore;Please retry later").WithCause(err)
}

// Publish sets the variables of a token under prefix, with its trailing dot.
func Publish(fc *flow.Context, prefix string, t *policy.Token, now time.Time) {
	for _, a := range t.Attributes {
		fc.PutText(prefix+a.Name, a.Value)
		fc.PutText(prefix+"accesstoken."+a.Name, a.Value)
	}
	put := func(name, value string) { fc.PutText(prefix+name, value) }
	put("developer.id", t.DeveloperID)
	put("developer.app.name", t.App)
	put("developer.app.id", t.AppID)
	put("developer.email", t.Email)
	put("organization_name", fc.Proxy.Organization)
	put("api_product_list", "["+strings.Join(t.Products, ", ")+"]")
	put("client_id", t.ClientID)
	put("scope", t.Scope)
	put("token_type", "BearerToken")
	put("grant_type", t.GrantType)
	put("status", status(t, now))
	put("issued_at", millis(t.Issued))
	put("expires_in", strconv.FormatInt(t.Left(now), 10))
	put("refresh_count", strconv.Itoa(t.RefreshCount))
	if t.RevokeReason != "" {
		put("revoke_reason", t.RevokeReason)
	}
	if t.EndUser != "" {
		put("app_enduser", t.EndUser)
	}
	refresh := t.Refresh
	if t.Kind == policy.RefreshToken {
		refresh = t
	} else {
		put("access_token", t.Text)
		put("refresh_token_expires_in", "0")
	}
	if refresh != nil {
		put("refresh_token", refresh.Text)
		put("refresh_token_status", status(refresh, now))
		put("refresh_token_expires_in", strconv.FormatInt(refresh.Left(now), 10))
		put("refresh_token_issued_at", millis(refresh.Issued))
	}
}

func status(t *policy.Token, now time.Time) string {
	if t.Approved() && t.Expired(now) {
		return "expired"
	}
	return t.Status
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
