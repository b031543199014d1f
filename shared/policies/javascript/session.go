package javascript

import (
	"strconv"

	"github.com/dop251/goja"
)

// sessionKey is where the flow context keeps the values of context.session.
type sessionKey struct{}

// maxSessionDepth bounds how deep values in the session are nested.
const maxSessionDepth = 50

// session is context.session: values that scripts of one call share. Scripts
// have no objects in common, so objects are copied when a script is over.
// Exchanges of httpClient are shared.
type session struct {
	*call
	stored map[string]any
	live   map[string]goja.Value // read or written by this script
}

// sessionObject is an object as the session keeps it.
type sessionObject struct {
	keys   []string
	values []any
}

func (c *call) newSession() goja.Value {
	stored, _ := c.fc.Session[sessionKey{}].(map[string]any)
	c.session = &session{call: c, stored: stored, live: map[string]goja.Value{}}
	return c.object(c.session)
}

// Get implements goja.DynamicObject.
func (s *session) Get(name string) goja.Value {
	if v, ok := s.live[name]; ok {
		return v
	}
	x, ok := s.stored[name]
	if !ok {
		return nil
	}
	v := s.thaw(x)
	s.live[name] = v
	return v
}

// Set implements goja.DynamicObject.
func (s *session) Set(name string, v goja.Value) bool {
	s.live[name] = v
	return true
}

// Has implements goja.DynamicObject.
func (s *session) Has(name string) bool { return s.Get(name) != nil }

// Delete implements goja.DynamicObject.
func (s *session) Delete(name string) bool {
	s.live[name] = nil
	return true
}

// Keys implements goja.DynamicObject.
func (s *session) Keys() []string {
	var keys []string
	for name, v := range s.live {
		if v != nil {
			keys = append(keys, name)
		}
	}
	for name := range s.stored {
		if _, ok := s.live[name]; !ok {
			keys = append(keys, name)
		}
	}
	return keys
}

// save copies what the script left into the flow context.
func (s *session) save(c *call) {
	if s == nil || len(s.live) == 0 {
		return
	}
	if s.stored == nil {
		s.stored = map[string]any{}
	}
	for name, v := range s.live {
		if v == nil {
			delete(s.stored, name)
			continue
		}
		if x, ok := freeze(v, 0); ok {
			s.stored[name] = x
		}
	}
	if c.fc.Session == nil {
		c.fc.Session = map[any]any{}
	}
	c.fc.Session[sessionKey{}] = s.stored
}

// freeze copies a value; false for functions and what is nested too deep.
func freeze(v goja.Value, depth int) (any, bool) {
	o, ok := v.(*goja.Object)
	if !ok {
		if v == nil || goja.IsUndefined(v) {
			return goja.Undefined(), true
		}
		return v.Export(), true
	}
	switch x := o.Export().(type) {
	case *exchangeObject:
		return x.exchange, true
	case *fieldValue:
		return x.String(), true
	case *body:
		return x.String(), true
	}
	if _, callable := goja.AssertFunction(o); callable || depth > maxSessionDepth {
		return nil, false
	}
	if o.ClassName() == "Array" {
		return freezeArray(o, depth)
	}
	if o.ClassName() != "Object" {
		return o.String(), true
	}
	out := &sessionObject{}
	for _, k := range o.Keys() {
		if x, ok := freeze(o.Get(k), depth+1); ok {
			out.keys = append(out.keys, k)
			out.values = append(out.values, x)
		}
	}
	return out, true
}

func freezeArray(o *goja.Object, depth int) (any, bool) {
	n := int(o.Get("length").ToInteger())
	var out []any
	for i := range n {
		x, _ := freeze(o.Get(strconv.Itoa(i)), depth+1)
		out = append(out, x)
	}
	return out, true
}

// thaw makes a value of this script's of a stored one.
func (s *session) thaw(x any) goja.Value {
	switch x := x.(type) {
	case nil:
		return goja.Null()
	case *exchange:
		return s.exchangeValue(x)
	case []any:
		items := make([]any, len(x))
		for i := range x {
			items[i] = s.thaw(x[i])
		}
		return s.rt.NewArray(items...)
	case *sessionObject:
		o := s.rt.NewObject()
		for i, k := range x.keys {
			o.DefineDataProperty(k, s.thaw(x.values[i]), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
		}
		return o
	}
	return s.rt.ToValue(x)
}
