package oauth

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/policy"
)

// clientCredentials is the grant of RFC 6749 section 4.4: the client acts for
// itself. Section 4.4.3: there is no refresh token, unless one was made
// elsewhere.
func (s *Service) clientCredentials(ctx context.Context, r *policy.TokenRequest) (*policy.Token, error) {
	c, err := s.authenticate(ctx, r)
	if err != nil {
		return nil, err
	}
	scope, err := scopeOf(c, r.Scope)
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, &grant{TokenRequest: r, client: c, scope: scope, refresh: r.ExternalRefresh != ""})
}
