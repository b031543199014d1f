package javascript

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/dop251/goja"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// client makes the calls of httpClient. It is shared by all executions.
type client struct {
	callouts policy.Callouts
	secured  policy.Callout // with <SSLInfo>; else nil
	urlVar   flow.Var       // where secured reads the URL
}

func newClient(c *Config, env *policy.Env) *client {
	cl := &client{callouts: env.Callouts}
	if c.SSLInfo != nil && env.Callouts != nil {
		cl.secured = env.Callouts.Compile(&bundle.HTTPTargetConnection{Pos: c.SSLInfo.Pos, SSLInfo: c.SSLInfo}, env)
		cl.urlVar = flow.Compile("servicecallout." + env.Name() + ".target.url")
	}
	return cl
}

// send returns the function that makes a call; the function may run beside the
// flow.
func (cl *client) send(fc *flow.Context, to string, req *message.Message) func(context.Context) (*message.Message, error) {
	if cl.secured == nil {
		return func(ctx context.Context) (*message.Message, error) { return cl.callouts.Do(ctx, to, req) }
	}
	// The connector reads the URL from a flow variable. The call's own context
	// is not for use beside the flow.
	now := fc.Now
	proxy := fc.Proxy
	return func(ctx context.Context) (*message.Message, error) {
		own := flow.New(proxy, now)
		defer own.Release()
		if err := cl.urlVar.Set(own, flow.StringValue(to)); err != nil {
			return nil, err
		}
		return cl.secured.Send(ctx, own, req)
	}
}

// exchange is a request under way or over.
type exchange struct {
	done chan struct{}
	// The rest is written before done is closed.
	response *message.Message
	err      error

	callback goja.Callable // of the script that sent it
}

func (x *exchange) complete() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// completions hands over exchanges with callbacks as they end.
type completions struct {
	pending int // sent and not called back
	mu      sync.Mutex
	list    []*exchange
	signal  chan struct{}
}

func (d *completions) add(x *exchange) {
	d.mu.Lock()
	d.list = append(d.list, x)
	d.mu.Unlock()
	select {
	case d.signal <- struct{}{}:
	default:
	}
}

func (d *completions) take() []*exchange {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.list
	d.list = nil
	return list
}

// callbacks runs the callbacks in the order in which their exchanges end. Each
// has the policy's time limit; the time between them is not counted.
func (c *call) callbacks() error {
	for c.done.pending > 0 {
		c.rt.Pause()
		select {
		case <-c.done.signal:
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
		for _, x := range c.done.take() {
			c.done.pending--
			response, failure := c.outcomeOf(x)
			if err := c.rt.Call(x.callback, c.limit(), response, failure); err != nil {
				return err
			}
		}
	}
	return nil
}

// outcomeOf is what a callback is called with.
func (c *call) outcomeOf(x *exchange) (response, failure goja.Value) {
	if x.err != nil {
		return goja.Undefined(), c.rt.ToValue(errorText(x.err))
	}
	return c.messageValue(x.response), goja.Undefined()
}

func errorText(err error) string {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f.Text
	}
	return err.Error()
}

// clientObject is the object httpClient.
type clientObject struct {
	*call
	readOnly
	get, send goja.Value
}

// Get implements goja.DynamicObject.
func (o *clientObject) Get(name string) goja.Value {
	switch name {
	case "get":
		return o.fn(&o.get, o.start)
	case "send":
		return o.fn(&o.send, o.start)
	}
	return nil
}

// Has implements goja.DynamicObject.
func (o *clientObject) Has(name string) bool { return name == "get" || name == "send" }

// Keys implements goja.DynamicObject.
func (o *clientObject) Keys() []string { return []string{"get", "send"} }

// start sends a request: httpClient.get(url or Request[, callback]).
func (o *clientObject) start(args []goja.Value) goja.Value {
	to, req := o.request(arg(args, 0))
	if u, err := url.Parse(to); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		o.rt.Throw("TypeError", "httpClient: "+to+" is not an absolute http or https URL")
	}
	x := &exchange{done: make(chan struct{})}
	x.callback, _ = goja.AssertFunction(arg(args, 1))
	if x.callback != nil {
		if o.done.signal == nil {
			o.done.signal = make(chan struct{}, 1)
		}
		o.done.pending++
	}
	o.run(x, o.client.send(o.fc, to, req))
	return o.exchangeValue(x)
}

// run makes the call beside the flow. It is over before the call is.
func (o *clientObject) run(x *exchange, send func(context.Context) (*message.Message, error)) {
	ctx, done := o.ctx, &o.done
	o.fc.Go(func() {
		m, err := send(ctx)
		if m != nil {
			_, err = m.Content() // the whole body, before a script may see it
		}
		x.response, x.err = m, err
		close(x.done)
		if x.callback != nil {
			done.add(x)
		}
	})
}

// request is the URL and the message of what httpClient was given. The message
// is a copy: the script may change its own.
func (c *call) request(v goja.Value) (string, *message.Message) {
	if o, ok := v.(*goja.Object); ok {
		if m, ok := o.Export().(*messageObject); ok && m.isRequest() {
			return strings.TrimSpace(m.url()), m.find().Clone()
		}
	}
	return strings.TrimSpace(textOf(v)), message.NewRequest()
}

// newRequest is new Request(url, method, headers, body).
func (c *call) newRequest(in goja.ConstructorCall) *goja.Object {
	to := textOf(in.Argument(0))
	m := message.NewRequest()
	if v := in.Argument(1); !isNothing(v) {
		m.Verb = strings.ToUpper(v.String())
	}
	if headers, ok := in.Argument(2).(*goja.Object); ok {
		for _, name := range headers.Keys() {
			for _, value := range c.texts(headers.Get(name)) {
				m.Header.Add(name, value)
			}
		}
	}
	if v := in.Argument(3); !isNothing(v) {
		m.SetContent([]byte(v.String()))
	}
	return c.object(&messageObject{call: c, find: func() *message.Message { return m }, writable: true, own: &to})
}

// exchangeObject is what httpClient returns.
type exchangeObject struct {
	*call
	readOnly
	exchange *exchange
	response goja.Value
}

func (c *call) exchangeValue(x *exchange) goja.Value {
	return c.object(&exchangeObject{call: c, exchange: x})
}

// Get implements goja.DynamicObject.
func (o *exchangeObject) Get(name string) goja.Value {
	x := o.exchange
	switch name {
	case "isComplete":
		return o.method(func([]goja.Value) goja.Value { return o.rt.ToValue(x.complete()) })
	case "isSuccess":
		return o.method(func([]goja.Value) goja.Value { return o.rt.ToValue(x.complete() && x.err == nil) })
	case "isError":
		return o.method(func([]goja.Value) goja.Value { return o.rt.ToValue(x.complete() && x.err != nil) })
	case "waitForComplete":
		return o.method(o.wait)
	case "getResponse":
		return o.method(func([]goja.Value) goja.Value {
			if !x.complete() || x.err != nil {
				return goja.Undefined()
			}
			return o.once(&o.response, func() goja.Value { return o.messageValue(x.response) })
		})
	case "getError":
		return o.method(func([]goja.Value) goja.Value {
			if !x.complete() || x.err == nil {
				return goja.Undefined()
			}
			return o.rt.ToValue(errorText(x.err))
		})
	}
	return nil
}

// Has implements goja.DynamicObject.
func (o *exchangeObject) Has(name string) bool { return o.Get(name) != nil }

// Keys implements goja.DynamicObject.
func (o *exchangeObject) Keys() []string {
	return []string{"isComplete", "isSuccess", "isError", "waitForComplete", "getResponse", "getError"}
}

// wait is waitForComplete([ms]). The time counts against the time limit.
func (o *exchangeObject) wait(args []goja.Value) goja.Value {
	left := o.rt.Remaining()
	expires := true
	if v := arg(args, 0); !isNothing(v) {
		if d := time.Duration(v.ToFloat() * float64(time.Millisecond)); d < left {
			left, expires = d, false
		}
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-o.exchange.done:
	case <-o.ctx.Done():
		o.rt.Expire()
	case <-timer.C:
		if expires {
			o.rt.Expire()
		}
	}
	return goja.Undefined()
}
