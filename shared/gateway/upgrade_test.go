package gateway

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/perigee-gateway/perigee/shared/message"
)

// hijackable is a response writer over one end of a pipe.
type hijackable struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// TestSwitchProtocolsHeaders leaves out a header whose value, as a policy may set
// it, would end the line and begin another.
func TestSwitchProtocolsHeaders(t *testing.T) {
	client, server := net.Pipe()
	target, far := net.Pipe()
	m := message.NewResponse()
	m.Status = 101
	m.Header.Add("Upgrade", "websocket")
	m.Header.Add("X-Bad", "a\r\nSet-Cookie: evil=1")
	m.Header.Add("X-Bad\r\nSet-Cookie", "evil=2")
	m.SetStream(target, -1)
	done := make(chan error, 1)
	go func() {
		r := httptest.NewRequest("GET", "/", nil)
		done <- switchProtocols(hijackable{httptest.NewRecorder(), server}, r, m)
	}()
	resp, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 101 || len(resp.Header) != 1 || resp.Header.Get("Upgrade") != "websocket" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
	client.Close()
	far.Close()
	<-done
}
