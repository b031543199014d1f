package perigee_test

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"

	_ "github.com/perigee-gateway/perigee"
	"github.com/perigee-gateway/perigee/shared/hosttest"
)

// TestFunctionsFramework serves the registered function as the framework's own
// main does and sends the matrix through it.
func TestFunctionsFramework(t *testing.T) {
	backend := hosttest.Backend(t)
	for k, v := range hosttest.Environ(hosttest.Seed(t, backend)) {
		t.Setenv(k, v)
	}
	t.Setenv("FUNCTION_TARGET", "Gateway")
	port := freePort(t)
	go func() {
		if err := funcframework.StartHostPort("127.0.0.1", port); err != nil {
			os.Stderr.WriteString("functions framework: " + err.Error() + "\n")
		}
	}()
	await(t, "127.0.0.1:"+port)
	do := hosttest.To("http://127.0.0.1:" + port)
	hosttest.Run(t, do)
	hosttest.Cut(t, do, false)
	hosttest.PostClient(t, do, backend, true)
	hosttest.Events(t, do, backend)
	hosttest.WebSocket(t, "127.0.0.1:"+port)
}

// freePort returns a port nobody listens on: the framework takes a port, not a
// listener.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// await returns once addr accepts connections.
func await(t *testing.T, addr string) {
	t.Helper()
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s", addr)
}
