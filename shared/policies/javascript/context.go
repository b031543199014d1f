package javascript

import (
	"github.com/dop251/goja"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// contextObject is the object context.
type contextObject struct {
	*call
	readOnly
	get, set, remove                                    goja.Value
	proxyReq, targetReq, targetResp, proxyResp, session goja.Value
}

// Get implements goja.DynamicObject.
func (o *contextObject) Get(name string) goja.Value {
	switch name {
	case "getVariable":
		return o.fn(&o.get, o.getVariable)
	case "setVariable":
		return o.fn(&o.set, o.setVariable)
	case "removeVariable":
		return o.fn(&o.remove, o.removeVariable)
	case "flow":
		return o.rt.ToValue(o.fc.Phase.String())
	case "session":
		return o.once(&o.session, o.newSession)
	case "proxyRequest":
		return o.once(&o.proxyReq, func() goja.Value { return o.requestIn(flow.ProxyRequest) })
	case "targetRequest":
		if o.fc.Phase < flow.TargetRequest {
			return goja.Undefined()
		}
		return o.once(&o.targetReq, func() goja.Value { return o.requestIn(flow.TargetRequest) })
	case "targetResponse":
		if o.fc.Phase < flow.TargetResponse {
			return goja.Undefined()
		}
		return o.once(&o.targetResp, func() goja.Value { return o.newResponse(o.fc.Phase == flow.TargetResponse) })
	case "proxyResponse":
		if o.fc.Phase < flow.ProxyResponse && !o.fc.InError {
			return goja.Undefined()
		}
		return o.once(&o.proxyResp, func() goja.Value { return o.newResponse(o.fc.Phase == flow.ProxyResponse || o.fc.InError) })
	}
	return nil
}

// Has implements goja.DynamicObject.
func (o *contextObject) Has(name string) bool { return o.Get(name) != nil }

// Keys implements goja.DynamicObject.
func (o *contextObject) Keys() []string {
	return []string{"flow", "session", "proxyRequest", "targetRequest", "targetResponse", "proxyResponse",
		"getVariable", "setVariable", "removeVariable"}
}

func (o *contextObject) getVariable(args []goja.Value) goja.Value {
	o.flush()
	return o.fromFlow(o.variable(arg(args, 0)).Get(o.fc))
}

// variable is the variable that a script names.
func (c *call) variable(v goja.Value) flow.Var {
	name := v.String()
	if compiled, ok := c.vars[name]; ok {
		return compiled
	}
	return flow.Compile(name)
}

// setVariable ignores what the runtime does not let be set; a debug session
// shows it. null removes the variable: it reads as null from then on.
func (o *contextObject) setVariable(args []goja.Value) goja.Value {
	o.flush()
	variable, v := o.variable(arg(args, 0)), o.toFlow(arg(args, 1))
	if v.IsNull() {
		o.fc.Remove(variable.Name())
	} else {
		variable.Set(o.fc, v)
	}
	return goja.Undefined()
}

func (o *contextObject) removeVariable(args []goja.Value) goja.Value {
	o.flush()
	o.fc.Remove(arg(args, 0).String())
	return goja.Undefined()
}

// requestIn is the request as seen in phase p: it may be changed only there.
func (c *call) requestIn(p flow.Phase) goja.Value {
	return c.object(&messageObject{
		call: c, find: func() *message.Message { return c.fc.Request },
		writable: c.fc.Phase == p, target: p >= flow.TargetRequest,
	})
}

// newResponse is the response, or in the error flow the error message. Where
// there is none yet, the first assignment makes it.
func (c *call) newResponse(writable bool) goja.Value {
	return c.object(&messageObject{call: c, writable: writable, find: func() *message.Message {
		if c.fc.InError && c.fc.Error != nil {
			return c.fc.Error
		}
		return c.fc.Response
	}})
}
