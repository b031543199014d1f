package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
)

// Tokens is the OAuth 2.0 service of an organization. Every refusal is a
// *TokenError; its Reason says which, and a store that cannot be asked is one of
// them: nothing is let through unverified.
type Tokens interface {
	TokenIssuer
	TokenVerifier
	TokenKeeper
}

// TokenIssuer hands out authorization codes and tokens.
type TokenIssuer interface {
	// Issue grants an access token, and a refresh token where the grant has one.
	Issue(ctx context.Context, r *TokenRequest) (*Token, error)
	// Authorize grants an authorization code.
	Authorize(ctx context.Context, r *CodeRequest) (*Code, error)
	// Refresh exchanges a refresh token, atomically: of concurrent requests with
	// one refresh token exactly one succeeds, unless it is to be reused.
	Refresh(ctx context.Context, r *TokenRequest) (*Token, error)
}

// TokenVerifier checks access tokens.
type TokenVerifier interface {
	// Verify checks a token for a call: that it is known, in force, that its key,
	// app and developer are, that one of its products allows the call, and that it
	// has one of the scopes. The result is shared by calls.
	Verify(ctx context.Context, c TokenCheck) (*TokenGrant, error)
}

// TokenKeeper looks up and changes what was issued.
type TokenKeeper interface {
	// Token looks up a token by its text. A token that is revoked or has expired
	// is found; its Status and times say so.
	Token(ctx context.Context, kind TokenKind, text string) (*Token, error)
	// Code looks up an authorization code that has been neither used nor expired.
	Code(ctx context.Context, text string) (*Code, error)
	// Client looks up a consumer key, whatever its status.
	Client(ctx context.Context, clientID string) (*TokenClient, error)
	// SetAttributes sets custom attributes of an access token in force; what is
	// not named stays.
	SetAttributes(ctx context.Context, text string, attributes []TokenAttribute) (*Token, error)
	// SetApproved revokes a token, or approves one that was revoked; with cascade
	// also the token it was issued with.
	SetApproved(ctx context.Context, kind TokenKind, text string, approved, cascade bool) error
	// DeleteToken and DeleteCode remove entirely.
	DeleteToken(ctx context.Context, text string) error
	DeleteCode(ctx context.Context, text string) error
	// Revoke revokes all tokens of an app, of an end user, or of both.
	Revoke(ctx context.Context, r Revocation) error
}

// TokenKind is access or refresh.
type TokenKind string

// The kinds of token, as <Token type> names them.
const (
	AccessToken  TokenKind = "accesstoken"
	RefreshToken TokenKind = "refreshtoken"
)

// The grant types of <SupportedGrantTypes>, and that of a refresh.
const (
	GrantClientCredentials = "client_credentials"
	GrantPassword          = "password"
	GrantAuthorizationCode = "authorization_code"
	GrantImplicit          = "implicit"
	GrantRefreshToken      = "refresh_token"
)

// NeverExpires is the lifetime of a token that does not expire.
const NeverExpires time.Duration = -1

// TokenAttribute is a custom attribute of a token or code.
type TokenAttribute struct {
	Name  string `json:"n"`
	Value string `json:"v"`
	// Hidden keeps it out of the response to the client.
	Hidden bool `json:"h,omitempty"`
}

// TokenRequest asks for an access token.
type TokenRequest struct {
	// GrantType is one of the Grant constants; Refresh ignores it.
	GrantType string
	// Environment and Proxy are where the token is issued.
	Environment, Proxy string
	// ClientID is the consumer key. ClientSecret is checked where the grant wants
	// the client authenticated.
	ClientID, ClientSecret string
	// Trusted says that client and grant were checked elsewhere
	// (<ExternalAuthorization>): neither secret nor code nor refresh token is asked
	// for. NoStore keeps nothing of the token then.
	Trusted, NoStore bool
	// Scope is what is asked for, separated by blanks; "" asks for all.
	Scope string
	// ExpiresIn and RefreshExpiresIn are the lifetimes.
	ExpiresIn, RefreshExpiresIn time.Duration
	// EndUser is the id of the app's end user, or "".
	EndUser    string
	Attributes []TokenAttribute

	// Code, RedirectURI and CodeVerifier are of authorization_code and implicit
	// (RedirectURI).
	Code, RedirectURI, CodeVerifier string

	// RefreshToken and Reuse are of Refresh.
	RefreshToken string
	Reuse        bool

	// External and ExternalRefresh are tokens made elsewhere to be kept instead
	// of new ones.
	External, ExternalRefresh string

	// Mint makes the text of the access token, a JWT, once everything else about
	// it is known. Nil makes an opaque one.
	Mint func(t *Token) (string, error)
}

// CodeRequest asks for an authorization code.
type CodeRequest struct {
	Environment, Proxy string
	ClientID           string
	RedirectURI        string
	Scope, State       string
	ExpiresIn          time.Duration
	EndUser            string
	Attributes         []TokenAttribute
	// External is a code made elsewhere to be kept instead of a new one.
	External string
	// Challenge and ChallengeMethod are of RFC 7636; the method is "", plain or
	// S256.
	Challenge, ChallengeMethod string
}

// Token is an access or refresh token and what goes with it. It is immutable.
type Token struct {
	Kind TokenKind
	// Text is the token itself. Not for logs.
	Text string
	// GrantType is how it was granted.
	GrantType string
	ClientID  string
	// AppID and App are the app's id and name, DeveloperID the id of its developer
	// and Email the e-mail address.
	AppID, App, DeveloperID, Email string
	Environment, Proxy             string
	Scope                          string
	Products                       []string
	// Status is approved or revoked.
	Status string
	// Issued and Expires bound its life; the zero Expires is never.
	Issued, Expires time.Time
	EndUser         string
	Attributes      []TokenAttribute
	RefreshCount    int
	RevokeReason    string

	// Refresh is the refresh token an access token was issued with, or nil.
	Refresh *Token
}

// Expired reports whether the token has expired at now: it has at Expires
// itself.
func (t *Token) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// Approved reports whether the token was not revoked.
func (t *Token) Approved() bool { return t.Status == "approved" }

// Left is the seconds until it expires; 0 if it never does or has.
func (t *Token) Left(now time.Time) int64 {
	if t.Expires.IsZero() || t.Expired(now) {
		return 0
	}
	return int64(t.Expires.Sub(now) / time.Second)
}

// Attribute is the value of a custom attribute.
func (t *Token) Attribute(name string) (string, bool) {
	for i := range t.Attributes {
		if t.Attributes[i].Name == name {
			return t.Attributes[i].Value, true
		}
	}
	return "", false
}

// Code is an authorization code.
type Code struct {
	Text                                       string
	ClientID, AppID, Scope, RedirectURI, State string
	EndUser                                    string
	Issued, Expires                            time.Time
	Attributes                                 []TokenAttribute
}

// TokenClient is a consumer key looked up for GetOAuthV2Info.
type TokenClient struct {
	ID, Secret, CallbackURL string
	// Variables are those of VerifyAPIKey.
	Variables flow.Source
}

// TokenCheck is a token to be verified for a call.
type TokenCheck struct {
	Text string
	Call APICall
	// Scopes are those of which the token must have one; none asks for none.
	Scopes []string
	// JWT decodes the token if it is to be a JWT: it checks signature and times.
	// The token must then not be one that was revoked, but need not be known.
	// KeyID tells apart the keys and algorithms that JWT checks with: what one found
	// good another has not.
	JWT   func(ctx context.Context, text string) (*JWTClaims, error)
	KeyID [32]byte
}

// JWTClaims are the claims of a JWT access token that was found to be genuine.
type JWTClaims struct {
	ClientID, Scope, Subject string
	Issued, Expires          time.Time
}

// TokenGrant is who may call, found from a token.
type TokenGrant struct {
	// Grant has the variables of the token check, which are set without a prefix.
	*Grant
	// Client is the grant of the token's consumer key.
	Client *Grant
	Token  *Token
}

// Revocation selects tokens to be revoked.
type Revocation struct {
	// AppID and EndUser narrow; at least one is set.
	AppID, EndUser string
	// Before is the time before which the tokens were issued; zero is now.
	Before time.Time
	// Cascade revokes refresh tokens too.
	Cascade bool
}

// TokenReason says why a Tokens call was refused.
type TokenReason uint8

// The reasons.
const (
	// TokenUnavailable: the store cannot be asked.
	TokenUnavailable TokenReason = iota + 1
	// UnknownClient: no such consumer key, or the wrong secret.
	UnknownClient
	// ClientRefused: key, app or developer are not in force; Fault says which.
	ClientRefused
	// UnknownToken: no such access token.
	UnknownToken
	// TokenExpired and TokenRevoked: it was one.
	TokenExpired
	TokenRevoked
	// NoProduct: none of the token's products is for the proxy and environment, or
	// has an operation for the call. NoResource: one is, but has not the resource;
	// Detail is the path. NoProducts: the token has no product at all.
	NoProduct
	NoResource
	NoProducts
	// InsufficientScope: the token has none of the scopes asked for.
	InsufficientScope
	// InvalidScope: none of the scopes asked for can be granted.
	InvalidScope
	// UnknownCode, CodeExpired: the authorization code is not one, or not any more.
	UnknownCode
	CodeExpired
	// InvalidRedirect: the redirect URI is not the app's or not the code's.
	InvalidRedirect
	// MissingRedirect: there is none and there must be.
	MissingRedirect
	// InvalidVerifier: the code verifier of RFC 7636 is missing or wrong.
	InvalidVerifier
	// InvalidChallenge: the code challenge or its method is not valid.
	InvalidChallenge
	// UnknownRefreshToken, RefreshTokenExpired, RefreshTokenRevoked: the refresh
	// token is not one, or not any more.
	UnknownRefreshToken
	RefreshTokenExpired
	RefreshTokenRevoked
	// TokenTooLong: an external token or an attribute is over its limit.
	TokenTooLong
	// OtherTokenKind: it is a refresh token where an access token is meant, or the
	// other way round.
	OtherTokenKind
)

var reasons = [...]string{
	TokenUnavailable: "tokens are unavailable", UnknownClient: "unknown client", ClientRefused: "client refused", UnknownToken: "unknown token",
	TokenExpired: "token expired", TokenRevoked: "token revoked", NoProduct: "no product allows the call",
	NoResource: "no product has the resource", NoProducts: "the token has no product", InsufficientScope: "insufficient scope",
	InvalidScope: "invalid scope", UnknownCode: "unknown authorization code", CodeExpired: "authorization code expired",
	InvalidRedirect: "invalid redirect URI", MissingRedirect: "missing redirect URI", InvalidVerifier: "invalid code verifier",
	InvalidChallenge: "invalid code challenge", UnknownRefreshToken: "unknown refresh token", RefreshTokenExpired: "refresh token expired",
	RefreshTokenRevoked: "refresh token revoked", TokenTooLong: "too long", OtherTokenKind: "a token of the other kind",
}

// String is the reason in words.
func (r TokenReason) String() string {
	if int(r) < len(reasons) && r > 0 {
		return reasons[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// TokenError is a refusal of Tokens. Policies turn it into the fault or body they
// document.
type TokenError struct {
	Reason TokenReason
	// Detail is what it is about, if that may be told to the caller: a redirect
	// URI, the limit that was passed.
	Detail string
	// Fault is that of the key, for ClientRefused and TokenUnavailable.
	Fault *fault.Fault
	// Cause is for logs.
	Cause error
}

// Error says why.
func (e *TokenError) Error() string {
	s := e.Reason.String()
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *TokenError) Unwrap() error { return e.Cause }
