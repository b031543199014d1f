package memory_test

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/keystore/keystoretest"
	"github.com/perigee-gateway/perigee/shared/keystore/memory"
)

func TestDriver(t *testing.T) {
	keystoretest.Run(t, func(*testing.T) (keystore.Driver, func() keystore.Driver) {
		d := memory.New()
		return d, func() keystore.Driver { return d }
	})
}
