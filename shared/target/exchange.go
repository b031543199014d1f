package target

import (
	"context"
	"time"

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

// sending fills in the variables of a request that is about to go out.
func (x *exchange) sending(addr *address) {
	t := x.target
	t.URL, t.Scheme, t.Host, t.Port = addr.url(), addr.scheme, addr.name, addr.port
	t.Path, t.Query, t.Called = addr.path, addr.query, true
	t.SentStart, t.SentEnd = x.c.pool.opts.Now(), time.Time{}
	t.ReceivedStart, t.ReceivedEnd, t.IP, t.TLS = time.Time{}, time.Time{}, "", nil
	t.Status = 0
}
