package oauth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Issue implements policy.TokenIssuer.
func (s *Service) Issue(ctx context.Context, r *policy.TokenRequest) (*policy.Token, error) {
	switch r.GrantType {
	case policy.GrantClientCredentials:
		return s.clientCredentials(ctx, r)
	case policy.GrantPassword:
		return s.password(ctx, r)
	case policy.GrantAuthorizationCode:
		if r.Trusted { // the code is another server's
			return s.password(ctx, r)
		}
		return s.authorizationCode(ctx, r)
	case policy.GrantImplicit:
		return s.implicit(ctx, r)
	}
	return nil, fmt.Errorf("grant type %q is not one of the service's", r.GrantType)
}

// grant is what is being issued.
type grant struct {
	*policy.TokenRequest
	client  *credentials.Client
	scope   string
	refresh bool // with a refresh token
	public  bool // the client has not shown its secret
	// family is that of the token being refreshed, "" for the first.
	family string
	// refreshes is how often the access token was refreshed before.
	refreshes int
	// keep is the refresh token to go on with instead of a new one.
	keep *policy.Token
}

// scopeOf is what is granted of the scopes a client asks for: those its products
// have; all of them if it asks for none. RFC 6749 section 3.3.
func scopeOf(c *credentials.Client, asked string) (string, error) {
	have := c.Scopes()
	wanted := strings.Fields(asked)
	if len(wanted) == 0 {
		return strings.Join(have, " "), nil
	}
	var granted []string
	for _, w := range wanted {
		if slices.Contains(have, w) && !slices.Contains(granted, w) {
			granted = append(granted, w)
		}
	}
	if len(granted) == 0 {
		return "", refused(policy.InvalidScope)
	}
	return strings.Join(granted, " "), nil
}

// issue makes and stores the tokens of a grant.
func (s *Service) issue(ctx context.Context, g *grant) (*policy.Token, error) {
	t, docs, err := s.make(g)
	if err != nil {
		return nil, err
	}
	switch {
	case g.NoStore:
	case g.External == "" && g.ExternalRefresh == "":
		err = s.store.Batch(ctx, docs, nil)
	default:
		err = s.keepExternal(ctx, docs, entity.KeyID(g.client.ID))
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if g.External != "" {
		s.unknown.Invalidate(idOf(g.External))
	}
	return t, nil
}

// make makes the tokens of a grant and their documents.
func (s *Service) make(g *grant) (*policy.Token, []store.Doc, error) {
	if err := checkAttributes(g.Attributes); err != nil {
		return nil, nil, err
	}
	now := s.now().Truncate(time.Millisecond)
	t := s.token(g, policy.AccessToken, now, g.ExpiresIn)
	t.RefreshCount = g.refreshes
	var err error
	switch {
	case g.External != "":
		t.Text = g.External
	case g.Mint != nil:
		if t.Text, err = g.Mint(t); err != nil {
			return nil, nil, err
		}
	default:
		t.Text = random(accessLength)
	}
	switch {
	case g.keep != nil:
		t.Refresh = g.keep
	case g.refresh:
		t.Refresh = s.token(g, policy.RefreshToken, now, g.RefreshExpiresIn)
		t.Refresh.RefreshCount = g.refreshes
		if t.Refresh.Text = g.ExternalRefresh; t.Refresh.Text == "" {
			t.Refresh.Text = random(refreshLength)
		}
	}
	docs, err := s.docs(g, t)
	return t, docs, err
}

func (s *Service) token(g *grant, kind policy.TokenKind, now time.Time, life time.Duration) *policy.Token {
	t := &policy.Token{
		Kind: kind, GrantType: g.GrantType, ClientID: g.client.ID, AppID: g.client.App.AppId, App: g.client.App.Name,
		DeveloperID: g.client.App.DeveloperId, Email: g.client.DeveloperEmail(), Environment: g.Environment, Proxy: g.Proxy,
		Scope: g.scope, Products: g.client.ProductNames(), Status: entity.Approved, Issued: now, EndUser: g.EndUser, Attributes: g.Attributes,
	}
	if life != policy.NeverExpires {
		t.Expires = now.Add(life)
	}
	return t
}

// docs are the documents of a new access token and of its refresh token.
func (s *Service) docs(g *grant, t *policy.Token) ([]store.Doc, error) {
	if g.family == "" && t.Refresh != nil {
		g.family = idOf(t.Refresh.Text).String()
	}
	d, err := s.encode(t, g, g.Mint != nil && g.External == "")
	if err != nil {
		return nil, err
	}
	docs := []store.Doc{d}
	if t.Refresh != nil && g.keep == nil {
		if d, err = s.encode(t.Refresh, g, false); err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// encode is the document of a token.
func (s *Service) encode(t *policy.Token, g *grant, jwt bool) (store.Doc, error) {
	if len(t.Text) > MaxTokenBytes && !jwt {
		return store.Doc{}, &policy.TokenError{Reason: policy.TokenTooLong, Detail: fmt.Sprintf("a token of %d bytes, at most %d are allowed", len(t.Text), MaxTokenBytes)}
	}
	r := &record{
		Kind: kindAccess, Status: t.Status, Grant: t.GrantType, App: t.AppID, Developer: t.DeveloperID, Client: entity.KeyID(t.ClientID),
		Environment: t.Environment, Proxy: t.Proxy, Issued: t.Issued.UnixMilli(), Approved: t.Issued.UnixMilli(), Family: g.family,
		Refreshes: t.RefreshCount, JWT: jwt,
	}
	if t.Kind == policy.RefreshToken {
		r.Kind = kindRefresh
	}
	if t.EndUser != "" {
		r.EndUser = idOf(t.EndUser).String()
	}
	if !t.Expires.IsZero() {
		r.Expires = t.Expires.UnixMilli()
	}
	key := s.tokenKey(idOf(t.Text).String())
	var err error
	if r.Sealed, err = seal(t.Text, key, detailsOf(t, g.public)); err != nil {
		return store.Doc{}, err
	}
	return r.doc(key, s.fields(r))
}

func detailsOf(t *policy.Token, public bool) *details {
	d := &details{Client: t.ClientID, AppName: t.App, Email: t.Email, Scope: t.Scope, Products: t.Products, EndUser: t.EndUser, Attributes: t.Attributes, Public: public}
	if t.Refresh != nil {
		d.Refresh = t.Refresh.Text
	}
	return d
}

func checkAttributes(list []policy.TokenAttribute) error {
	tooLong := func(format string, args ...any) error {
		return &policy.TokenError{Reason: policy.TokenTooLong, Detail: fmt.Sprintf(format, args...)}
	}
	if len(list) > MaxAttributes {
		return tooLong("%d attributes, at most %d are allowed", len(list), MaxAttributes)
	}
	for _, a := range list {
		if len(a.Name) > MaxAttributeNameBytes {
			return tooLong("an attribute's name of %d bytes, at most %d are allowed", len(a.Name), MaxAttributeNameBytes)
		}
		if len(a.Value) > MaxAttributeValueBytes {
			return tooLong("attribute %s of %d bytes, at most %d are allowed", a.Name, len(a.Value), MaxAttributeValueBytes)
		}
	}
	return nil
}
