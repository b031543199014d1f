package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// readRequest fills fc from an incoming request.
func (g *Gateway) readRequest(fc *flow.Context, r *http.Request) {
	m := fc.Request
	m.Verb, m.Path, m.Query = r.Method, r.URL.EscapedPath(), message.ParseParams(r.URL.RawQuery)
	m.Proto = protocol(r)
	fc.RawURI = m.URI()
	fc.Virtual = r.Host
	fc.Client = client(r)
	m.Header.Add("Host", r.Host)
	for name, values := range r.Header {
		if name == "Host" || strings.HasPrefix(name, "X-Apigee-") {
			continue // Lambda's adapter lists Host with the others
		}
		for _, v := range values {
			m.Header.Add(name, v)
		}
	}
	if g.opts.Ingress {
		forwarded(m, fc.Client)
	}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		m.SetStream(r.Body, r.ContentLength)
	}
}

func protocol(r *http.Request) string {
	if r.ProtoMajor == 1 && r.ProtoMinor == 1 {
		return "1.1"
	}
	return strconv.Itoa(r.ProtoMajor) + "." + strconv.Itoa(r.ProtoMinor)
}

// client describes the peer. Behind a load balancer that ends TLS the scheme is
// the one it reports.
func client(r *http.Request) flow.Client {
	c := flow.Client{Scheme: "http", Name: r.Host, TLS: r.TLS, IP: r.RemoteAddr}
	if host, port, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		c.IP = host
		c.Port, _ = strconv.Atoi(port)
	}
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		c.Scheme = "https"
	}
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		c.Host, _, _ = net.SplitHostPort(addr.String())
	}
	return c
}

// forwarded does what an ingress does before the gateway where there is none:
// it appends the caller to X-Forwarded-For and sets X-Forwarded-Proto.
func forwarded(m *message.Message, c flow.Client) {
	if list := m.Header.Joined("X-Forwarded-For"); list != "" {
		m.Header.Set("X-Forwarded-For", list+","+c.IP)
	} else {
		m.Header.Set("X-Forwarded-For", c.IP)
	}
	if !m.Header.Has("X-Forwarded-Proto") {
		m.Header.Set("X-Forwarded-Proto", c.Scheme)
	}
}

// hopByHop are the fields that concern one connection only (RFC 9110 section
// 7.6.1); the host sets its own.
func hopByHop(name string) bool {
	switch len(name) {
	case 2:
		return strings.EqualFold(name, "TE")
	case 7:
		return strings.EqualFold(name, "Upgrade")
	case 10:
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case 14:
		return strings.EqualFold(name, "Content-Length")
	case 16:
		return strings.EqualFold(name, "Proxy-Connection")
	case 17:
		return strings.EqualFold(name, "Transfer-Encoding")
	case 18:
		return strings.EqualFold(name, "Proxy-Authenticate")
	}
	return false
}

// cutError says that a response ended after its head was sent and before its
// body was: the client must not take it for whole.
type cutError struct{ err error }

func (e *cutError) Error() string { return e.err.Error() }
func (e *cutError) Unwrap() error { return e.err }

func isCut(err error) bool {
	var cut *cutError
	return errors.As(err, &cut)
}

// writeResponse sends m. A *cutError says that only part of it was sent.
func writeResponse(w http.ResponseWriter, r *http.Request, m *message.Message) (int64, error) {
	if m.Status == http.StatusSwitchingProtocols {
		return 0, switchProtocols(w, r, m)
	}
	data, stream, length, err := m.Body()
	if err != nil {
		writeFault(w, r, fault.New("messaging.runtime.InternalError", http.StatusInternalServerError, "Internal server error"))
		return 0, err
	}
	if stream != nil {
		defer stream.Close()
	}
	writeHeader(w, r, m, length)
	if r.Method == http.MethodHead || bodyless(m.Status) {
		return 0, nil
	}
	var n int64
	if stream == nil {
		var k int
		k, err = w.Write(data)
		n = int64(k)
	} else {
		n, err = copyStream(w, stream, length < 0)
		for _, f := range m.Trailer() {
			w.Header().Add(http.TrailerPrefix+f.Name, f.Value)
		}
	}
	if err != nil {
		err = &cutError{err}
	}
	return n, err
}

func bodyless(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified || status < 200
}

func writeHeader(w http.ResponseWriter, r *http.Request, m *message.Message, length int64) {
	h := w.Header()
	for i := range m.Header.Len() {
		f := m.Header.At(i)
		if hopByHop(f.Name) {
			continue
		}
		key := textproto.CanonicalMIMEHeaderKey(f.Name)
		h[key] = append(h[key], f.Value)
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // no sniffing: what the target left out stays out
	}
	switch {
	case r.Method == http.MethodHead:
		if v := m.Header.Get("Content-Length"); v != "" {
			h["Content-Length"] = []string{v}
		}
	case length >= 0 && !bodyless(m.Status):
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	w.WriteHeader(m.Status)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// copyStream copies a body with a pooled buffer. Bodies of unknown length are
// flushed as they come: they may be events. A panic of a policy in the EventFlow
// is an error: a fault cannot be sent any more.
func copyStream(w http.ResponseWriter, stream io.Reader, flush bool) (n int64, err error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	flusher, _ := w.(http.Flusher)
	for {
		k, rerr := stream.Read(*buf)
		if k > 0 {
			k, err = w.Write((*buf)[:k])
			n += int64(k)
			if err != nil {
				return n, err
			}
			if flush && flusher != nil {
				flusher.Flush()
			}
		}
		if rerr == io.EOF {
			return n, nil
		}
		if rerr != nil {
			return n, rerr
		}
	}
}

// switchProtocols joins the client's connection with the target's after a 101.
// It returns when either side closes. A host that has no connection to give away
// (Lambda) answers 501.
func switchProtocols(w http.ResponseWriter, r *http.Request, m *message.Message) error {
	_, stream, _, err := m.Body()
	if err != nil {
		return err
	}
	target, ok := stream.(io.ReadWriteCloser)
	if !ok {
		writeFault(w, r, fault.New("messaging.adaptors.http.flow.UpgradeNotSupported", http.StatusNotImplemented, "The connection cannot be upgraded"))
		return errNotUpgradable
	}
	defer target.Close()
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		writeFault(w, r, fault.New("messaging.adaptors.http.flow.UpgradeNotSupported", http.StatusNotImplemented, "The connection cannot be upgraded"))
		return err
	}
	defer conn.Close()
	rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	for name, value := range m.Header.All() {
		if httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value) {
			rw.WriteString(name + ": " + value + "\r\n")
		}
	}
	rw.WriteString("\r\n")
	if err := rw.Flush(); err != nil {
		return err
	}
	done := make(chan error, 2)
	go func() { _, err := io.Copy(target, rw); done <- err }()
	go func() { _, err := io.Copy(conn, target); done <- err }()
	err = <-done
	conn.Close()
	target.Close()
	<-done
	return err
}
