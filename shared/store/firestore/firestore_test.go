package firestore_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/firestore"
	"github.com/perigee-gateway/perigee/shared/store/storetest"
)

// requireEmulator skips without an emulator. With PERIGEE_REQUIRE_EMULATORS, as
// in CI, that is a failure.
func requireEmulator(t testing.TB) {
	t.Helper()
	if os.Getenv("FIRESTORE_EMULATOR_HOST") != "" {
		return
	}
	const how = "FIRESTORE_EMULATOR_HOST is not set: start one with `gcloud emulators firestore start --host-port=127.0.0.1:8686`"
	if os.Getenv("PERIGEE_REQUIRE_EMULATORS") != "" {
		t.Fatal(how)
	}
	t.Skip(how)
}

var projects atomic.Int64

// project is the name of a project no other test has used: the emulator keeps
// what was written.
func project() string {
	return fmt.Sprintf("test-%x-%d", time.Now().UnixNano(), projects.Add(1))
}

func TestEmulator(t *testing.T) {
	requireEmulator(t)
	storetest.Run(t, func(*testing.T) store.Driver { return firestore.New(project(), "") })
}
