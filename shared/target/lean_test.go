package target

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/message"
)

// scripted answers each request on a connection with the next of answers; an
// answer that ends in "!" closes the connection after it. It counts connections.
func scripted(t testing.TB, answers ...string) (addr address, conns *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	conns = new(atomic.Int32)
	next := make(chan string, len(answers))
	for _, a := range answers {
		next <- a
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go answer(c, next)
		}
	}()
	addr, err = parseAddress("http://" + l.Addr().String() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	return addr, conns
}

func answer(c net.Conn, next chan string) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
		}
		text, end := strings.CutSuffix(<-next, "!")
		if _, err := io.WriteString(c, text); err != nil || end {
			return
		}
	}
}

func newLean() *leanClient {
	return New(Options{}).newClient(identity{connect: time.Second, keepAlive: time.Minute}, &tlsIdentity{}).(*leanClient)
}

// ask makes one exchange and reads the body.
func ask(l *leanClient, verb string, addr address) (in incoming, body string, err error) {
	out := &outgoing{verb: verb, addr: addr, host: addr.host, body: new(payload), ioTimeout: 2 * time.Second}
	if err = l.roundTrip(context.Background(), out, &in); err != nil || in.body == nil {
		return in, "", err
	}
	data, err := io.ReadAll(in.body)
	in.body.Close()
	return in, string(data), err
}

// TestLeanFraming is what a response may look like on the wire (RFC 9112
// section 6), and what it may not.
func TestLeanFraming(t *testing.T) {
	for _, c := range []struct{ name, verb, answer, want string }{
		{"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "200 abc"},
		{"bare line feeds", "GET", "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", "200 abc"},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", "200 abc"},
		{"until the end", "GET", "HTTP/1.1 200 OK\r\n\r\nabc!", "200 abc"},
		{"1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc!", "200 abc"},
		{"interim", "GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "200 a"},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "200 "},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "204 "},
		{"no reason", "GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200 "},
		{"same length twice", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "200 a"},
		{"both framings", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200 abc"},
		{"two lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "malformed"},
		{"signed length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na", "malformed"},
		{"other coding", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "transfer encoding"},
		{"chunked twice", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer encoding"},
		{"folded", "GET", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", "malformed"},
		{"blank before colon", "GET", "HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n", "malformed"},
		{"no colon", "GET", "HTTP/1.1 200 OK\r\nA\r\n\r\n", "malformed"},
		{"not HTTP", "GET", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "malformed"},
		{"bad status", "GET", "HTTP/1.1 20 OK\r\n\r\n", "malformed"},
		{"unasked upgrade", "GET", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "malformed"},
		{"short body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc!", "unexpected EOF"},
		{"short chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc!", "unexpected EOF"},
		{"bad chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", "invalid byte in chunk length"},
		{"half a head", "GET", "HTTP/1.1 200 OK\r\nA: b!", "unexpected EOF"},
		{"endless head", "GET", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", maxResponseHeader) + "\r\n\r\n", "headers exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, _ := scripted(t, c.answer)
			in, body, err := ask(newLean(), c.verb, addr)
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %s", err, c.want)
				}
				return
			}
			if got := strings.Join([]string{itoa(in.status), body}, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

const okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// TestLeanReuse counts connections: kept where the exchange ended cleanly, and
// only there.
func TestLeanReuse(t *testing.T) {
	for _, c := range []struct {
		name   string
		first  string
		second string // verb
		conns  int32
		fails  bool
	}{
		{"kept", okay, "GET", 1, false},
		{"asked to close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "GET", 2, false},
		{"more than was asked for", okay + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "GET", 2, false},
		{"closed meanwhile", okay + "!", "GET", 2, false},
		{"closed meanwhile, not to be repeated", okay + "!", "POST", 2, false},
		{"both framings", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "GET", 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, conns := scripted(t, c.first, okay)
			l := newLean()
			if _, body, err := ask(l, "GET", addr); err != nil || body != "ok" {
				t.Fatalf("first: %q, %v", body, err)
			}
			time.Sleep(20 * time.Millisecond) // the server's end of the connection arrives
			if _, body, err := ask(l, c.second, addr); err != nil || body != "ok" {
				t.Fatalf("second: %q, %v", body, err)
			}
			if n := conns.Load(); n != c.conns {
				t.Errorf("%d connections, want %d", n, c.conns)
			}
		})
	}
}

func TestLeanTrailer(t *testing.T) {
	addr, _ := scripted(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Grpc-Status\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n")
	in, body, err := ask(newLean(), "GET", addr)
	if err != nil || body != "ok" {
		t.Fatalf("%q, %v", body, err)
	}
	if got := in.trailer(); len(got) != 1 || got[0] != (message.Field{Name: "Grpc-Status", Value: "0"}) {
		t.Errorf("trailer %v", got)
	}
}

// TestLeanContext ends the context while the target is silent.
func TestLeanContext(t *testing.T) {
	addr, _ := scripted(t) // never answers
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, cancel)
	out := &outgoing{verb: "GET", addr: addr, host: addr.host, body: new(payload), ioTimeout: time.Minute}
	if err := newLean().roundTrip(ctx, out, new(incoming)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	out.ioTimeout = 30 * time.Millisecond
	if err := newLean().roundTrip(t.Context(), out, new(incoming)); !errors.Is(err, errSilent) {
		t.Errorf("error %v", err)
	}
}

// TestLeanRefuses leaves to net/http what could break out of the request's head.
func TestLeanRefuses(t *testing.T) {
	addr, err := parseAddress("http://a.test/x")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*outgoing){
		"line break in a value": func(o *outgoing) { o.header = []message.Field{{Name: "A", Value: "b\r\nC: d"}} },
		"line break in a name":  func(o *outgoing) { o.header = []message.Field{{Name: "A: b\r\nC", Value: "d"}} },
		"line break in a path":  func(o *outgoing) { o.addr.path = "/x HTTP/1.1\r\nA: b" },
		"line break in a query": func(o *outgoing) { o.addr.query = "a\r\nb" },
		"odd verb":              func(o *outgoing) { o.verb = "GET /" },
		"upgrade":               func(o *outgoing) { o.header = []message.Field{{Name: "upgrade", Value: "websocket"}} },
		"stream":                func(o *outgoing) { o.body.stream = io.NopCloser(strings.NewReader("")) },
	} {
		o := &outgoing{verb: "GET", addr: addr, host: "a.test", body: new(payload)}
		if !lean(o) {
			t.Fatal("the plain request is refused")
		}
		if change(o); lean(o) {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzLeanResponse reads anything a target may send: without a crash, and a body
// never longer than what was sent.
func FuzzLeanResponse(f *testing.F) {
	f.Add([]byte(okay))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"))
	f.Fuzz(func(t *testing.T, data []byte) {
		client, server := net.Pipe()
		defer client.Close()
		go func() { server.Write(data); server.Close() }()
		c := &leanConn{Conn: client, ctx: context.Background(), timeout: time.Second}
		c.r = bufio.NewReader(c)
		x := leanExchange{l: &leanClient{keepAlive: time.Minute}, c: c, ctx: context.Background()}
		var in incoming
		if x.read(&outgoing{verb: "GET"}, &in) != nil || in.body == nil {
			return
		}
		if body, _ := io.ReadAll(in.body); len(body) > len(data) {
			t.Errorf("%d bytes of body out of %d", len(body), len(data))
		}
	})
}
