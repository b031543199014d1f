package oauth

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/credentials"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

// keepExternal stores tokens made elsewhere. One that is known already may be
// replaced by the client it belongs to only: the text comes from outside, and
// nobody may take over another's token by importing it.
func (s *Service) keepExternal(ctx context.Context, docs []store.Doc, client string) error {
	return s.store.Update(ctx, func(tx store.Tx) error {
		for _, d := range docs {
			old, err := tx.Get(d.Key)
			if store.IsNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			r, err := decode(old)
			if err != nil {
				return err
			}
			if r.Client != client || r.Kind != d.Fields["kind"] {
				return refused(policy.UnknownToken)
			}
		}
		for _, d := range docs {
			if err := tx.Put(d); err != nil {
				return err
			}
		}
		return nil
	})
}

// external keeps what another server exchanged a refresh token for.
func (s *Service) external(ctx context.Context, c *credentials.Client, r *policy.TokenRequest) (*policy.Token, error) {
	with := *r
	with.GrantType = policy.GrantRefreshToken
	scope, err := scopeOf(c, r.Scope)
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, &grant{TokenRequest: &with, client: c, scope: scope, refresh: r.ExternalRefresh != "", refreshes: 1})
}
