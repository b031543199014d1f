// Package enginestest gives tests the store's engines: memory, and Firestore
// where FIRESTORE_EMULATOR_HOST names an emulator. What an engine must do is not
// here but in storetest.
package enginestest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
	"github.com/perigee-gateway/perigee/shared/store/firestore"
)

// Run runs a test on every engine there is.
func Run(t *testing.T, test func(*testing.T, store.Driver)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { test(t, Memory(t)) })
	t.Run("firestore", func(t *testing.T) {
		RequireEmulator(t)
		test(t, firestore.New(Project(), ""))
	})
}

// Memory returns an empty store in memory.
func Memory(t testing.TB) store.Driver {
	t.Helper()
	d, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// RequireEmulator skips without an emulator. With PERIGEE_REQUIRE_EMULATORS, as
// in CI, that is a failure.
func RequireEmulator(t testing.TB) {
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

// Project is the name of a project no other test has used: the emulator keeps
// what was written.
func Project() string {
	return fmt.Sprintf("test-%x-%d-%d", time.Now().UnixNano(), os.Getpid(), projects.Add(1))
}

// Place is an empty store as hosts are told of one: Firestore where there is an
// emulator, memory elsewhere.
func Place() string {
	if os.Getenv("FIRESTORE_EMULATOR_HOST") != "" {
		return "firestore:" + Project()
	}
	return "memory:"
}

// StartEmulator starts a Firestore emulator of the test's own, for tests that
// stop it, and returns its address and what kills it.
func StartEmulator(t testing.TB) (host string, kill func()) {
	t.Helper()
	RequireEmulator(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host = l.Addr().String()
	l.Close()
	cmd := exec.Command("gcloud", "emulators", "firestore", "start", "--host-port="+host)
	cmd.Env = append(os.Environ(), "CLOUDSDK_CORE_DISABLE_PROMPTS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // gcloud starts a JVM
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	t.Cleanup(kill)
	for range 600 {
		if c, err := net.Dial("tcp", host); err == nil {
			c.Close()
			return host, kill
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the emulator did not start within a minute")
	return "", nil
}
