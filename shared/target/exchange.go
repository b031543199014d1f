package target

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// exchange is one request on its way to a target, whatever the number of
// attempts.
type exchange struct {
	c      *Connector
	fc     *flow.Context // nil for calls that scripts make
	target *flow.Target  // what to fill in
	req    *message.Message
	suffix string // of the path; "" for callouts
	url    string // instead of the connection's, for Do and servicecallout.P.target.url
	// callout: the request is not the call's own. What target.* variables say
	// does not concern it.
	callout bool
	// expectedCN is the variable with the name to find in the certificate.
	expectedCN string

	body   payload
	fields []message.Field // end-to-end fields
	coding string          // Content-Encoding to send, when the body was coded anew
	in     incoming
	chosen *server
}

// send takes the request to the target. On success x.in is the response.
func (x *exchange) send(ctx context.Context) error {
	if ctx.Err() != nil {
		return expired(ctx)
	}
	if err := x.readBody(); err != nil {
		return err
	}
	x.fields = appendOutgoing(make([]message.Field, 0, x.req.Header.Len()+3), &x.req.Header, x.c.set.requestHeaders)
	var err error
	if x.c.lb != nil {
		err = x.balanced(ctx)
	} else {
		err = x.direct(ctx)
	}
	if err != nil {
		x.body.close()
	}
	return err
}

// needsLength refuses a POST or PUT that has neither a body nor a length.
func (x *exchange) needsLength() error {
	allowed := x.c.set.emptyPost
	switch x.req.Verb {
	case "POST":
	case "PUT":
		allowed = x.c.set.emptyPut
	default:
		return nil
	}
	if allowed || x.req.Length() != 0 || x.req.Changed() || strings.HasPrefix(x.req.Proto, "2") || x.req.Header.Has("Content-Length") {
		return nil
	}
	return lengthRequired()
}

// readBody takes the body out of the message, coded as compression.algorithm
// says, and in memory where HTTP/1.0 needs its length.
func (x *exchange) readBody() error {
	set := x.c.set
	if set.compression != "" {
		return x.compress(set.compression)
	}
	if x.c.base.http10 && x.req.Length() < 0 {
		if _, err := x.req.Content(); err != nil {
			return uploadFault(err)
		}
	}
	data, stream, length, err := x.req.Body()
	if err != nil {
		return uploadFault(err)
	}
	if stream != nil && length == 0 {
		stream.Close()
		stream = nil
	}
	x.body = payload{data: data, stream: stream, length: length}
	return nil
}

// compress codes the body with algorithm unless it is so already.
func (x *exchange) compress(algorithm string) error {
	now := strings.ToLower(strings.TrimSpace(x.req.Header.Get("Content-Encoding")))
	if now == algorithm || x.req.Length() == 0 {
		data, stream, length, err := x.req.Body()
		x.body = payload{data: data, stream: stream, length: length}
		return err
	}
	plain, err := x.req.Content()
	if err != nil {
		return uploadFault(err)
	}
	switch {
	case algorithm == "none":
		x.coding = "none"
	case now != "" && now != "gzip" && now != "x-gzip" && now != "deflate":
		return x.asIs() // a coding that cannot be undone, such as br
	default:
		x.coding = algorithm
		plain = encode(algorithm, plain)
	}
	x.body = payload{data: plain, length: int64(len(plain))}
	return nil
}

func (x *exchange) asIs() error {
	data, stream, length, err := x.req.Body()
	x.body = payload{data: data, stream: stream, length: length}
	return err
}

func encode(algorithm string, plain []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser = zlib.NewWriter(&b)
	if algorithm == "gzip" {
		w = gzip.NewWriter(&b)
	}
	w.Write(plain) // a bytes.Buffer takes everything
	w.Close()
	return b.Bytes()
}

// direct sends to the URL of the connection, or the one assigned to it.
func (x *exchange) direct(ctx context.Context) error {
	addr, err := x.address()
	if err != nil {
		return err
	}
	ssl, err := x.ssl(addr.scheme)
	if err != nil {
		return err
	}
	if err := x.attempt(ctx, &addr, ssl, false); err != nil {
		return err
	}
	return nil
}

// ssl is the TLS configuration for a URL: its scheme alone decides whether TLS
// is used, and <SSLInfo> counts only where it is enabled.
func (x *exchange) ssl(scheme string) (*sslInfo, error) {
	if scheme == "http" || x.c.ssl == x.c.pool.plain {
		return x.c.pool.plain, nil
	}
	on, err := x.c.ssl.on(x.fc)
	if err != nil {
		return nil, unresolved(err)
	}
	if !on {
		return x.c.pool.plain, nil
	}
	return x.c.ssl, nil
}

// address evaluates where the request goes: what a policy assigned to
// target.url, verbatim; else the connection's URL and the path suffix.
func (x *exchange) address() (address, error) {
	a, verbatim, err := x.configured()
	if err != nil {
		return address{}, err
	}
	if !verbatim && x.suffix != "" && x.copies("target.copy.pathsuffix") {
		a.path = joinPath(a.path, x.suffix)
	}
	return a, x.complete(&a)
}

func (x *exchange) configured() (a address, verbatim bool, err error) {
	if assigned := x.assigned(); assigned != "" {
		a, err := parseAddress(assigned)
		if err != nil {
			return address{}, false, badPath(err)
		}
		return a, true, nil
	}
	if x.c.fixed != nil {
		return *x.c.fixed, false, nil
	}
	s, err := x.c.url.value(x.fc)
	if err != nil {
		return address{}, false, unresolved(err)
	}
	if a, err = parseAddress(s); err != nil {
		return address{}, false, badPath(err)
	}
	x.target.BasePath = a.path
	return a, false, nil
}

// assigned is the URL that a policy chose, "" for none.
func (x *exchange) assigned() string {
	if x.url != "" || x.callout || x.fc == nil {
		return x.url
	}
	for _, name := range [...]string{"target.url", "target.evaluated.url"} {
		if v := x.fc.Override(name); !v.IsNull() {
			if s := strings.TrimSpace(v.String()); s != "" {
				return s
			}
		}
	}
	return ""
}

// copies reads target.copy.pathsuffix and target.copy.queryparams: booleans,
// or the text "false".
func (x *exchange) copies(variable string) bool {
	if x.callout || x.fc == nil {
		return true
	}
	v := x.fc.Override(variable)
	return v.IsNull() || v.Truth() || !isFalse(v)
}

func isFalse(v flow.Value) bool {
	b, ok := bundle.ParseBool(v.String())
	return ok && !b
}

// complete adds the call's query to the address and makes it fit to send.
func (x *exchange) complete(a *address) error {
	if err := checkPath(a.path); err != nil {
		return badPath(err)
	}
	if a.path == "" {
		a.path = "/"
	} else if a.path[0] != '/' {
		a.path = "/" + a.path
	}
	a.path = encodeUnsafe(a.path)
	if x.copies("target.copy.queryparams") {
		a.query = joinQuery(a.query, x.query())
	}
	a.query = encodeUnsafe(a.query)
	return nil
}

// query returns the parameters of the request that are passed on.
func (x *exchange) query() string {
	keep := x.c.set.query
	if keep == nil {
		return x.req.Query.Encode()
	}
	q := x.req.Query.Clone()
	for _, name := range q.Names() {
		if !keep.keeps(name) {
			q.Del(name)
		}
	}
	return q.Encode()
}

// attempt sends the request once. own says that ssl is a TargetServer's.
func (x *exchange) attempt(ctx context.Context, addr *address, ssl *sslInfo, http2 bool) error {
	fields := x.fields
	var err error
	if x.c.auth != nil {
		// a copy: another attempt may be for another audience
		fields = append([]message.Field(nil), fields...)
		if fields, err = x.c.auth.apply(ctx, x.c.pool, x.fc, addr, fields); err != nil {
			return err
		}
	}
	if http2 && acceptsTrailers(&x.req.Header) {
		fields = append(fields[:len(fields):len(fields)], message.Field{Name: "TE", Value: "trailers"})
	}
	rt, err := ssl.client(ctx, x.fc, x.c.pool, x.identity(addr, http2), x.c.set.resumeTLS, x.expectedName())
	if err != nil {
		return err
	}
	out := outgoing{verb: x.req.Verb, addr: *addr, host: x.host(addr), header: x.recoded(fields), body: &x.body, ioTimeout: x.c.set.ioTimeout}
	x.sending(addr)
	if err := rt.roundTrip(ctx, &out, &x.in); err != nil {
		return asFault(ctx, err, x.in.stage, &x.body)
	}
	x.received(ctx)
	return nil
}

func (x *exchange) expectedName() string {
	if x.fc == nil || x.expectedCN == "" {
		return ""
	}
	return x.fc.Override(x.expectedCN).String()
}

// recoded names the coding of a body that was coded anew.
func (x *exchange) recoded(fields []message.Field) []message.Field {
	switch x.coding {
	case "":
		return fields
	case "none":
		return delField(append([]message.Field(nil), fields...), "Content-Encoding")
	}
	return setField(append([]message.Field(nil), fields...), "Content-Encoding", x.coding)
}

// identity says which connections serve the request.
func (x *exchange) identity(addr *address, http2 bool) identity {
	id := x.c.base
	id.http2 = http2
	if x.c.pool.proxy != nil && x.c.set.useProxy {
		id.proxy = tunnelled
		if addr.scheme == "http" && !x.c.set.tunnel {
			id.proxy = forwarded
		}
	}
	return id
}

// host is the Host header: the target's, unless target.header.host or a
// forward proxy says otherwise.
func (x *exchange) host(addr *address) string {
	if x.fc != nil && !x.callout {
		if v := x.fc.Override("target.header.host"); !v.IsNull() {
			if s := strings.TrimSpace(v.String()); s != "" {
				return s
			}
		}
	}
	if x.c.pool.proxy != nil && x.c.set.useProxy && !x.c.set.targetHost && !x.c.set.tunnel && addr.scheme == "http" {
		return x.c.pool.proxy.addr
	}
	return addr.host
}

// sending fills in the variables of a request that is about to go out.
func (x *exchange) sending(addr *address) {
	t := x.target
	t.URL, t.Scheme, t.Host, t.Port = addr.url(), addr.scheme, addr.name, addr.port
	t.Path, t.Query, t.Called = addr.path, addr.query, true
	t.SentStart, t.SentEnd = x.c.pool.opts.Now(), time.Time{}
	t.ReceivedStart, t.ReceivedEnd, t.IP, t.TLS = time.Time{}, time.Time{}, "", nil
}

// received fills in the variables of a response whose head is there.
func (x *exchange) received(ctx context.Context) {
	t := x.target
	t.ReceivedStart = x.c.pool.opts.Now()
	t.SentEnd = t.SentStart
	if e := x.in.sentEnd; !e.IsZero() && e.After(t.SentStart) && e.Before(t.ReceivedStart) {
		t.SentEnd = e
	}
	t.ReceivedEnd = t.ReceivedStart
	t.IP, t.TLS = x.in.ip, x.in.tls
	if x.in.body == nil {
		x.body.close()
		x.release()
		return
	}
	if x.in.status == 101 {
		x.in.body = &heldConnection{ReadWriteCloser: x.in.body.(io.ReadWriteCloser), release: x.releaser()}
		return
	}
	b := &installedBody{rc: x.in.body, ctx: ctx, payload: &x.body, server: x.chosen, now: x.c.pool.opts.Now}
	if !x.callout {
		b.target = t
	}
	x.in.body, x.chosen = b, nil
}

func (x *exchange) release() {
	if x.chosen != nil {
		x.chosen.active.Add(-1)
		x.chosen = nil
	}
}

func (x *exchange) releaser() func() {
	s := x.chosen
	x.chosen = nil
	return func() {
		if s != nil {
			s.active.Add(-1)
		}
	}
}

// heldConnection counts a WebSocket among its server's connections until it is
// closed.
type heldConnection struct {
	io.ReadWriteCloser
	release func()
	once    sync.Once
}

func (h *heldConnection) Close() error {
	h.once.Do(h.release)
	return h.ReadWriteCloser.Close()
}

// installedBody is the body of the response in the flow. Its errors are
// faults, and its end is target.received.end.
type installedBody struct {
	rc      io.ReadCloser
	ctx     context.Context
	payload *payload
	server  *server
	target  *flow.Target
	now     func() time.Time
	done    bool
}

func (b *installedBody) Read(p []byte) (int, error) {
	n, err := b.rc.Read(p)
	if err == nil {
		return n, nil
	}
	b.end()
	if err != io.EOF {
		err = bodyFault(b.ctx, err)
	}
	return n, err
}

func (b *installedBody) Close() error {
	err := b.rc.Close()
	b.end()
	return err
}

func (b *installedBody) end() {
	if b.done {
		return
	}
	b.done = true
	b.payload.close()
	if b.server != nil {
		b.server.active.Add(-1)
	}
	if b.target != nil {
		b.target.ReceivedEnd = b.now()
	}
}

// install makes the response of the exchange a message.
func (x *exchange) install(m *message.Message) {
	in, keep := &x.in, x.c.set.responseHeaders
	m.Status, m.Reason, m.Proto, m.Limit = in.status, in.reason, in.proto, x.c.set.limit
	head := message.NewHeader(in.header...)
	connection := named(&head)
	for _, f := range in.header {
		if hopByHop(f.Name) || contains(connection, f.Name) || !keep.keeps(f.Name) && !describesBody(f.Name) {
			continue
		}
		m.Header.Add(f.Name, f.Value)
	}
	if in.status == 101 {
		m.Header.Set("Connection", "Upgrade")
		m.Header.Set("Upgrade", head.Get("Upgrade"))
	}
	if in.body != nil {
		m.SetStream(in.body, in.length)
		m.SetTrailer(in.trailer)
	}
}

// judge refuses responses that Apigee refuses. Those whose status is the
// reason stay open: they go to the client.
func (x *exchange) judge(m *message.Message) error {
	f := x.verdict(m)
	if f == nil {
		return nil
	}
	if f.Message == nil {
		m.Release()
	}
	return f
}

func (x *exchange) verdict(m *message.Message) *fault.Fault {
	set := x.c.set
	if d := x.in.double; d != "" && !set.duplicates[strings.ToLower(d)] {
		return targetFault("protocol.http.DuplicateHeader", 502, `Duplicate Header "`+d+`"`)
	}
	if m.Status == 405 && !set.bare405 && !m.Header.Has("Allow") {
		return targetFault("protocol.http.Response405WithoutAllowHeader", 502, "Received 405 Response without Allow Header")
	}
	if !set.success.has(m.Status) {
		return responseCode(m)
	}
	return nil
}
