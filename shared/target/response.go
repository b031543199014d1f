package target

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// received fills in the variables of a response whose head is there.
func (x *exchange) received(ctx context.Context) {
	t := x.target
	t.ReceivedStart = x.c.pool.opts.Now()
	t.SentEnd = t.SentStart
	if e := x.in.sentEnd; !e.IsZero() && e.After(t.SentStart) && e.Before(t.ReceivedStart) {
		t.SentEnd = e
	}
	t.ReceivedEnd = t.ReceivedStart
	t.IP, t.TLS, t.Status = x.in.ip, x.in.tls, x.in.status
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
