package target

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// handshakeTimeout bounds a TLS handshake. It is no property on Apigee, where
// the io timeout covers it; a dial that nobody waits for any longer must end
// too.
const handshakeTimeout = 10 * time.Second

// dialError says that no connection was made.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

func (e *dialError) timeout() bool {
	var ne net.Error
	return errors.As(e.err, &ne) && ne.Timeout() || errors.Is(e.err, context.DeadlineExceeded)
}

// handshakeError says that the TLS handshake with host failed.
type handshakeError struct {
	err  error
	host string
}

func (e *handshakeError) Error() string { return e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// conn is a connection to a target; its address is text once and for all.
type conn struct {
	net.Conn
	ip string
}

// connOf finds the conn beneath TLS, and the TLS state net/http does not see.
func connOf(c net.Conn) (*conn, *tls.ConnectionState) {
	var state *tls.ConnectionState
	if h, ok := c.(*http10Conn); ok {
		c = h.Conn
		if t, ok := c.(*tls.Conn); ok {
			s := t.ConnectionState()
			state = &s
		}
	}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	k, _ := c.(*conn)
	return k, state
}

// dialer opens connections for one transport.
type dialer struct {
	net  net.Dialer // Timeout is connect.timeout.millis
	tls  *tlsIdentity
	plan identity
	via  *forwardProxy // nil: straight to the target
	now  func() time.Time
}

// dialHTTP and dialHTTPS are what net/http calls.
func (d *dialer) dialHTTP(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.open(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return d.wrap(c), nil
}

func (d *dialer) dialHTTPS(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.handshake(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return d.wrap(c), nil
}

func (d *dialer) wrap(c net.Conn) net.Conn {
	if d.plan.http10 {
		return &http10Conn{Conn: c}
	}
	return c
}

func (d *dialer) open(ctx context.Context, network, addr string) (*conn, error) {
	first := addr
	if d.via != nil && d.plan.proxy == tunnelled {
		first = d.via.addr
	}
	c, err := d.net.DialContext(ctx, network, first)
	if err != nil {
		return nil, &dialError{err}
	}
	k := &conn{Conn: c}
	if host, _, err := net.SplitHostPort(c.RemoteAddr().String()); err == nil {
		k.ip = host
	}
	if first != addr {
		if err := d.via.connect(k, addr, d.net.Timeout); err != nil {
			c.Close()
			return nil, err
		}
	}
	return k, nil
}

func (d *dialer) handshake(ctx context.Context, network, addr string) (*tls.Conn, error) {
	plain, err := d.open(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		plain.Close()
		return nil, &dialError{err}
	}
	c := tls.Client(plain, d.tls.config(host, d.now))
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, &handshakeError{err, host}
	}
	return c, nil
}
