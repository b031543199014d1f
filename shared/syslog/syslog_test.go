package syslog_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/syslog"
	"github.com/perigee-gateway/perigee/shared/target"
)

func open(t *testing.T, log io.Writer, ssl *bundle.SSLInfo, tcp bool, addr net.Addr) policy.LogSink {
	t.Helper()
	pool := target.New(target.Options{})
	n := syslog.New(syslog.Options{
		Log: slog.New(slog.NewTextHandler(log, nil)),
		Link: func(s *bundle.SSLInfo, env *policy.Env) syslog.Link {
			return pool.Link(s, env, false)
		},
	})
	var problems bundle.Problems
	env := policy.NewEnv("org", "test", nil, policy.Services{}, &problems)
	host, port := "127.0.0.1", 0
	switch a := addr.(type) {
	case *net.UDPAddr:
		port = a.Port
	case *net.TCPAddr:
		port = a.Port
	}
	sink := n.OpenSyslog(policy.LogServer{Host: host, Port: port, TCP: tcp, SSLInfo: ssl}, env)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return sink
}

func TestUDP(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sink := open(t, io.Discard, nil, false, l.LocalAddr())
	for _, text := range []string{"one", "two\nlines", strings.Repeat("x", 70000)} {
		sink.Send(t.Context(), []byte(text))
		buf := make([]byte, 1<<17)
		n, _, err := l.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if want := text[:min(len(text), 65507)]; string(buf[:n]) != want {
			t.Errorf("got %d bytes, want %d", n, len(want))
		}
	}
}

// TestTCP sends over one connection, and over a new one once the server has
// closed it: nothing is lost to the old one.
func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sink := open(t, io.Discard, nil, true, l.Addr())
	sink.Send(t.Context(), []byte("<14>1 first\r\n<14>1 forged"))
	sink.Send(t.Context(), []byte("second\n"))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for _, want := range []string{"<14>1 first  <14>1 forged\n", "second\n"} {
		if got, _ := r.ReadString('\n'); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	c.Close()
	sink.Send(t.Context(), []byte("third"))
	c, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, _ := bufio.NewReader(c).ReadString('\n'); got != "third\n" {
		t.Errorf("after the restart: %q", got)
	}
}

func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	config := srv.TLS.Clone()
	config.NextProtos = nil
	srv.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lines := make(chan string, 4)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(c).ReadString('\n')
			c.Close()
			lines <- line
		}
	}()
	sink := open(t, io.Discard, &bundle.SSLInfo{Enabled: "true", IgnoreValidationErrors: true}, true, l.Addr())
	for _, text := range []string{"a", "b"} { // the server closes after each
		sink.Send(t.Context(), []byte(text))
		if got := <-lines; got != text+"\n" {
			t.Errorf("got %q, want %q", got, text)
		}
	}

	var log bytes.Buffer
	strict := open(t, &log, &bundle.SSLInfo{Enabled: "true"}, true, l.Addr())
	strict.Send(t.Context(), []byte("secret"))
	if !strings.Contains(log.String(), "syslog message lost") || strings.Contains(log.String(), "secret") {
		t.Errorf("log: %s", log.String())
	}
}

// TestUnreachable logs what was lost and does not fail.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr()
	l.Close()
	var log bytes.Buffer
	open(t, &log, nil, true, addr).Send(context.Background(), []byte("x"))
	if !strings.Contains(log.String(), "syslog message lost") {
		t.Errorf("log: %s", log.String())
	}
}
