package oauth

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Refresh implements policy.TokenIssuer: RFC 6749 section 6. A refresh token is
// good for one use and replaced by a new one (RFC 9700 section 4.14.2), in one
// transaction; with Reuse it stays until it expires.
func (s *Service) Refresh(ctx context.Context, r *policy.TokenRequest) (*policy.Token, error) {
	c, err := s.resolve(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	if r.Trusted { // the refresh token is another server's
		if err := s.inForce(c); err != nil {
			return nil, err
		}
		return s.external(ctx, c, r)
	}
	authenticated := c.CheckSecret(r.ClientSecret)
	if !authenticated && r.ClientSecret != "" {
		return nil, refused(policy.UnknownClient)
	}
	if err := s.inForce(c); err != nil {
		return nil, err
	}
	key := s.tokenKey(idOf(r.RefreshToken).String())
	var t *policy.Token
	err = s.store.Update(ctx, func(tx store.Tx) error {
		old, d, err := s.readRefresh(tx, key, r.RefreshToken, c)
		if err != nil {
			return err
		}
		if !authenticated && !d.Public {
			return refused(policy.UnknownClient)
		}
		t, err = s.rotate(tx, key, c, r, old, d)
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return t, nil
}

// readRefresh reads a refresh token that is the client's and in force.
func (s *Service) readRefresh(tx store.Tx, key store.Key, text string, c *credentials.Client) (*record, *details, error) {
	doc, err := tx.Get(key)
	if store.IsNotFound(err) {
		return nil, nil, refused(policy.UnknownRefreshToken)
	}
	if err != nil {
		return nil, nil, err
	}
	rec, err := decode(doc)
	if err != nil {
		return nil, nil, err
	}
	if rec.Kind != kindRefresh || rec.Client != entity.KeyID(c.ID) {
		return nil, nil, refused(policy.UnknownRefreshToken)
	}
	if rec.expired(s.now()) {
		return nil, nil, refused(policy.RefreshTokenExpired)
	}
	gone, err := s.revokedIn(tx, rec)
	if err != nil {
		return nil, nil, err
	}
	if gone || rec.Status != entity.Approved {
		return nil, nil, refused(policy.RefreshTokenRevoked)
	}
	d, err := open(text, key, rec.Sealed)
	return rec, d, err
}

// rotate issues what a refresh token is exchanged for.
func (s *Service) rotate(tx store.Tx, key store.Key, c *credentials.Client, r *policy.TokenRequest, old *record, d *details) (*policy.Token, error) {
	with := continued(r, d)
	with.GrantType = old.Grant
	scope, err := narrower(c, d.Scope, r.Scope)
	if err != nil {
		return nil, err
	}
	g := &grant{TokenRequest: with, client: c, scope: scope, refresh: true, refreshes: old.Refreshes + 1, public: d.Public, family: old.Family}
	if r.Reuse && !d.Public {
		g.keep = old.token(r.RefreshToken, d)
		g.keep.RefreshCount = g.refreshes
	}
	t, docs, err := s.make(g)
	if err != nil {
		return nil, err
	}
	if g.keep == nil {
		if err := tx.Delete(key); err != nil {
			return nil, err
		}
	} else {
		old.Refreshes = g.refreshes
		doc, err := old.doc(key, s.fields(old))
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	for _, doc := range docs {
		if err := tx.Put(doc); err != nil {
			return nil, err
		}
	}
	return t, nil
}
