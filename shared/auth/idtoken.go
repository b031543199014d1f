package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/idtoken"
	"google.golang.org/api/option"
)

// issuers are Google's accounts.
var issuers = []string{"https://accounts.google.com", "accounts.google.com"}

// skew is how far ahead Google's clock may be of ours.
const skew = time.Minute

// idTokens verifies ID tokens with Google's published keys.
type idTokens struct {
	client *http.Client
	now    func() time.Time
	// validator keeps the keys as long as Google says; it is made when first used.
	validator func() (*idtoken.Validator, error)
}

func newIDTokens(transport http.RoundTripper, now func() time.Time) *idTokens {
	t := &idTokens{client: &http.Client{Transport: newCerts(transport, now)}, now: now}
	t.validator = once(func() (*idtoken.Validator, error) {
		return idtoken.NewValidator(context.Background(), option.WithHTTPClient(t.client))
	})
	return t
}

// verify checks what needs no key first: strange tokens cost nothing.
func (t *idTokens) verify(ctx context.Context, token string, audiences []string) (identity, error) {
	if err := signedRS256(token); err != nil {
		return identity{}, err
	}
	claims, err := idtoken.ParsePayload(token)
	if err != nil {
		return identity{}, err
	}
	id, err := t.check(claims, audiences)
	if err != nil {
		return identity{}, err
	}
	v, err := t.validator()
	if err != nil {
		return identity{}, unavailable("verify the ID token", err)
	}
	if _, err = v.Validate(ctx, token, claims.Audience); err != nil {
		var down *downError
		if errors.As(err, &down) {
			return identity{}, unavailable("read Google's keys", err)
		}
		return identity{}, err
	}
	return id, nil
}

// check is who the claims name, if they are Google's, of now, and meant for us.
func (t *idTokens) check(p *idtoken.Payload, audiences []string) (identity, error) {
	now := t.now()
	id := identity{expires: time.Unix(p.Expires, 0)}
	email, _ := p.Claims["email"].(string)
	verified, _ := p.Claims["email_verified"].(bool)
	switch {
	case !slices.Contains(issuers, p.Issuer):
		return id, fmt.Errorf("the ID token is issued by %q, not by Google", p.Issuer)
	case len(audiences) == 0:
		return id, errors.New("ID tokens are not accepted: PERIGEE_AUDIENCE is not set")
	case p.Audience == "" || !slices.Contains(audiences, p.Audience):
		return id, fmt.Errorf("the ID token is for the audience %q, not one of %s", p.Audience, strings.Join(audiences, ", "))
	case !now.Before(id.expires):
		return id, fmt.Errorf("the ID token expired at %s", id.expires.UTC().Format(time.RFC3339))
	case time.Unix(p.IssuedAt, 0).After(now.Add(skew)):
		return id, errors.New("the ID token is issued in the future")
	case email == "":
		return id, errors.New("the ID token tells no e-mail address; ask for one with the claim (metadata server: format=full)")
	case !verified:
		return id, errors.New("the e-mail address in the ID token is not verified")
	}
	id.member = strings.ToLower(email)
	return id, nil
}

// signedRS256 is an error unless the token is signed as Google signs ID tokens.
func signedRS256(token string) error {
	if strings.Count(token, ".") != 2 {
		return errors.New("the ID token is not of three parts")
	}
	first, _, _ := strings.Cut(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return errors.New("the header of the ID token is not base64")
	}
	var header struct{ Alg string }
	if err := json.Unmarshal(data, &header); err != nil {
		return errors.New("the header of the ID token is not JSON")
	}
	if header.Alg != "RS256" {
		return fmt.Errorf("the ID token is signed with %q, not RS256", header.Alg)
	}
	return nil
}
