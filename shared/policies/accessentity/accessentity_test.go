package accessentity

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// The profiles themselves are tested where they are made: package credentials.
func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(*testing.T) policy.Services { return policy.Services{Entities: echo{}} }))
}

// echo answers with the query; "none" is not found and "down" cannot be asked.
type echo struct{}

func (echo) Entity(_ context.Context, q policy.EntityQuery) ([]byte, bool, error) {
	switch q.Primary.Value {
	case "none":
		return nil, false, nil
	case "down":
		return nil, false, fault.New("datastore.ErrorWhileAccessingDataStore", 500, "Error while accessing datastore;Please retry later").WithCause(errors.New("down"))
	}
	return fmt.Appendf(nil, "%s by %s %s and %s %s, JSON %t", q.Kind, q.Primary.Type, q.Primary.Value, q.Secondary.Type, q.Secondary.Value, q.JSON), true, nil
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<AccessEntity name="AE-1"><EntityType value="app"/><EntityIdentifier ref="request.header.x-key" type="consumerkey"/></AccessEntity>`, policy.Services{Entities: echo{}})
	fc := policytest.Context(b, map[string][]byte{"request": []byte("GET /v1/x\nX-Key: k\n")})
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Run(b.Context(), fc); err != nil {
			b.Fatal(err)
		}
	}
}
