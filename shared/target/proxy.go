package target

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// forwardProxy is an HTTP proxy between this process and the targets
// (use.proxy and its kin).
type forwardProxy struct {
	url  *url.URL
	addr string // host:port
	auth string // Proxy-Authorization, "" for none
}

func newForwardProxy(u *url.URL) *forwardProxy {
	if u == nil {
		return nil
	}
	p := &forwardProxy{url: u, addr: u.Host}
	if u.Port() == "" {
		p.addr = net.JoinHostPort(u.Hostname(), "80")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		p.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
	}
	return p
}

// tunnelError says that the proxy did not open a tunnel.
type tunnelError struct{ err error }

func (e *tunnelError) Error() string { return e.err.Error() }
func (e *tunnelError) Unwrap() error { return e.err }

// connect asks the proxy at the other end of c for a tunnel to addr.
func (p *forwardProxy) connect(c net.Conn, addr string, timeout time.Duration) error {
	c.SetDeadline(time.Now().Add(timeout))
	defer c.SetDeadline(time.Time{})
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if p.auth != "" {
		req.Header.Set("Proxy-Authorization", p.auth)
	}
	if err := req.Write(c); err != nil {
		return &tunnelError{err}
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 1), req)
	if err != nil {
		return &tunnelError{err}
	}
	if resp.StatusCode != http.StatusOK {
		return &tunnelError{fmt.Errorf("proxy answered CONNECT %s with %s", addr, resp.Status)}
	}
	return nil
}
