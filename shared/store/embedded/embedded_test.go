package embedded_test

import (
	"testing"

	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
	"github.com/perigee-gateway/perigee/shared/store/storetest"
)

func TestFile(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Driver {
		d, err := embedded.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Driver { return memory(t) })
}

func memory(t testing.TB) *embedded.Driver {
	t.Helper()
	d, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	return d
}
