package credentials

import (
	"context"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
)

// profile is a rendered entity of AccessEntity.
type profile struct {
	data       []byte
	read       time.Time
	generation int64
}

// Entity implements policy.Entities.
func (s *Service) Entity(ctx context.Context, q policy.EntityQuery) ([]byte, bool, error) {
	return nil, false, nil
}
