package javascript

import (
	"math"
	"slices"
	"strconv"

	"github.com/dop251/goja"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// fromFlow is a flow variable's value as scripts see it.
func (c *call) fromFlow(v flow.Value) goja.Value {
	switch v.Kind() {
	case flow.Null:
		return goja.Null()
	case flow.Int:
		n, _ := v.Int()
		return c.rt.ToValue(n)
	case flow.Float:
		f, _ := v.Float()
		return c.rt.ToValue(f)
	case flow.Bool:
		return c.rt.ToValue(v.Truth())
	case flow.List:
		return c.object(&list{call: c, v: v})
	case flow.Message:
		return c.messageValue(v.Message())
	}
	return c.rt.ToValue(v.String())
}

// toFlow is a script's value as a flow variable holds it. Objects become text.
func (c *call) toFlow(v goja.Value) flow.Value {
	if isNothing(v) {
		return flow.Value{}
	}
	o, ok := v.(*goja.Object)
	if !ok {
		return primitive(v.Export(), v)
	}
	switch o := o.Export().(type) {
	case *list:
		return o.v
	case *messageObject:
		return flow.MessageValue(o.find())
	case *status:
		return flow.IntValue(int64(o.code()))
	}
	return flow.StringValue(v.String())
}

func primitive(x any, v goja.Value) flow.Value {
	switch x := x.(type) {
	case string:
		return flow.StringValue(x)
	case bool:
		return flow.BoolValue(x)
	case int64:
		return flow.IntValue(x)
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return flow.IntValue(int64(x))
		}
		return flow.FloatValue(x)
	}
	return flow.StringValue(v.String())
}

// list is a list value: an array with the methods of a Java list.
type list struct {
	*call
	readOnly
	v flow.Value
}

// Get implements goja.DynamicObject.
func (l *list) Get(name string) goja.Value {
	items := l.v.List()
	if i, err := strconv.Atoi(name); err == nil {
		return l.item(items, i)
	}
	switch name {
	case "length":
		return l.rt.ToValue(len(items))
	case "toString", "valueOf", "toJSON":
		return l.method(func([]goja.Value) goja.Value { return l.rt.ToValue(l.v.String()) })
	case "size":
		return l.method(func([]goja.Value) goja.Value { return l.rt.ToValue(len(items)) })
	case "isEmpty":
		return l.method(func([]goja.Value) goja.Value { return l.rt.ToValue(len(items) == 0) })
	case "get":
		return l.method(func(args []goja.Value) goja.Value {
			return l.item(items, int(arg(args, 0).ToInteger()))
		})
	case "toArray":
		return l.method(func([]goja.Value) goja.Value { return l.rt.ToValue(slices.Clone(items)) })
	case "iterator":
		return l.method(func([]goja.Value) goja.Value { return l.iterator(items) })
	case "contains":
		return l.method(func(args []goja.Value) goja.Value {
			for _, s := range items {
				if s == arg(args, 0).String() {
					return l.rt.ToValue(true)
				}
			}
			return l.rt.ToValue(false)
		})
	}
	if v := l.prototype("Array").Get(name); v != nil && name != "constructor" {
		return v
	}
	return nil
}

// iterator is a java.util.Iterator.
func (l *list) iterator(items []string) goja.Value {
	next := 0
	it := l.rt.NewObject()
	it.Set("hasNext", l.rt.Function(func(goja.FunctionCall) goja.Value { return l.rt.ToValue(next < len(items)) }))
	it.Set("next", l.rt.Function(func(goja.FunctionCall) goja.Value {
		if next == len(items) {
			l.rt.Throw("Error", "java.util.NoSuchElementException")
		}
		next++
		return l.rt.ToValue(items[next-1])
	}))
	return it
}

// Length is the number of items.
func (l *list) Length() int { return len(l.v.List()) }

func (l *list) item(items []string, i int) goja.Value {
	if i < 0 || i >= len(items) {
		return goja.Undefined()
	}
	return l.rt.ToValue(items[i])
}

// Has implements goja.DynamicObject.
func (l *list) Has(name string) bool {
	i, err := strconv.Atoi(name)
	return err == nil && i >= 0 && i < l.Length() || name == "length"
}

// Keys implements goja.DynamicObject.
func (l *list) Keys() []string {
	keys := make([]string, l.Length())
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	return keys
}

func (c *call) method(f func(args []goja.Value) goja.Value) goja.Value {
	return c.rt.Function(func(call goja.FunctionCall) goja.Value { return f(call.Arguments) })
}

func (c *call) prototype(class string) *goja.Object {
	return c.rt.GlobalObject().Get(class).(*goja.Object).Get("prototype").(*goja.Object)
}

// stringMethod is a method of String.prototype, for objects that stand for a
// text. They work on anything that has toString.
func (c *call) stringMethod(name string) goja.Value {
	if name == "constructor" {
		return nil
	}
	if c.stringProto == nil {
		c.stringProto = c.prototype("String")
	}
	return c.stringProto.Get(name)
}
