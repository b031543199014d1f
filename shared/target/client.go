package target

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perigee-gateway/perigee/shared/message"
)

// roundTripper sends one request over HTTP. It is the seam for another client:
// nothing above it knows net/http.
type roundTripper interface {
	// roundTrip sends out and fills in with the head of the response; its body
	// is a stream that the caller closes.
	roundTrip(ctx context.Context, out *outgoing, in *incoming) error
	// closeIdle closes connections that no call uses.
	closeIdle()
}

// outgoing is a request as it is to be sent.
type outgoing struct {
	verb      string
	addr      address // path and query complete
	host      string  // Host header
	header    []message.Field
	body      *payload
	ioTimeout time.Duration
}

// incoming is the head of a response, and how the exchange went.
type incoming struct {
	status  int
	reason  string // "" is the standard one
	proto   string // "1.1"
	header  []message.Field
	double  string // a field that may stand once and stood twice
	body    io.ReadCloser
	length  int64 // of body; -1 when not known
	trailer func() []message.Field
	tls     *tls.ConnectionState
	ip      string
	sentEnd time.Time
	stage   stage
}

// stage is how far an exchange got.
type stage int32

const (
	connecting stage = iota
	writing
	uploading // as writing, and it is the caller who is slow
	reading
)

// httpClient is the roundTripper on net/http.
type httpClient struct {
	transport *http.Transport
	forwarded bool // through a proxy that wants the whole URL
}

func (h *httpClient) closeIdle() { h.transport.CloseIdleConnections() }

// attempt is one request on net/http's way. Its hooks run on the transport's
// goroutines.
type attempt struct {
	watch
	hooks  httptrace.ClientTrace
	stage  atomic.Int32
	upload atomic.Bool  // a read of the caller's stream is in progress
	sent   atomic.Int64 // when the request was written, in ns since 1970
	conn   atomic.Pointer[conn]
	tls    atomic.Pointer[tls.ConnectionState]
}

func (a *attempt) reached() stage {
	s := stage(a.stage.Load())
	if s == writing && a.upload.Load() {
		return uploading
	}
	return s
}

func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	a.stage.Store(int32(writing))
	c, state := connOf(info.Conn)
	a.conn.Store(c)
	a.tls.Store(state)
	a.progress()
}

func (a *attempt) wroteRequest(info httptrace.WroteRequestInfo) {
	if info.Err != nil {
		return
	}
	a.sent.Store(time.Now().UnixNano())
	a.stage.Store(int32(reading))
	a.progress()
}

func (h *httpClient) roundTrip(ctx context.Context, out *outgoing, in *incoming) error {
	a := new(attempt)
	a.hooks.GotConn, a.hooks.WroteRequest = a.gotConn, a.wroteRequest
	inner, cancel := context.WithCancelCause(ctx)
	a.start(out.ioTimeout, cancel)
	req := h.request(httptrace.WithClientTrace(inner, &a.hooks), a, out)
	resp, err := h.do(inner, req, out.body.stream != nil)
	in.stage = a.reached()
	if c := a.conn.Load(); c != nil {
		in.ip = c.ip
	}
	if err != nil {
		a.stop()
		if cause := context.Cause(inner); cause != nil {
			err = cause
		}
		cancel(nil)
		return err
	}
	a.pause()
	in.fill(resp, a)
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return in.switchProtocols(ctx, resp, a)
	}
	in.body = &responseBody{rc: resp.Body, attempt: a, ctx: inner}
	if resp.Body == http.NoBody {
		in.body.Close()
		in.body = nil
	}
	return nil
}

// do sends req. net/http does not return before it is done with the body, and
// a caller that stalls cannot be interrupted: a request with a stream is left
// behind when its time is over. It ends when the caller's connection does.
func (h *httpClient) do(ctx context.Context, req *http.Request, stream bool) (*http.Response, error) {
	if !stream {
		return h.transport.RoundTrip(req)
	}
	type result struct {
		resp *http.Response
		err  error
	}
	results, abandoned := make(chan result), make(chan struct{})
	go func() {
		resp, err := h.transport.RoundTrip(req)
		select {
		case results <- result{resp, err}:
		case <-abandoned:
			if resp != nil {
				resp.Body.Close()
			}
		}
	}()
	select {
	case r := <-results:
		return r.resp, r.err
	case <-ctx.Done():
		close(abandoned)
		return nil, context.Cause(ctx)
	}
}

// request builds the request without parsing the URL again. Opaque makes the
// path go out byte for byte.
func (h *httpClient) request(ctx context.Context, a *attempt, out *outgoing) *http.Request {
	req := new(http.Request).WithContext(ctx)
	req.Method = out.verb
	req.URL = &url.URL{Scheme: out.addr.scheme, Host: out.addr.host, RawQuery: out.addr.query}
	if path := out.addr.path; h.forwarded {
		req.URL.Opaque = out.addr.scheme + "://" + out.addr.host + path
	} else if len(path) > 1 && path[1] == '/' {
		setPath(req.URL, path) // an Opaque of "//x" would be taken for an authority
	} else {
		req.URL.Opaque = path
	}
	req.Host = out.host
	req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/1.1", 1, 1
	req.Header = httpHeader(out.header)
	if body := out.body.open(a); body != nil {
		req.Body, req.ContentLength = body, out.body.length
		if out.body.stream == nil {
			req.GetBody = func() (io.ReadCloser, error) { return out.body.open(a), nil }
		}
	}
	return req
}

func setPath(u *url.URL, path string) {
	if plain, err := url.PathUnescape(path); err == nil {
		u.Path, u.RawPath = plain, path
		return
	}
	u.Path = path
}

// httpHeader converts fields to net/http's map. User-Agent is named so that
// net/http does not add its own.
func httpHeader(fields []message.Field) http.Header {
	h := make(http.Header, len(fields)+1)
	values := make([]string, len(fields))
	for i, f := range fields {
		key := http.CanonicalHeaderKey(f.Name)
		if have, ok := h[key]; ok {
			h[key] = append(have, f.Value)
			continue
		}
		values[i] = f.Value
		h[key] = values[i : i+1 : i+1]
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil
	}
	return h
}

func (in *incoming) fill(resp *http.Response, a *attempt) {
	in.status, in.proto, in.length = resp.StatusCode, resp.Proto[len("HTTP/"):], resp.ContentLength
	if _, reason, ok := strings.Cut(resp.Status, " "); ok && reason != http.StatusText(resp.StatusCode) {
		in.reason = reason
	}
	if in.tls = resp.TLS; in.tls == nil {
		in.tls = a.tls.Load()
	}
	if ns := a.sent.Load(); ns != 0 {
		in.sentEnd = time.Unix(0, ns)
	}
	if in.header = in.header[:0]; cap(in.header) < len(resp.Header) {
		in.header = make([]message.Field, 0, len(resp.Header)+4)
	}
	in.double = ""
	for name, values := range resp.Header {
		if len(values) > 1 && in.double == "" && isSingle(name) {
			in.double = name
		}
		for _, v := range values {
			in.header = append(in.header, message.Field{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(in.header, func(a, b message.Field) int { return strings.Compare(a.Name, b.Name) })
	in.trailer = nil
	if resp.ContentLength < 0 || resp.ProtoMajor > 1 {
		in.trailer = func() []message.Field { return trailerFields(resp) }
	}
}

func trailerFields(resp *http.Response) []message.Field {
	var out []message.Field
	for name, values := range resp.Trailer {
		for _, v := range values {
			out = append(out, message.Field{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(out, func(a, b message.Field) int { return strings.Compare(a.Name, b.Name) })
	return out
}
