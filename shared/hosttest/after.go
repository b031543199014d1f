package hosttest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// gates hold answers of the backend back until a test has seen what must come
// before them. Each has a name, the parameter id.
type gates struct{ m sync.Map }

type gate struct {
	seen, open           chan struct{}
	seenOnce, openedOnce sync.Once
}

func (g *gates) of(id string) *gate {
	v, _ := g.m.LoadOrStore(id, &gate{seen: make(chan struct{}), open: make(chan struct{})})
	return v.(*gate)
}

// serve answers below /gate: /gate/wait and /gate/events wait until somebody calls
// /gate/open, /gate/seen until somebody waits.
func (g *gates) serve(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasPrefix(r.URL.Path, "/gate/") {
		return false
	}
	gate := g.of(r.URL.Query().Get("id"))
	switch r.URL.Path {
	case "/gate/wait":
		gate.seenOnce.Do(func() { close(gate.seen) })
		await(r, gate.open)
	case "/gate/events":
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		await(r, gate.open)
		io.WriteString(w, "data: 2\n\n")
	case "/gate/open":
		gate.openedOnce.Do(func() { close(gate.open) })
	case "/gate/seen":
		await(r, gate.seen)
	}
	return true
}

func await(r *http.Request, c <-chan struct{}) {
	select {
	case <-c:
	case <-r.Context().Done():
	}
}

// upgrade answers a WebSocket handshake and echoes lines. What a real WebSocket
// sends is nothing that a gateway looks into.
func upgrade(w http.ResponseWriter, r *http.Request) bool {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return false
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	defer conn.Close()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", r.Header.Get("X-Test"))
	rw.Flush()
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			return true
		}
		fmt.Fprintf(rw, "%s echoes %s", r.URL.Path, line)
		rw.Flush()
	}
}

// backend calls the test's own server.
func backendCall(t *testing.T, url string) {
	t.Helper()
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// PostClient calls a proxy whose PostClientFlow calls the backend. With flushed
// the client has its answer while that call is still under way; without, for
// hosts that answer in one piece, the flow is over when the answer comes.
func PostClient(t *testing.T, do Client, backend string, flushed bool) {
	t.Helper()
	t.Run("PostClientFlow", func(t *testing.T) {
		id := fmt.Sprintf("%s-%d", t.Name(), time.Now().UnixNano())
		id = strings.NewReplacer("/", "-", " ", "-", ",", "-").Replace(id)
		if !flushed {
			backendCall(t, backend+"/gate/open?id="+id)
		}
		resp := send(t, do, "GET", "/after?id="+id, "", nil)
		defer resp.Body.Close()
		body := make([]byte, len("answered"))
		if _, err := io.ReadFull(resp.Body, body); err != nil || string(body) != "answered" || resp.StatusCode != 200 {
			t.Fatalf("%d %q %v", resp.StatusCode, body, err)
		}
		backendCall(t, backend+"/gate/seen?id="+id) // before it may go on
		backendCall(t, backend+"/gate/open?id="+id)
		if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
			t.Errorf("behind the answer came %q, %v", rest, err)
		}
	})
}

// Events reads server-sent events through a proxy with an EventFlow: the first is
// with the client before the target sends the second.
func Events(t *testing.T, do Client, backend string) {
	t.Helper()
	t.Run("EventFlow", func(t *testing.T) {
		id := fmt.Sprintf("events-%d", time.Now().UnixNano())
		resp := send(t, do, "GET", "/events/gate/events?id="+id, "", nil)
		defer resp.Body.Close()
		if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" || resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, ct)
		}
		const first = "data: event 1: 1\n\n"
		event := make([]byte, len(first))
		if _, err := io.ReadFull(resp.Body, event); err != nil || string(event) != first {
			t.Fatalf("%q %v, want %q", event, err, first)
		}
		backendCall(t, backend+"/gate/open?id="+id)
		rest, err := io.ReadAll(resp.Body)
		if want := "data: event 2: 2\n\n"; string(rest) != want || err != nil {
			t.Errorf("%q %v, want %q", rest, err, want)
		}
	})
}

// WebSocket upgrades a connection through a proxy and speaks over it in both
// directions.
func WebSocket(t *testing.T, addr string) {
	t.Helper()
	t.Run("WebSocket", func(t *testing.T) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "GET /echo/ws HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\nX-Test: accepted\r\n\r\n")
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Sec-WebSocket-Accept") != "accepted" {
			t.Fatalf("%s %v", resp.Status, resp.Header)
		}
		for _, line := range []string{"hello\n", "again\n"} {
			io.WriteString(conn, line)
			if got, err := r.ReadString('\n'); got != "/ws echoes "+line || err != nil {
				t.Errorf("%q %v", got, err)
			}
		}
	})
}

// NoWebSocket is for hosts that carry none: the call fails with a fault.
func NoWebSocket(t *testing.T, do Client) {
	t.Helper()
	t.Run("no WebSocket", func(t *testing.T) {
		resp := send(t, do, "GET", "/echo/ws", "", fields("Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Key", "k"))
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusNotImplemented || !strings.Contains(string(body), "UpgradeNotSupported") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	})
}
