package target

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/perigee-gateway/perigee/shared/message"
)

// leanClient is the roundTripper for the ordinary exchange: HTTP/1.1, the whole
// request in hand, no proxy, no upgrade. It writes the request from our own
// header and reads the response into it, on the goroutine of the call, which
// costs about half of what net/http does. Everything else it leaves to net/http.
//
// Message framing is RFC 9112's, strictly: whatever is ambiguous is an error,
// and the connection is not used again.
type leanClient struct {
	rest      *httpClient
	dial      *dialer
	keepAlive time.Duration

	mu   sync.Mutex
	idle map[string][]*leanConn // by scheme and authority, oldest first
}

// leanConn is one connection. It belongs to one exchange at a time.
type leanConn struct {
	net.Conn
	key   string
	ip    string
	tls   *tls.ConnectionState
	r     *bufio.Reader
	out   []byte // request head, reused
	block []byte // response head, reused
	since time.Time
	used  bool // carried an exchange before

	// Of the exchange in progress.
	ctx     context.Context
	timeout time.Duration
}

// Read reads for bufio: each wait for the target has the whole io timeout, however
// long the caller was busy elsewhere.
func (c *leanConn) Read(p []byte) (int, error) {
	c.extend()
	return c.Conn.Read(p)
}

// extend gives the connection the io timeout from now. A context that ends
// meanwhile has the last word.
func (c *leanConn) extend() {
	c.SetDeadline(time.Now().Add(c.timeout))
	if c.ctx.Err() != nil {
		c.SetDeadline(past)
	}
}

func (l *leanClient) closeIdle() {
	l.mu.Lock()
	idle := l.idle
	l.idle = nil
	l.mu.Unlock()
	for _, list := range idle {
		for _, c := range list {
			c.Close()
		}
	}
	l.rest.closeIdle()
}

func (l *leanClient) roundTrip(ctx context.Context, out *outgoing, in *incoming) error {
	if !lean(out) {
		return l.rest.roundTrip(ctx, out, in)
	}
	for fresh := false; ; fresh = true {
		in.stage = connecting
		c, err := l.get(ctx, out, fresh)
		if err != nil {
			return cause(ctx, err)
		}
		c.ctx, c.timeout = ctx, out.ioTimeout
		x := leanExchange{l: l, c: c, ctx: ctx}
		err = x.run(out, in)
		if err == nil {
			return nil
		}
		x.abandon()
		// The server closed a kept connection as the request went out: it has
		// seen nothing of it, or nothing that may not be repeated.
		if c.used && !x.answered && ctx.Err() == nil && !errors.Is(err, errSilent) && repeatable(out.verb) {
			continue
		}
		return cause(ctx, err)
	}
}

// lean reports whether the request is one that leanClient sends.
func lean(out *outgoing) bool {
	if out.body.stream != nil || !httpguts.ValidHeaderFieldName(out.verb) || out.verb == http.MethodConnect {
		return false
	}
	if !visible(out.addr.path) || !visible(out.addr.query) || !visible(out.host) || out.addr.path == "" {
		return false
	}
	for _, f := range out.header {
		if !httpguts.ValidHeaderFieldName(f.Name) || !httpguts.ValidHeaderFieldValue(f.Value) {
			return false
		}
		switch len(f.Name) {
		case 2, 6, 7:
			if strings.EqualFold(f.Name, "TE") || strings.EqualFold(f.Name, "Expect") || strings.EqualFold(f.Name, "Upgrade") {
				return false
			}
		}
	}
	return true
}

// visible reports whether s has only bytes that may stand in a request line.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// repeatable are the idempotent methods (RFC 9110 section 9.2.2).
func repeatable(verb string) bool {
	switch verb {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// cause is why the context ended, if it did, and else err.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, errSilent) {
		return context.Cause(ctx)
	}
	return err
}

// checkAfter is how long a kept connection is taken to be alive unseen. Requests
// that may not be repeated look first, always.
const checkAfter = time.Second

// get returns a kept connection, or a new one.
func (l *leanClient) get(ctx context.Context, out *outgoing, fresh bool) (*leanConn, error) {
	key := out.addr.scheme + "://" + out.addr.host
	if !fresh {
		if c := l.kept(key, repeatable(out.verb)); c != nil {
			return c, nil
		}
	}
	c := &leanConn{key: key}
	authority := net.JoinHostPort(out.addr.name, strconv.Itoa(out.addr.port))
	if out.addr.scheme == "https" {
		t, err := l.dial.handshake(ctx, "tcp", authority)
		if err != nil {
			return nil, err
		}
		state := t.ConnectionState()
		c.Conn, c.tls = t, &state
		if k, ok := t.NetConn().(*conn); ok {
			c.ip = k.ip
		}
	} else {
		k, err := l.dial.open(ctx, "tcp", authority)
		if err != nil {
			return nil, err
		}
		c.Conn, c.ip = k, k.ip
	}
	c.r = bufio.NewReader(c)
	return c, nil
}

func (l *leanClient) kept(key string, repeatable bool) *leanConn {
	for {
		l.mu.Lock()
		list := l.idle[key]
		if len(list) == 0 {
			l.mu.Unlock()
			return nil
		}
		c := list[len(list)-1]
		list[len(list)-1] = nil
		l.idle[key] = list[:len(list)-1]
		l.mu.Unlock()
		age := time.Since(c.since)
		if age < l.keepAlive && (repeatable && age < checkAfter || alive(c.Conn)) {
			return c
		}
		c.Close()
	}
}

// put keeps a connection whose exchange is over.
func (l *leanClient) put(c *leanConn) {
	c.used, c.since, c.ctx = true, time.Now(), nil
	c.SetDeadline(time.Time{})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle == nil {
		l.idle = map[string][]*leanConn{}
	}
	list := l.idle[c.key]
	if len(list) >= maxIdlePerHost {
		list[0].Close()
		list = append(list[:0], list[1:]...)
	}
	// Those at the bottom of the stack grow old unused.
	for len(list) > 0 && time.Since(list[0].since) > l.keepAlive {
		list[0].Close()
		list = append(list[:0], list[1:]...)
	}
	l.idle[c.key] = append(list, c)
}

// leanExchange is one request and its response on a connection.
type leanExchange struct {
	l        *leanClient
	c        *leanConn
	ctx      context.Context
	stop     func() bool // ends the watch on ctx
	answered bool        // some byte of a response arrived
	close    bool        // the connection is not used again
}

// past is a deadline that makes reads and writes return at once.
var past = time.Unix(1, 0)

func (x *leanExchange) run(out *outgoing, in *incoming) error {
	if x.ctx.Done() != nil {
		c := x.c
		x.stop = context.AfterFunc(x.ctx, func() { c.SetDeadline(past) })
	}
	in.ip, in.tls, in.stage = x.c.ip, x.c.tls, writing
	x.c.extend()
	if err := x.write(out); err != nil {
		return x.late(err)
	}
	in.sentEnd, in.stage = time.Now(), reading
	return x.late(x.read(out, in))
}

// late makes the error of a passed deadline errSilent.
func (x *leanExchange) late(err error) error {
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && x.ctx.Err() == nil {
		return errSilent
	}
	return err
}

// abandon closes the connection.
func (x *leanExchange) abandon() {
	if x.stop != nil {
		x.stop()
	}
	x.c.Close()
}

// finish keeps the connection if it can carry another exchange.
func (x *leanExchange) finish() {
	if x.stop != nil && !x.stop() || x.close || x.c.r.Buffered() > 0 {
		x.c.Close()
		return
	}
	x.l.put(x.c)
}

func (x *leanExchange) write(out *outgoing) error {
	b := append(x.c.out[:0], out.verb...)
	b = append(b, ' ')
	b = append(b, out.addr.path...)
	if out.addr.query != "" {
		b = append(append(b, '?'), out.addr.query...)
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, out.host...)
	b = append(b, "\r\n"...)
	for i := range out.header {
		f := &out.header[i]
		if framing(f.Name) {
			continue
		}
		b = append(append(append(append(b, f.Name...), ": "...), f.Value...), "\r\n"...)
	}
	data := out.body.data
	if len(data) > 0 || out.verb == "POST" || out.verb == "PUT" || out.verb == "PATCH" {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), int64(len(data)), 10), "\r\n"...)
	}
	b = append(b, "\r\n"...)
	x.c.out = b
	if len(data) == 0 {
		_, err := x.c.Write(b)
		return err
	}
	if len(data) <= 16<<10 {
		x.c.out = append(b, data...)
		_, err := x.c.Write(x.c.out)
		return err
	}
	if _, err := x.c.Write(b); err != nil {
		return err
	}
	return x.writeBody(data)
}

// writeBody sends in pieces, each within the io timeout.
func (x *leanExchange) writeBody(data []byte) error {
	for len(data) > 0 {
		n, err := x.c.Write(data[:min(len(data), 64<<10)])
		if err != nil {
			return err
		}
		data = data[n:]
		x.c.extend()
	}
	return nil
}

// framing are the fields that leanClient writes itself.
func framing(name string) bool {
	switch len(name) {
	case 4:
		return strings.EqualFold(name, "Host")
	case 7:
		return strings.EqualFold(name, "Trailer")
	case 10:
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case 14:
		return strings.EqualFold(name, "Content-Length")
	case 17:
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

var errHead = errors.New("response headers exceeded the limit")

func malformed(what string) error { return fmt.Errorf("malformed HTTP response: %s", what) }

// read reads the head of the response and prepares its body.
func (x *leanExchange) read(out *outgoing, in *incoming) error {
	for {
		head, err := x.head()
		if err != nil {
			return err
		}
		if err := x.parse(head, in); err != nil {
			return err
		}
		if in.status >= 200 {
			return x.body(out, in)
		}
		if in.status == http.StatusSwitchingProtocols {
			return malformed("101 without an upgrade")
		}
	}
}

// head returns the lines of a response head up to the blank line, as one string.
func (x *leanExchange) head() (string, error) {
	b := x.c.block[:0]
	for {
		line, err := x.c.r.ReadSlice('\n')
		x.answered = x.answered || len(line) > 0
		b = append(b, line...)
		if len(b) > maxResponseHeader {
			return "", errHead
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			if err == io.EOF && len(b) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		if len(line) <= 2 && (len(line) == 1 || line[0] == '\r') && (len(b) == len(line) || b[len(b)-len(line)-1] == '\n') {
			break
		}
	}
	x.c.block = b
	return string(b), nil
}

// parse reads status line and fields.
func (x *leanExchange) parse(head string, in *incoming) error {
	line, rest, _ := strings.Cut(head, "\n")
	line = strings.TrimSuffix(line, "\r")
	if len(line) < 12 || line[:7] != "HTTP/1." || line[8] != ' ' || line[7] != '0' && line[7] != '1' {
		return malformed("status line")
	}
	status, err := strconv.Atoi(line[9:12])
	if err != nil || status < 100 || len(line) > 12 && line[12] != ' ' {
		return malformed("status code")
	}
	in.status, in.proto, in.reason = status, line[5:8], ""
	if len(line) > 13 && line[13:] != http.StatusText(status) {
		in.reason = line[13:]
	}
	x.close = line[7] == '0'
	if in.header = in.header[:0]; cap(in.header) == 0 {
		in.header = make([]message.Field, 0, 12)
	}
	in.double, in.trailer, in.length = "", nil, -1
	return x.fields(rest, in)
}

func (x *leanExchange) fields(rest string, in *incoming) error {
	chunked, length := false, int64(-1)
	for {
		line, more, ok := strings.Cut(rest, "\n")
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			break
		}
		if !ok {
			return malformed("header")
		}
		rest = more
		name, value, ok := strings.Cut(line, ":")
		if value = strings.Trim(value, " \t"); !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return malformed("header line")
		}
		name = http.CanonicalHeaderKey(name)
		switch name {
		case "Content-Length":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || length >= 0 && length != int64(n) {
				return malformed("Content-Length")
			}
			if length >= 0 {
				continue // the same twice
			}
			length = int64(n)
		case "Transfer-Encoding":
			if chunked || !strings.EqualFold(value, "chunked") {
				return errors.New("unsupported transfer encoding")
			}
			chunked = true
			continue
		case "Connection":
			x.close = x.close && !httpguts.HeaderValuesContainsToken([]string{value}, "keep-alive") ||
				httpguts.HeaderValuesContainsToken([]string{value}, "close")
		case "Trailer":
			continue
		}
		in.add(name, value)
	}
	if chunked {
		if length >= 0 {
			x.close = true // RFC 9112 section 6.3: the length does not count, and the connection ends
			in.remove("Content-Length")
		}
		in.length = -2
		return nil
	}
	in.length = length
	return nil
}

func (in *incoming) add(name, value string) {
	if in.double == "" && isSingle(name) {
		for _, f := range in.header {
			if f.Name == name {
				in.double = name
			}
		}
	}
	in.header = append(in.header, message.Field{Name: name, Value: value})
}

func (in *incoming) remove(name string) {
	kept := in.header[:0]
	for _, f := range in.header {
		if f.Name != name {
			kept = append(kept, f)
		}
	}
	in.header = kept
}

// body prepares the response's body: by RFC 9112 section 6.3.
func (x *leanExchange) body(out *outgoing, in *incoming) error {
	chunked := in.length == -2
	if chunked {
		in.length = -1
	}
	if out.verb == "HEAD" || in.status == http.StatusNoContent || in.status == http.StatusNotModified {
		in.body = nil
		x.finish()
		return nil
	}
	switch {
	case chunked:
		b := &leanBody{x: *x}
		b.r = httputil.NewChunkedReader(b.x.c.r)
		b.chunked = true
		in.body, in.trailer = b, func() []message.Field { return b.trailer }
	case in.length == 0:
		in.body = nil
		x.finish()
	case in.length > 0:
		in.body = &leanBody{x: *x, left: in.length}
	default:
		x.close = true
		in.body = &leanBody{x: *x, left: -1}
	}
	return nil
}

// leanBody reads the body of a response.
type leanBody struct {
	x       leanExchange
	r       io.Reader // of chunks
	chunked bool
	left    int64 // bytes to come; -1 until the end of the connection
	done    bool
	trailer []message.Field
}

func (b *leanBody) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.read(p)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		b.done = true
		b.x.finish()
		return n, io.EOF
	}
	b.done = true
	b.x.abandon()
	return n, cause(b.x.ctx, b.x.late(err))
}

func (b *leanBody) read(p []byte) (int, error) {
	if b.chunked {
		n, err := b.r.Read(p)
		if err == io.EOF {
			err = b.end()
		}
		return n, err
	}
	if b.left >= 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.x.c.r.Read(p)
	if b.left < 0 {
		return n, err
	}
	if b.left -= int64(n); b.left == 0 {
		return n, io.EOF
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// end reads what follows the last chunk: trailers and a blank line. It returns
// io.EOF when all is well.
func (b *leanBody) end() error {
	size := 0
	for {
		line, err := b.x.c.r.ReadSlice('\n')
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			return io.EOF
		}
		if size += len(line); size > maxResponseHeader {
			return errHead
		}
		name, value, ok := strings.Cut(text, ":")
		if value = strings.Trim(value, " \t"); !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return malformed("trailer")
		}
		b.trailer = append(b.trailer, message.Field{Name: http.CanonicalHeaderKey(name), Value: value})
	}
}

// Close ends the exchange; a body that was not read to its end takes the
// connection with it.
func (b *leanBody) Close() error {
	if !b.done {
		b.done = true
		b.x.abandon()
	}
	return nil
}
