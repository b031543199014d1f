package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Authorize implements policy.TokenIssuer: the authorization request of RFC 6749
// section 4.1.1. The resource owner has consented before.
func (s *Service) Authorize(ctx context.Context, r *policy.CodeRequest) (*policy.Code, error) {
	c, err := s.resolve(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	if err := s.inForce(c); err != nil {
		return nil, err
	}
	uri, err := redirect(c, r.RedirectURI)
	if err != nil {
		return nil, err
	}
	if err := checkChallenge(r.Challenge, r.ChallengeMethod); err != nil {
		return nil, err
	}
	scope, err := scopeOf(c, r.Scope)
	if err != nil {
		return nil, err
	}
	if err := checkAttributes(r.Attributes); err != nil {
		return nil, err
	}
	return s.storeCode(ctx, c, r, uri, scope)
}

func (s *Service) storeCode(ctx context.Context, c *credentials.Client, r *policy.CodeRequest, uri, scope string) (*policy.Code, error) {
	now, life := s.now().Truncate(time.Millisecond), r.ExpiresIn
	if life <= 0 { // a code always expires: RFC 6749 section 4.1.2
		life = CodeLife
	}
	code := &policy.Code{
		Text: r.External, ClientID: c.ID, AppID: c.App.AppId, Scope: scope, RedirectURI: uri, State: r.State, EndUser: r.EndUser,
		Issued: now, Expires: now.Add(life), Attributes: r.Attributes,
	}
	if code.Text == "" {
		code.Text = random(codeLength)
	}
	if len(code.Text) > MaxTokenBytes {
		return nil, refused(policy.TokenTooLong)
	}
	key := s.codeKey(idOf(code.Text).String())
	rec := &record{
		Kind: "code", Status: entity.Approved, Grant: policy.GrantAuthorizationCode, App: code.AppID, Developer: c.App.DeveloperId, Client: entity.KeyID(c.ID),
		Environment: r.Environment, Proxy: r.Proxy, Issued: now.UnixMilli(), Expires: code.Expires.UnixMilli(),
	}
	var err error
	// Only a redirect URI that was in the request must be in the token's: section
	// 4.1.3.
	rec.Sealed, err = seal(code.Text, key, &details{
		Client: c.ID, AppName: c.App.Name, Scope: scope, EndUser: r.EndUser, Attributes: r.Attributes,
		Redirect: r.RedirectURI, State: r.State, Challenge: r.Challenge, Method: r.ChallengeMethod,
	})
	if err != nil {
		return nil, err
	}
	d, err := rec.doc(key, map[string]string{"org": s.org, "app": rec.App, "client": rec.Client})
	if err != nil {
		return nil, err
	}
	if err := s.store.Create(ctx, d); err != nil {
		return nil, unavailable(err)
	}
	return code, nil
}

// redirect is the redirect URI of a request. It must be the app's, character by
// character (RFC 9700 section 4.1.3). Without one in the request the app's is
// taken; an app that has none, or several, leaves nothing to choose: RFC 6749
// section 3.1.2.3.
func redirect(c *credentials.Client, asked string) (string, error) {
	urls := c.CallbackURLs()
	if asked == "" {
		if len(urls) != 1 {
			return "", refused(policy.MissingRedirect)
		}
		return urls[0], nil
	}
	for _, u := range urls {
		if u == asked {
			return u, nil
		}
	}
	return "", &policy.TokenError{Reason: policy.InvalidRedirect, Detail: asked}
}

// checkChallenge refuses a code challenge that no verifier could meet: RFC 7636
// sections 4.2 and 4.3.
func checkChallenge(challenge, method string) error {
	switch {
	case challenge == "" && method == "":
		return nil
	case challenge != "" && (method == "" || method == "plain") && isVerifier(challenge):
		return nil
	case method == "S256" && len(challenge) == 43 && isVerifier(challenge):
		return nil
	}
	return refused(policy.InvalidChallenge)
}

// isVerifier reports whether s is 43 to 128 unreserved characters: RFC 7636
// section 4.1.
func isVerifier(s string) bool {
	if len(s) < 43 || len(s) > 128 {
		return false
	}
	for _, c := range []byte(s) {
		if !strings.ContainsRune(alphabet+"-._~", rune(c)) {
			return false
		}
	}
	return true
}

// verifies reports whether a verifier meets the challenge of a code: RFC 7636
// section 4.6. A code without a challenge takes no verifier at all (RFC 9700
// section 4.8.2: no downgrade).
func (d *details) verifies(verifier string) bool {
	if d.Challenge == "" {
		return verifier == ""
	}
	if !isVerifier(verifier) {
		return false
	}
	if d.Method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		verifier = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(verifier), []byte(d.Challenge)) == 1
}

// authorizationCode is the token request of RFC 6749 section 4.1.3. The code is
// removed in the transaction that stores the token: of concurrent requests with
// one code exactly one gets a token.
func (s *Service) authorizationCode(ctx context.Context, r *policy.TokenRequest) (*policy.Token, error) {
	c, err := s.resolve(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	authenticated := c.CheckSecret(r.ClientSecret)
	if !authenticated && r.ClientSecret != "" {
		return nil, refused(policy.UnknownClient)
	}
	if err := s.inForce(c); err != nil {
		return nil, err
	}
	key := s.codeKey(idOf(r.Code).String())
	var t *policy.Token
	err = s.store.Update(ctx, func(tx store.Tx) error {
		d, err := s.readCode(tx, key, r.Code)
		if err != nil {
			return err
		}
		if err := d.admits(c, r, authenticated); err != nil {
			return err
		}
		t, err = s.exchange(tx, key, &grant{TokenRequest: r, client: c, refresh: true, public: !authenticated}, d)
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return t, nil
}

func (s *Service) readCode(tx store.Tx, key store.Key, text string) (*details, error) {
	doc, err := tx.Get(key)
	if store.IsNotFound(err) {
		return nil, refused(policy.UnknownCode)
	}
	if err != nil {
		return nil, err
	}
	rec, err := decode(doc)
	if err != nil {
		return nil, err
	}
	if rec.expired(s.now()) {
		return nil, refused(policy.CodeExpired)
	}
	return open(text, key, rec.Sealed)
}

// admits checks that a token request goes with the authorization request. A
// client that has no secret to show (a public client) is admitted only by the
// verifier of an S256 challenge: RFC 7636 section 1, RFC 9700 section 2.1.1.
func (d *details) admits(c *credentials.Client, r *policy.TokenRequest, authenticated bool) error {
	switch {
	case d.Client != c.ID:
		return refused(policy.UnknownCode)
	case !authenticated && d.Method != "S256":
		return refused(policy.UnknownClient)
	case d.Redirect != "" && r.RedirectURI == "":
		return refused(policy.MissingRedirect)
	case d.Redirect != "" && r.RedirectURI != d.Redirect:
		return &policy.TokenError{Reason: policy.InvalidRedirect, Detail: r.RedirectURI}
	case !d.verifies(r.CodeVerifier):
		return refused(policy.InvalidVerifier)
	}
	return nil
}

func (s *Service) exchange(tx store.Tx, key store.Key, g *grant, d *details) (*policy.Token, error) {
	g.TokenRequest = continued(g.TokenRequest, d)
	var err error
	if g.scope, err = narrower(g.client, d.Scope, g.Scope); err != nil {
		return nil, err
	}
	t, docs, err := s.make(g)
	if err != nil {
		return nil, err
	}
	if err := tx.Delete(key); err != nil {
		return nil, err
	}
	for _, doc := range docs {
		if err := tx.Create(doc); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// continued is a request with what was granted before: end user and attributes.
func continued(r *policy.TokenRequest, d *details) *policy.TokenRequest {
	with := *r
	if with.EndUser == "" {
		with.EndUser = d.EndUser
	}
	with.Attributes = merge(d.Attributes, r.Attributes)
	return &with
}

// narrower is what is granted of what was granted before: what is asked for now,
// of what the client may still have. It never grows: RFC 6749 section 6.
func narrower(c *credentials.Client, before, asked string) (string, error) {
	var granted []string
	wanted, may := strings.Fields(asked), c.Scopes()
	for _, scope := range strings.Fields(before) {
		if has(may, scope) && (len(wanted) == 0 || has(wanted, scope)) {
			granted = append(granted, scope)
		}
	}
	if len(granted) == 0 && len(wanted) > 0 {
		return "", refused(policy.InvalidScope)
	}
	return strings.Join(granted, " "), nil
}

func has(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// merge is the attributes of a list with those of another instead of their
// namesakes, or behind them.
func merge(list, with []policy.TokenAttribute) []policy.TokenAttribute {
	out := append([]policy.TokenAttribute(nil), list...)
next:
	for _, a := range with {
		for i := range out {
			if out[i].Name == a.Name {
				out[i] = a
				continue next
			}
		}
		out = append(out, a)
	}
	return out
}

// Code implements policy.TokenKeeper.
func (s *Service) Code(ctx context.Context, text string) (*policy.Code, error) {
	key := s.codeKey(idOf(text).String())
	doc, err := s.store.Get(ctx, key)
	if store.IsNotFound(err) {
		return nil, refused(policy.UnknownCode)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	rec, err := decode(doc)
	if err != nil {
		return nil, unavailable(err)
	}
	if rec.expired(s.now()) {
		return nil, refused(policy.CodeExpired)
	}
	d, err := open(text, key, rec.Sealed)
	if err != nil {
		return nil, unavailable(err)
	}
	return &policy.Code{
		Text: text, ClientID: d.Client, AppID: rec.App, Scope: d.Scope, RedirectURI: d.Redirect, State: d.State, EndUser: d.EndUser,
		Issued: time.UnixMilli(rec.Issued), Expires: millis(rec.Expires), Attributes: d.Attributes,
	}, nil
}

// DeleteCode implements policy.TokenKeeper.
func (s *Service) DeleteCode(ctx context.Context, text string) error {
	if _, err := s.Code(ctx, text); err != nil {
		return err
	}
	if err := s.store.Delete(ctx, s.codeKey(idOf(text).String())); err != nil {
		return unavailable(err)
	}
	return nil
}
