package oauth

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/policy"
)

// password is the grant of RFC 6749 section 4.3. The resource owner's password
// is checked by the proxy before it asks for a token, as on Apigee; the client is
// authenticated here.
func (s *Service) password(ctx context.Context, r *policy.TokenRequest) (*policy.Token, error) {
	c, err := s.authenticate(ctx, r)
	if err != nil {
		return nil, err
	}
	scope, err := scopeOf(c, r.Scope)
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, &grant{TokenRequest: r, client: c, scope: scope, refresh: true})
}
