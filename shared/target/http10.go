package target

import (
	"bytes"
	"net"
)

// http10Conn makes the requests of supports.http11=false HTTP/1.0: net/http
// writes only HTTP/1.1, so the version in the request line is changed on its
// way out. Such a connection carries one request, whose length is known.
type http10Conn struct {
	net.Conn
	done bool
}

func (c *http10Conn) Write(p []byte) (int, error) {
	if c.done {
		return c.Conn.Write(p)
	}
	c.done = true
	i := bytes.Index(p, []byte(" HTTP/1.1\r\n"))
	if i < 0 {
		return c.Conn.Write(p)
	}
	q := bytes.Clone(p)
	q[i+len(" HTTP/1.")] = '0'
	return c.Conn.Write(q)
}
