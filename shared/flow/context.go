// Package flow is one API call in progress: its messages, its flow variables,
// the fault it is in, and where in the flow it stands. Built-in variables are
// computed when they are read, through an accessor that Compile resolves once,
// when a bundle is deployed.
package flow

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/message"
)

// Phase is the segment of the flow that is running.
type Phase uint8

// The segments, in order.
const (
	ProxyRequest Phase = iota
	TargetRequest
	TargetResponse
	ProxyResponse
	PostClient
)

// String returns the segment's name as debug sessions show it.
func (p Phase) String() string {
	return [...]string{"PROXY_REQ_FLOW", "TARGET_REQ_FLOW", "TARGET_RESP_FLOW", "PROXY_RESP_FLOW", "POST_CLIENT_RESP_FLOW"}[p]
}

// ErrReadOnly is what setting a built-in variable that may not be set returns.
var ErrReadOnly = errors.New("variable is read-only")

// PropertySource finds values of property sets: proxy first, then environment.
type PropertySource interface {
	Property(set, key string) (string, bool)
}

// Proxy names what is executing. It is shared by all calls of a deployed
// ProxyEndpoint and never changes.
type Proxy struct {
	Organization, Environment string
	Name, Revision            string
	Endpoint                  string // ProxyEndpoint name
	BasePath                  string // pattern, as deployed
	ServiceAccount            string // the deployment's, "" for the host's own
	Properties                PropertySource
}

// Client is the caller and the connection it came on.
type Client struct {
	IP     string // address of the peer
	Port   int
	Host   string // address that received the call
	Scheme string // "http" or "https"
	Name   string // Host header as received
	TLS    *tls.ConnectionState
}

// Target is the target call: filled in by the pipeline and the connector.
type Target struct {
	Name     string // TargetEndpoint name
	URL      string // evaluated URL; target.url overrides it
	BasePath string
	Host     string
	IP       string
	Port     int
	Scheme   string
	Path     string // path at the target, set once the call was sent
	Query    string
	Status   int    // of the response as the target sent it, 0 if there was none
	Server   string // TargetServer used
	Failed   []string
	Fallback bool
	TLS      *tls.ConnectionState
	Called   bool // a request was sent: request.path is the target's from then on

	SentStart, SentEnd, ReceivedStart, ReceivedEnd time.Time
}

// Event is something an Observer is told.
type Event struct {
	Kind   EventKind
	Name   string // flow, policy, variable or condition text
	Type   string // policy kind
	Value  Value
	Result bool
	Err    error
	Time   time.Time
}

// EventKind says what an Event is about.
type EventKind uint8

// The kinds of event.
const (
	FlowChange   EventKind = iota // a flow (PreFlow, a named flow, PostFlow ...) starts; Name
	ConditionRun                  // a condition was evaluated; Name is its text
	StepStart                     // a policy is about to run
	StepEnd                       // a policy ran (Result), was skipped, or failed (Err)
	VariableGet
	VariableSet
	VariableRemove
	FaultRaised
	TargetSend    // the request goes to the target
	TargetReceive // the response arrived
	Output        // text a script printed; Name
)

// Observer sees everything that happens in a call. Debug sessions are one.
type Observer interface {
	Observe(c *Context, e Event)
}

// Answer says when an early answer takes the flow to the response.
type Answer uint8

// The kinds of early answer.
const (
	NoAnswer     Answer = iota
	AfterSegment        // the rest of the request segment runs, then the response flow (ResponseCache)
	AtOnce              // the ProxyEndpoint response PreFlow is next (CORS preflight)
)

// Context is one call. It is used by one goroutine at a time and goes back
// into a pool when the call is over: nothing may keep it.
type Context struct {
	Proxy  *Proxy
	Client Client
	Target Target

	Request  *message.Message
	Response *message.Message
	Error    *message.Message

	Fault   *fault.Fault // the fault that is being handled, nil outside the error flow
	InError bool         // is.error
	Phase   Phase

	// Path parts of the call.
	BasePath   string // concrete base path, as in the URL
	PathSuffix string // rest of the path, "" or with leading "/"
	RawURI     string // path and query as received
	Virtual    string // host as received, for URLs

	FlowName, FlowDescription     string // current flow
	ProxyFlowName, TargetFlowName string
	SharedFlow, FlowHook          string
	RouteName, RouteTarget        string

	Start, ReceivedEnd, SentStart, SentEnd time.Time
	// SentBytes is the size of the body that was sent to the client.
	SentBytes int64

	// Caller is set by the checks of keys and tokens; the last one counts. Nil
	// while nobody has been verified.
	Caller *Caller

	// Depth counts nested FlowCallouts and local target calls.
	Depth int
	// Session holds values that policies of one kind share within the call
	// (JavaScript's context.session, an OAuth token seen earlier).
	Session map[any]any

	answer   Answer
	resume   string // step behind which the response flow goes on
	vars     map[string]Value
	sources  []source
	id       string
	now      func() time.Time
	observer Observer
	after    []func(context.Context)
	onSend   []func(*Context, *message.Message)
	request  message.Message
	response message.Message
	errmsg   message.Message
	wg       sync.WaitGroup
	kept     bool
}

var pool = sync.Pool{New: func() any { return &Context{vars: make(map[string]Value, 16)} }}

// New returns a context for a call to p that starts at now.
func New(p *Proxy, now func() time.Time) *Context {
	c := pool.Get().(*Context)
	c.Proxy, c.now = p, now
	c.Start = now()
	c.request.Reset(message.Request)
	c.Request = &c.request
	return c
}

// Release gives the context back. Bodies that nobody read are closed. A context
// that Retain was called on is left to the garbage collector.
func (c *Context) Release() {
	c.request.Release()
	c.response.Release()
	if c.Request != &c.request && c.Request != nil {
		c.Request.Release()
	}
	if c.Response != &c.response && c.Response != nil {
		c.Response.Release()
	}
	if c.kept {
		return
	}
	vars, req, resp, errm := c.vars, c.request.Header, c.response.Header, c.errmsg.Header
	clear(vars)
	clear(c.onSend)
	req.Reset()
	resp.Reset()
	errm.Reset()
	clear(c.sources)
	after, onSend, sources := c.after[:0], c.onSend[:0], c.sources[:0]
	*c = Context{vars: vars, after: after, onSend: onSend, sources: sources} //nolint:govet // the WaitGroup is idle: Drain waited for it
	c.request.Header, c.response.Header, c.errmsg.Header = req, resp, errm
	pool.Put(c)
}

// Retain keeps the context out of the pool: something outlives the call.
func (c *Context) Retain() { c.kept = true }

// Now returns the time.
func (c *Context) Now() time.Time { return c.now() }

// Observe makes o see what happens from now on. nil ends it.
func (c *Context) Observe(o Observer) { c.observer = o }

// Join makes o see what happens beside whoever sees it already. nil changes
// nothing.
func (c *Context) Join(o Observer) {
	switch {
	case o == nil:
	case c.observer == nil:
		c.observer = o
	default:
		c.observer = observers{c.observer, o}
	}
}

// observers are two that see the same.
type observers [2]Observer

// Observe implements Observer.
func (o observers) Observe(c *Context, e Event) {
	o[0].Observe(c, e)
	o[1].Observe(c, e)
}

// Observed reports whether somebody watches, so that costly events can be
// left out otherwise.
func (c *Context) Observed() bool { return c.observer != nil }

// Emit tells the observer, if there is one, of an event.
func (c *Context) Emit(e Event) {
	if c.observer == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = c.now()
	}
	c.observer.Observe(c, e)
}

// NewResponse installs an empty response with status 200 and returns it.
func (c *Context) NewResponse() *message.Message {
	c.response.Reset(message.Response)
	c.Response = &c.response
	return c.Response
}

// NewError installs an empty error message and returns it.
func (c *Context) NewError() *message.Message {
	c.errmsg.Reset(message.Response)
	c.Error = &c.errmsg
	return c.Error
}

// Message returns the ambient message: the error in the error flow, the
// response in response flows, else the request.
func (c *Context) Message() *message.Message {
	switch {
	case c.InError && c.Error != nil:
		return c.Error
	case c.Phase >= TargetResponse:
		if c.Response == nil {
			c.NewResponse()
		}
		return c.Response
	}
	return c.Request
}

// Early makes resp the response and says when the flow turns to it.
func (c *Context) Early(resp *message.Message, when Answer) {
	c.Response = resp
	c.answer = when
}

// EarlyBehind is Early with AfterSegment, and the response flow goes on behind
// the step called step if it has one (a hit of ResponseCache: the steps before
// the one that stored the response ran when it was stored).
func (c *Context) EarlyBehind(resp *message.Message, step string) {
	c.Early(resp, AfterSegment)
	c.resume = step
}

// Resume returns the step behind which the response flow is to go on, "" if it
// runs from its beginning.
func (c *Context) Resume() string { return c.resume }

// Resumed ends what Resume asks for: the step was found, or is in no flow.
func (c *Context) Resumed() { c.resume = "" }

// Answered returns the early answer that a policy gave, if any.
func (c *Context) Answered() Answer { return c.answer }

// MessageID returns the unique id of the call.
func (c *Context) MessageID() string {
	if c.id == "" {
		var b [16]byte
		rand.Read(b[:])
		c.id = hex.EncodeToString(b[:])
	}
	return c.id
}

// After registers f to run once the response is on its way to the client and
// before the host lets go of the request: flushing logs, writing counters.
func (c *Context) After(f func(context.Context)) { c.after = append(c.after, f) }

// Pending reports whether After has something to run.
func (c *Context) Pending() bool { return len(c.after) > 0 }

// OnSend registers f to change the response or error message right before it
// goes to the client, whichever way the flow ends (CORS headers). f must not be
// registered twice by one policy.
func (c *Context) OnSend(f func(*Context, *message.Message)) { c.onSend = append(c.onSend, f) }

// Finish runs what OnSend registered over the message to be sent.
func (c *Context) Finish(m *message.Message) {
	for _, f := range c.onSend {
		f(c, m)
	}
	c.onSend = c.onSend[:0]
}

// Go runs f beside the flow. The call is not over before f returns, since a
// serverless instance may be frozen from then on. f must not use c.
func (c *Context) Go(f func()) {
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		f()
	}()
}

// Snapshot returns a copy for work that Go starts: the variables, and the
// request without its body, as they are now. It is not pooled and sees nothing
// of what happens to c afterwards.
func (c *Context) Snapshot() *Context {
	s := &Context{
		Proxy: c.Proxy, Client: c.Client, Target: c.Target, Fault: c.Fault, InError: c.InError, Phase: c.Phase,
		BasePath: c.BasePath, PathSuffix: c.PathSuffix, RawURI: c.RawURI, Virtual: c.Virtual,
		FlowName: c.FlowName, FlowDescription: c.FlowDescription, ProxyFlowName: c.ProxyFlowName, TargetFlowName: c.TargetFlowName,
		SharedFlow: c.SharedFlow, FlowHook: c.FlowHook, RouteName: c.RouteName, RouteTarget: c.RouteTarget,
		Start: c.Start, ReceivedEnd: c.ReceivedEnd, SentStart: c.SentStart, SentEnd: c.SentEnd,
		Caller: c.Caller, Depth: c.Depth, vars: maps.Clone(c.vars), sources: slices.Clone(c.sources), id: c.MessageID(), now: c.now,
	}
	r := c.Request
	s.Request = &message.Message{Kind: r.Kind, Verb: r.Verb, Path: r.Path, Proto: r.Proto, Header: r.Header.Clone(), Query: r.Query.Clone()}
	return s
}

// Drain runs what After registered and waits for what Go started.
func (c *Context) Drain(ctx context.Context) {
	for i := 0; i < len(c.after); i++ { // an After may register another
		c.after[i](ctx)
	}
	clear(c.after)
	c.after = c.after[:0]
	c.wg.Wait()
}
