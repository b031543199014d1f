package oauth

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Token implements policy.TokenKeeper: RFC 7662, in a way.
func (s *Service) Token(ctx context.Context, kind policy.TokenKind, text string) (*policy.Token, error) {
	t, r, err := s.lookup(ctx, idOf(text), text)
	if err != nil {
		return nil, unavailable(err)
	}
	if t == nil || t.Kind != kind {
		return nil, refused(unknown(kind))
	}
	if kind == policy.AccessToken && r.refresh != "" {
		refresh, _, err := s.lookup(ctx, idOf(r.refresh), r.refresh)
		if err != nil {
			return nil, unavailable(err)
		}
		t.Refresh = refresh // nil if it was used
	}
	return t, nil
}

// found is what lookup found beside the token.
type found struct {
	*record
	refresh string // the text of the refresh token
}

// lookup reads a token and whether it was revoked, in two exchanges with the
// store; nil if there is none.
func (s *Service) lookup(ctx context.Context, i id, text string) (*policy.Token, found, error) {
	key := s.tokenKey(i.String())
	doc, err := s.store.Get(ctx, key)
	if store.IsNotFound(err) {
		return nil, found{}, nil
	}
	if err != nil {
		return nil, found{}, err
	}
	r, err := decode(doc)
	if err != nil {
		return nil, found{}, err
	}
	if r.Status == entity.Approved {
		gone, err := s.revoked(ctx, r)
		if err != nil {
			return nil, found{}, err
		}
		if gone {
			r.Status, r.Reason = entity.Revoked, "REVOKED_BY_APP_ENDUSER"
		}
	}
	d, err := open(text, key, r.Sealed)
	if err != nil {
		return nil, found{}, err
	}
	return r.token(text, d), found{r, d.Refresh}, nil
}

// Client implements policy.TokenKeeper.
func (s *Service) Client(ctx context.Context, clientID string) (*policy.TokenClient, error) {
	c, err := s.resolve(ctx, clientID)
	if err != nil {
		return nil, err
	}
	return &policy.TokenClient{ID: c.ID, Secret: c.Secret(), CallbackURL: c.App.CallbackUrl, Variables: variables(c)}, nil
}

// variables are those of a client without a product.
func variables(c *credentials.Client) flow.Source { return c.Variables() }

// SetAttributes implements policy.TokenKeeper. Other instances see the change
// when they next read the token, after 180 s at most, as on Apigee.
func (s *Service) SetAttributes(ctx context.Context, text string, attributes []policy.TokenAttribute) (*policy.Token, error) {
	i := idOf(text)
	key := s.tokenKey(i.String())
	var t *policy.Token
	err := s.store.Update(ctx, func(tx store.Tx) error {
		r, err := s.read(tx, key)
		if err != nil {
			return err
		}
		if err := s.changeable(tx, r); err != nil {
			return err
		}
		d, err := open(text, key, r.Sealed)
		if err != nil {
			return err
		}
		d.Attributes = merge(d.Attributes, attributes)
		if err := checkAttributes(d.Attributes); err != nil {
			return err
		}
		if r.Sealed, err = seal(text, key, d); err != nil {
			return err
		}
		t = r.token(text, d)
		return s.put(tx, r)
	})
	s.verified.Invalidate(i)
	if err != nil {
		return nil, unavailable(err)
	}
	return t, nil
}

// changeable refuses what is no access token in force.
func (s *Service) changeable(tx store.Tx, r stored) error {
	if r.record == nil || r.Kind != kindAccess {
		return refused(policy.UnknownToken)
	}
	if r.expired(s.now()) {
		return refused(policy.TokenExpired)
	}
	gone, err := s.revokedIn(tx, r.record)
	if err != nil {
		return err
	}
	if gone || r.Status != entity.Approved {
		return refused(policy.TokenRevoked)
	}
	return nil
}
