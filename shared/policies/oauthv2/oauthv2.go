// Package oauthv2 implements the <OAuthV2> policy: it issues authorization codes
// and tokens, verifies access tokens, refreshes, revokes and approves them.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/oauthv2-policy
// and oauth-http-status-code-reference beside it.
//
// Faults set oauthV2.P.failed, oauthV2.P.fault.name and oauthV2.P.fault.cause.
// VerifyAccessToken and VerifyJWTAccessToken (401 unless noted, with a
// WWW-Authenticate header):
//
//   - oauth.v2.InvalidAccessToken: there is no token
//   - keymanagement.service.invalid_access_token, access_token_expired,
//     access_token_not_approved: the token is not known, expired or revoked
//   - keymanagement.service.InvalidAPICallAsNoApiProductMatchFound,
//     apiresource_doesnot_exist, apiproduct_doesnot_exist: no product of the token
//     allows the call
//   - the faults of VerifyAPIKey: key, app or developer are not in force
//   - steps.oauth.v2.InsufficientScope (403): the token has none of <Scope>
//   - datastore.ErrorWhileAccessingDataStore (500): the token cannot be looked up
//
// The other operations answer a refusal with a body of their own if
// <GenerateResponse> is there and enabled, or <GenerateErrorResponse> is; else
// with a fault. File refusals.go lists both. InvalidateToken and ValidateToken
// always raise a fault.
//
// Issuing and verifying set apigee.access_token, apigee.client_id,
// apigee.developer.app.name and apigee.developer.email; verifying
// apigee.developer.id and apigee.apiproduct.name as well.
//
// Unlike Apigee the policy takes no end user from a request unless <AppEndUser>
// says where: what a caller says of itself should not end up in a variable by
// default.
package oauthv2

import (
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jwt"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the OAuthV2 policy.
var Kind = policy.Define("OAuthV2", New)

// Config is the policy's XML. Elements that name a variable name nothing else.
type Config struct {
	policy.Header
	// Operation is what the policy does. Required.
	Operation string `xml:"Operation,once"`
	// AccessToken is the variable of the token to verify; else it is the Bearer
	// token of the Authorization header.
	AccessToken string `xml:"AccessToken,once"`
	// AccessTokenPrefix stands before the token, and a blank: Bearer in the
	// Authorization header, none in a variable.
	AccessTokenPrefix string `xml:"AccessTokenPrefix,once"`
	// Algorithm signs JWT access tokens: HS256 to RS512.
	Algorithm string `xml:"Algorithm,once"`
	// AppEndUser is the variable of the app's end user, kept with the token.
	AppEndUser string `xml:"AppEndUser,once"`
	// Attributes are kept with the token or code.
	Attributes []Attribute `xml:"Attributes>Attribute"`
	// CacheExpiryInSeconds bounds how long a verified token is not looked up
	// again: 1 to 180 s, 180 s by default.
	CacheExpiryInSeconds *Number `xml:"CacheExpiryInSeconds,once"`
	// ClientId is the variable of the consumer key; else it is the form parameter
	// client_id, or the user of a Basic Authorization header.
	ClientID string `xml:"ClientId,once"`
	// Code is the variable of the authorization code, request.formparam.code by
	// default.
	Code string `xml:"Code,once"`
	// ExpiresIn is the life of access tokens and codes in milliseconds, -1 for
	// ever; 30 minutes for tokens and 10 for codes by default.
	ExpiresIn *Number `xml:"ExpiresIn,once"`
	// ExternalAccessToken, ExternalAuthorizationCode and ExternalRefreshToken are
	// variables of tokens made elsewhere, to be kept instead of new ones.
	ExternalAccessToken       string `xml:"ExternalAccessToken,once"`
	ExternalAuthorizationCode string `xml:"ExternalAuthorizationCode,once"`
	ExternalRefreshToken      string `xml:"ExternalRefreshToken,once"`
	// ExternalAuthorization takes the verdict on client and grant from the
	// variable oauth_external_authorization_status.
	ExternalAuthorization bool `xml:"ExternalAuthorization,once"`
	// GenerateErrorResponse makes the policy answer refusals itself, where it is
	// enabled; the realm counts either way.
	GenerateErrorResponse *ErrorResponse `xml:"GenerateErrorResponse,once"`
	// GenerateResponse makes the policy answer the client itself.
	GenerateResponse *Response `xml:"GenerateResponse,once"`
	// GrantType is the variable of the grant type, request.formparam.grant_type by
	// default.
	GrantType string `xml:"GrantType,once"`
	// PassWord and UserName are variables that must be set for the password grant.
	PassWord string `xml:"PassWord,once"`
	UserName string `xml:"UserName,once"`
	// SigningKeys are the keys of JWT access tokens.
	jwt.SigningKeys
	// RedirectUri is the variable of the redirect URI.
	RedirectURI string `xml:"RedirectUri,once"`
	// RefreshToken is the variable of the refresh token,
	// request.formparam.refresh_token by default.
	RefreshToken string `xml:"RefreshToken,once"`
	// RefreshTokenExpiresIn is the life of refresh tokens in milliseconds, -1 for
	// ever; 30 days by default.
	RefreshTokenExpiresIn *Number `xml:"RefreshTokenExpiresIn,once"`
	// ResponseType is the variable of the response type.
	ResponseType string `xml:"ResponseType,once"`
	// ReuseRefreshToken keeps a refresh token until it expires.
	ReuseRefreshToken bool `xml:"ReuseRefreshToken,once"`
	// RFCCompliantRequestResponse shapes answers as RFC 6749 has them.
	RFCCompliantRequestResponse bool `xml:"RFCCompliantRequestResponse,once"`
	// Scope is the variable of the scopes asked for; to verify, the scopes of which
	// the token must have one, separated by blanks.
	Scope string `xml:"Scope,once"`
	// State is the variable of the client's state.
	State string `xml:"State,once"`
	// StoreToken keeps tokens of ExternalAuthorization.
	StoreToken bool `xml:"StoreToken,once"`
	// SupportedGrantTypes are the grants the policy gives: authorization_code and
	// implicit by default.
	SupportedGrantTypes []GrantType `xml:"SupportedGrantTypes>GrantType"`
	// Tokens are those to be revoked or approved.
	Tokens []TokenRef `xml:"Tokens>Token"`
}

// Attribute is an <Attribute>.
type Attribute struct {
	bundle.Pos
	Name string `xml:"name,attr"`
	// Ref is the variable of the value; the text is its default.
	Ref string `xml:"ref,attr"`
	// Display shows it in the response.
	Display bool   `xml:"display,attr" default:"true"`
	Text    string `xml:",chardata"`
}

// Number is a literal, or the value of the variable in ref if that is set.
type Number struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`
}

// Response is a <GenerateResponse>.
type Response struct {
	bundle.Pos
	Enabled bool `xml:"enabled,attr" default:"true"`
	// Format is XML or FORM_PARAM instead of JSON.
	Format string `xml:"Format,once" enum:"XML,FORM_PARAM"`
}

// ErrorResponse is a <GenerateErrorResponse>.
type ErrorResponse struct {
	bundle.Pos
	// Enabled is false unless it is said, other than that of GenerateResponse.
	Enabled bool `xml:"enabled,attr"`
	// Format is XML or FORM_PARAM instead of JSON.
	Format string `xml:"Format,once" enum:"XML,FORM_PARAM"`
	// Realm is that of the WWW-Authenticate header.
	Realm string `xml:"Realm,once"`
}

// GrantType is a <GrantType> of <SupportedGrantTypes>.
type GrantType struct {
	bundle.Pos
	Text string `xml:",chardata"`
}

// TokenRef is a <Token>.
type TokenRef struct {
	bundle.Pos
	// Type is accesstoken or refreshtoken.
	Type string `xml:"type,attr"`
	// Cascade takes the tokens it was issued with along.
	Cascade *bool `xml:"cascade,attr"`
	// Variable is where the token is.
	Variable string `xml:",chardata"`
}

// base is what all operations have.
type base struct {
	name   string
	tokens policy.Tokens
	now    func() time.Time
	// rfc, format and realm shape answers; errors says that refusals are answered
	// with a body, and end the flow if ended.
	rfc           bool
	respond       bool
	format, realm string
	errors, ended bool
	errorFormat   string
}

// operations make the policy of an operation.
var operations = map[string]func(c *Config, b base, env *policy.Env) policy.Policy{
	"GenerateAccessToken":              newGenerate,
	"RefreshAccessToken":               newRefresh,
	"GenerateAuthorizationCode":        newAuthorize,
	"GenerateAccessTokenImplicitGrant": newImplicit,
	"VerifyAccessToken":                newVerify,
	"InvalidateToken":                  newInvalidate,
	"ValidateToken":                    newValidate,

	"GenerateJWTAccessToken":              newGenerateJWT,
	"RefreshJWTAccessToken":               newRefreshJWT,
	"GenerateJWTAccessTokenImplicitGrant": newImplicitJWT,
	"VerifyJWTAccessToken":                newVerifyJWT,
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if c.Operation == "" {
		env.Errorf(bundle.Pos{}, "OperationRequired: Operation is required in the policy")
		return nil, nil
	}
	make := operations[c.Operation]
	if make == nil {
		env.Errorf(env.Policy.Root.Child("Operation").Pos, "InvalidOperation: Invalid operation %s", c.Operation)
		return nil, nil
	}
	if env.Tokens == nil {
		env.Errorf(bundle.Pos{}, "this host has no OAuth tokens")
		return nil, nil
	}
	check(c, env)
	b := base{name: env.Name(), tokens: env.Tokens, now: env.Now, rfc: c.RFCCompliantRequestResponse}
	if r := c.GenerateResponse; r != nil {
		b.respond, b.format = r.Enabled, r.Format
	}
	if r := c.GenerateErrorResponse; r != nil {
		b.errors, b.errorFormat, b.realm = r.Enabled, r.Format, r.Realm
		b.ended = r.Enabled && c.ContinueOnError
	}
	return make(c, b, env), nil
}

// prefix is that of variables about what was issued.
func (b *base) prefix(what string) string { return what + "." + b.name + "." }

// source is where a parameter comes from: the first variable that is set.
type source []flow.Var

// from is the configured variable, or else those of the specification.
func from(env *policy.Env, configured string, otherwise ...string) source {
	if configured != "" {
		otherwise = []string{configured}
	}
	return env.Vars(otherwise)
}

// get is the parameter, "" if it is not set.
func (s source) get(fc *flow.Context) string {
	for _, v := range s {
		if val := v.Get(fc); !val.IsNull() && val.String() != "" {
			return val.String()
		}
	}
	return ""
}

// attribute is a compiled Attribute.
type attribute struct {
	policy.TokenAttribute
	ref flow.Var
}

func attributes(c *Config, env *policy.Env) []attribute {
	var out []attribute
	for _, a := range c.Attributes {
		at := attribute{TokenAttribute: policy.TokenAttribute{Name: a.Name, Value: a.Text, Hidden: !a.Display}}
		if a.Ref != "" {
			at.ref = env.Var(a.Ref)
		}
		out = append(out, at)
	}
	return out
}

// evaluate is the attributes of a request; one without a value is left out.
func evaluate(list []attribute, fc *flow.Context) []policy.TokenAttribute {
	var out []policy.TokenAttribute
	for _, a := range list {
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
		out = append(out, t)
	}
	return out
}
