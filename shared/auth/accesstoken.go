package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/management"
)

const (
	// tokenInfoURL is where Google tells what an access token is. The token goes
	// into a header, as URLs get logged.
	tokenInfoURL = "https://oauth2.googleapis.com/tokeninfo"
	// cloudPlatform is the scope that the calls of Apigee's API need.
	// Source: https://cloud.google.com/apigee/docs/reference/apis/apigee/rest/v1/organizations/list
	cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"
	// maxAsking bounds the questions under way at once.
	maxAsking = 32
)

// accessTokens asks Google about access tokens.
type accessTokens struct {
	client *http.Client
	now    func() time.Time
	asking chan struct{}
}

func newAccessTokens(transport http.RoundTripper, now func() time.Time) *accessTokens {
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &accessTokens{client: client, now: now, asking: make(chan struct{}, maxAsking)}
}

// tokenInfo is Google's answer. Numbers and booleans come as strings.
type tokenInfo struct {
	Audience      string `json:"aud"`
	Presenter     string `json:"azp"`
	Scope         string `json:"scope"`
	Expires       text   `json:"exp"`
	Email         string `json:"email"`
	EmailVerified text   `json:"email_verified"`
}

// text is a JSON string, number or boolean.
type text string

// UnmarshalJSON takes any scalar.
func (t *text) UnmarshalJSON(data []byte) error {
	*t = text(strings.Trim(string(data), `"`))
	return nil
}

func (a *accessTokens) verify(ctx context.Context, token string, clients []string) (identity, error) {
	select {
	case a.asking <- struct{}{}:
		defer func() { <-a.asking }()
	case <-ctx.Done():
		return identity{}, unavailable("ask Google about an access token", errors.New("too many are being asked about"))
	}
	info, err := a.ask(ctx, token)
	if err != nil {
		return identity{}, err
	}
	return a.check(info, clients)
}

// ask is what Google says of the token. A token it does not know is an error, as
// is one that is over or revoked.
func (a *accessTokens) ask(ctx context.Context, token string) (*tokenInfo, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tokenInfoURL, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, unavailable("ask Google about an access token", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, unavailable("ask Google about an access token", err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusBadRequest, http.StatusUnauthorized:
		return nil, errors.New("Google does not know the access token, or it has expired")
	default:
		return nil, unavailable("ask Google about an access token", errors.New(resp.Status))
	}
	info := new(tokenInfo)
	if err := json.Unmarshal(data, info); err != nil {
		return nil, unavailable("ask Google about an access token", errors.New("the answer is not JSON"))
	}
	return info, nil
}

// check is who the answer names, if the token is of now, for a client we take,
// and with the scope.
func (a *accessTokens) check(info *tokenInfo, clients []string) (identity, error) {
	seconds, err := strconv.ParseInt(string(info.Expires), 10, 64)
	if err != nil {
		return identity{}, errors.New("Google does not say when the access token expires")
	}
	id := identity{expires: time.Unix(seconds, 0)}
	switch {
	case !a.now().Before(id.expires):
		return id, fmt.Errorf("the access token expired at %s", id.expires.UTC().Format(time.RFC3339))
	case len(clients) > 0 && !slices.Contains(clients, info.Audience):
		return id, fmt.Errorf("the access token is for the client %q, not one of %s", info.Audience, strings.Join(clients, ", "))
	case !slices.Contains(strings.Fields(info.Scope), cloudPlatform):
		return id, &entity.Error{Code: management.PermissionDenied, Message: "Request had insufficient authentication scopes: it needs " + cloudPlatform + "."}
	}
	id.member, err = info.member()
	return id, err
}

// member is the e-mail address. Tokens of service accounts without the scope
// userinfo.email tell none, but their client is the account's unique id.
func (info *tokenInfo) member() (string, error) {
	switch {
	case info.Email != "" && info.EmailVerified != "true":
		return "", errors.New("the e-mail address of the access token's account is not verified")
	case info.Email != "":
		return strings.ToLower(info.Email), nil
	case info.Presenter == info.Audience && entity.UniqueID(info.Presenter):
		return info.Presenter, nil
	}
	return "", errors.New("the access token tells no e-mail address; ask for the scope https://www.googleapis.com/auth/userinfo.email")
}
