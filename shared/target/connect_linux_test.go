package target

import (
	"fmt"
	"net"
	"syscall"
	"testing"
)

// TestConnectTimeoutMillis is connect.timeout.millis: a server whose queue is
// full answers no connection attempt.
func TestConnectTimeoutMillis(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	full, err := net.Dial("tcp", addr) // takes the only place
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	c := connect(t, newPool(t, Options{}), "<URL>http://"+addr+"</URL><Properties>"+withProperty("connect.timeout.millis", "150")+"</Properties>")
	const want = `503 messaging.adaptors.http.flow.ServiceUnavailable "The Service is temporarily unavailable" TARGET_CONNECT_TIMEOUT`
	if got := short(faultOf(t, send(c, call(t, "GET", "", "")))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
