// Package syslog carries messages to syslog servers, over UDP, TCP and TLS. It
// implements policy.Syslog and knows nothing of what is in a message.
//
// Connections are kept from call to call. A message is sent when Send is called
// and not later: there is no queue that an instance could be frozen with. What
// cannot be delivered is logged, and lost.
//
// Over TCP a message ends with a line feed (RFC 6587 section 3.4.2), as Apigee
// has it; line feeds within one are replaced by blanks, so that nothing a caller
// sends looks like a message of its own.
package syslog

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// sendTimeout bounds Send: dialling, the handshake and writing.
const sendTimeout = 5 * time.Second

// maxIdle is how many connections to a server are kept while nobody uses them.
const maxIdle = 4

// maxDatagram is the largest message over UDP; what is longer is cut
// (RFC 5426 section 3.2: receivers need not take more than 2 KiB, most take
// what a datagram holds).
const maxDatagram = 65507

// Link gives the TLS configuration of a connection, nil for a plain one.
// *target.Link is one.
type Link interface {
	TLS(ctx context.Context, fc *flow.Context, host string) (c *tls.Config, id string, err error)
}

// Options are what a Network is made of.
type Options struct {
	// Link compiles an <SSLInfo>, which may be nil.
	Link func(s *bundle.SSLInfo, env *policy.Env) Link
	// Log is told of messages that were lost. Required.
	Log *slog.Logger
}

// Network reaches syslog servers.
type Network struct{ opts Options }

// New returns a Network. It dials nothing.
func New(opts Options) *Network { return &Network{opts} }

var _ policy.Syslog = (*Network)(nil)

// OpenSyslog implements policy.Syslog.
func (n *Network) OpenSyslog(s policy.LogServer, env *policy.Env) policy.LogSink {
	sink := &sink{log: n.opts.Log, host: s.Host, addr: net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), network: "udp"}
	if s.TCP {
		sink.network, sink.link = "tcp", n.opts.Link(s.SSLInfo, env)
	}
	return sink
}

// sink is one server.
type sink struct {
	log                 *slog.Logger
	network, host, addr string
	link                Link // nil: plain

	mu   sync.Mutex
	idle []*conn
}

// conn is a connection and what its TLS was made of.
type conn struct {
	net.Conn
	id string
}

// Send implements policy.LogSink.
func (s *sink) Send(ctx context.Context, message []byte) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := s.send(ctx, s.frame(message)); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "syslog message lost", slog.String("server", s.addr), slog.String("error", err.Error()))
	}
}

func (s *sink) frame(message []byte) []byte {
	if s.network == "udp" {
		return message[:min(len(message), maxDatagram)]
	}
	b := make([]byte, 0, len(message)+1)
	b = append(b, bytes.TrimRight(message, "\r\n")...)
	for i, c := range b {
		if c == '\n' || c == '\r' {
			b[i] = ' '
		}
	}
	return append(b, '\n')
}

// send writes to a kept connection, and to a new one if that was closed
// meanwhile.
func (s *sink) send(ctx context.Context, b []byte) error {
	config, id, err := s.tls(ctx)
	if err != nil {
		return err
	}
	for c := s.take(id); c != nil; c = s.take(id) {
		if !alive(c.Conn) {
			c.Close()
			continue
		}
		if err := s.write(ctx, c, b); err == nil || ctx.Err() != nil {
			return err
		}
	}
	c, err := s.dial(ctx, config)
	if err != nil {
		return err
	}
	return s.write(ctx, &conn{c, id}, b)
}

func (s *sink) tls(ctx context.Context) (*tls.Config, string, error) {
	if s.link == nil {
		return nil, "", nil
	}
	return s.link.TLS(ctx, nil, s.host)
}

func (s *sink) dial(ctx context.Context, config *tls.Config) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, s.network, s.addr)
	if err != nil || config == nil {
		return c, err
	}
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

// write sends b and keeps the connection if that went well.
func (s *sink) write(ctx context.Context, c *conn, b []byte) error {
	if deadline, ok := ctx.Deadline(); ok {
		c.SetWriteDeadline(deadline)
	}
	if _, err := c.Write(b); err != nil {
		c.Close()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == maxIdle {
		c.Close()
		return nil
	}
	s.idle = append(s.idle, c)
	return nil
}

// take returns a connection that nobody uses, nil if there is none. Those made
// with certificates that were replaced are closed.
func (s *sink) take(id string) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle) > 0 {
		c := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if c.id == id {
			return c
		}
		c.Close()
	}
	return nil
}

// alive reports whether the server has not closed the connection: the first
// write after that would be lost without an error. What a server does send is
// read and dropped: the end may be behind it.
func alive(c net.Conn) bool {
	inner := c
	if t, ok := c.(*tls.Conn); ok {
		inner = t.NetConn()
	}
	state := peek(inner)
	if state == pending {
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := io.Copy(io.Discard, c)
		return errors.Is(err, os.ErrDeadlineExceeded)
	}
	return state == quiet
}

// A connection is quiet, has something to be read, or is at its end.
type peeked uint8

const (
	quiet peeked = iota
	pending
	ended
)

// peek looks at a connection without waiting.
func peek(c net.Conn) peeked {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return quiet
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return ended
	}
	state := ended
	if err := raw.Read(func(fd uintptr) bool { state = peekFD(fd); return true }); err != nil {
		return ended
	}
	return state
}
