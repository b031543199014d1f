package oauth

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/policy"
)

// implicit is the grant of RFC 6749 section 4.2: the token goes to the redirect
// URI at once. The client is not authenticated, so the URI must be the app's; no
// refresh token is issued (section 4.2.2).
func (s *Service) implicit(ctx context.Context, r *policy.TokenRequest) (*policy.Token, error) {
	c, err := s.resolve(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	if err := s.inForce(c); err != nil {
		return nil, err
	}
	if r.RedirectURI, err = redirect(c, r.RedirectURI); err != nil {
		return nil, err
	}
	scope, err := scopeOf(c, r.Scope)
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, &grant{TokenRequest: r, client: c, scope: scope})
}
