package concurrentratelimit

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind, policytest.WithKind(OtherKind)) }
