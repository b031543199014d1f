package javascript

import (
	"context"
	"strings"
	"time"

	"github.com/dop251/goja"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/rhino"
)

// hostNames are the objects that scripts find in their scope.
var hostNames = []string{"context", "request", "response", "properties", "print", "httpClient", "Request", "crypto"}

// call is one execution of a policy.
type call struct {
	*step
	ctx context.Context
	fc  *flow.Context
	rt  *rhino.Runtime

	objects struct {
		context, request, response, properties, print, client, newRequest, crypto goja.Value
	}
	stringProto *goja.Object
	bodies      []*liveBody
	session     *session
	done        completions
}

// limit is the policy's time limit, or what is left of the call's time.
func (c *call) limit() time.Duration {
	if end, ok := c.ctx.Deadline(); ok {
		return min(c.step.limit, max(time.Until(end), 0))
	}
	return c.step.limit
}

// scope is the scope of the host objects, which are made when a script first
// asks for them.
type scope struct {
	*call
	readOnly
}

// Get implements goja.DynamicObject.
func (c scope) Get(name string) goja.Value {
	o := &c.objects
	switch name {
	case "context":
		return c.once(&o.context, func() goja.Value { return c.object(&contextObject{call: c.call}) })
	case "request":
		return c.once(&o.request, func() goja.Value {
			return c.requestIn(min(c.fc.Phase, flow.TargetRequest))
		})
	case "response":
		return c.once(&o.response, func() goja.Value { return c.newResponse(true) })
	case "properties":
		return c.once(&o.properties, func() goja.Value { return c.object(&properties{call: c.call}) })
	case "print":
		return c.once(&o.print, func() goja.Value { return c.rt.Function(c.print) })
	case "httpClient":
		return c.once(&o.client, func() goja.Value { return c.object(&clientObject{call: c.call}) })
	case "Request":
		return c.once(&o.newRequest, func() goja.Value { return c.rt.ToValue(c.newRequest) })
	case "crypto":
		return c.once(&o.crypto, func() goja.Value { return c.object(&cryptoObject{call: c.call}) })
	}
	return nil
}

// Has implements goja.DynamicObject.
func (c scope) Has(name string) bool { return c.Get(name) != nil }

// Keys implements goja.DynamicObject.
func (c scope) Keys() []string { return hostNames }

func (c *call) once(at *goja.Value, make func() goja.Value) goja.Value {
	if *at == nil {
		*at = make()
	}
	return *at
}

func (c *call) object(d goja.DynamicObject) *goja.Object { return c.rt.NewDynamicObject(d) }

// fn returns a function of args and keeps it in at.
func (c *call) fn(at *goja.Value, f func(args []goja.Value) goja.Value) goja.Value {
	if *at == nil {
		*at = c.rt.Function(func(call goja.FunctionCall) goja.Value { return f(call.Arguments) })
	}
	return *at
}

// arg is the i-th argument, or undefined.
func arg(args []goja.Value, i int) goja.Value {
	if i < len(args) {
		return args[i]
	}
	return goja.Undefined()
}

func isNothing(v goja.Value) bool { return v == nil || goja.IsUndefined(v) || goja.IsNull(v) }

// print goes to whoever watches the call.
func (c *call) print(call goja.FunctionCall) goja.Value {
	if !c.fc.Observed() {
		return goja.Undefined()
	}
	parts := make([]string, len(call.Arguments))
	for i, a := range call.Arguments {
		parts[i] = a.String()
	}
	c.fc.Emit(flow.Event{Kind: flow.Output, Name: strings.Join(parts, " ")})
	return goja.Undefined()
}

// finish writes back what the script left changed. err is how it ended.
func (c *call) finish(err error) error {
	if c.rt.Ended() || c.session == nil && c.bodies == nil {
		return err
	}
	ended := c.rt.Guard(func() {
		c.session.save(c)
		c.flush()
	})
	if err != nil {
		return err
	}
	return ended
}

// readOnly is a dynamic object that cannot be changed. What assigns to it has
// no effect, as with Rhino's read-only properties.
type readOnly struct{}

func (readOnly) Set(string, goja.Value) bool { return false }
func (readOnly) Delete(string) bool          { return false }

// properties is the object of the values of <Properties>.
type properties struct {
	*call
	readOnly
}

// Get implements goja.DynamicObject.
func (p *properties) Get(name string) goja.Value {
	if v, ok := p.props.Get(name); ok {
		return p.rt.ToValue(v)
	}
	return nil
}

// Has implements goja.DynamicObject.
func (p *properties) Has(name string) bool {
	_, ok := p.props.Get(name)
	return ok
}

// Keys implements goja.DynamicObject.
func (p *properties) Keys() []string {
	keys := make([]string, len(p.props))
	for i := range p.props {
		keys[i] = p.props[i].Name
	}
	return keys
}
