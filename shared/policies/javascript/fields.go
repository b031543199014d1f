package javascript

import (
	"strconv"

	"github.com/dop251/goja"

	"github.com/perigee-gateway/perigee/shared/message"
)

// multimap is headers or parameters.
type multimap interface {
	values(name string) []string
	set(name string, values []string)
	names() []string
}

type headerMap struct{ h *message.Header }

func (m headerMap) values(name string) []string { return m.h.Split(name) }
func (m headerMap) names() []string             { return m.h.Names() }
func (m headerMap) set(name string, values []string) {
	if len(values) == 1 {
		m.h.Set(name, values[0])
		return
	}
	m.h.SetValues(name, values)
}

type paramMap struct{ p *message.Params }

func (m paramMap) values(name string) []string { return m.p.Values(name) }
func (m paramMap) names() []string             { return m.p.Names() }
func (m paramMap) set(name string, values []string) {
	if len(values) == 1 {
		m.p.Set(name, values[0])
		return
	}
	m.p.Del(name)
	for _, v := range values {
		m.p.Add(name, v)
	}
}

// fields is the object headers, queryParams or asForm of a message: property
// access by name.
type fields struct {
	*call
	m        func(write bool) multimap // nil: there is none
	writable bool
}

// Get implements goja.DynamicObject. A name has all its values: the object reads
// as the first of them and has the others at [1], [2] ...
func (f *fields) Get(name string) goja.Value {
	m := f.m(false)
	if m == nil {
		return nil
	}
	values := m.values(name)
	if len(values) == 0 {
		return nil
	}
	return f.object(&fieldValue{call: f.call, values: values})
}

// Set implements goja.DynamicObject: an array sets several values, null or
// undefined none.
func (f *fields) Set(name string, v goja.Value) bool {
	if !f.writable {
		return false
	}
	m := f.m(true)
	if m == nil {
		return false
	}
	m.set(name, f.texts(v))
	return true
}

// texts are the values that v stands for.
func (c *call) texts(v goja.Value) []string {
	if isNothing(v) {
		return nil
	}
	if o, ok := v.(*goja.Object); ok {
		switch x := o.Export().(type) {
		case *fieldValue:
			return x.values
		case *list:
			return x.v.List()
		}
		if o.ClassName() == "Array" {
			n := int(o.Get("length").ToInteger())
			texts := make([]string, 0, min(n, 100))
			for i := range n {
				texts = append(texts, textOf(o.Get(strconv.Itoa(i))))
			}
			return texts
		}
	}
	return []string{v.String()}
}

func textOf(v goja.Value) string {
	if isNothing(v) {
		return ""
	}
	return v.String()
}

// Has implements goja.DynamicObject.
func (f *fields) Has(name string) bool {
	m := f.m(false)
	return m != nil && len(m.values(name)) > 0
}

// Delete implements goja.DynamicObject.
func (f *fields) Delete(name string) bool {
	if !f.writable {
		return false
	}
	if m := f.m(false); m != nil && len(m.values(name)) > 0 {
		m.set(name, nil)
	}
	return true
}

// Keys implements goja.DynamicObject.
func (f *fields) Keys() []string {
	if m := f.m(false); m != nil {
		return m.names()
	}
	return nil
}

// fieldValue is the values of one header or parameter.
type fieldValue struct {
	*call
	readOnly
	values []string
	text   goja.Value // toString
}

// Length is the number of values: h['x'].length().
func (v *fieldValue) Length() int { return len(v.values) }

// String is the first value.
func (v *fieldValue) String() string { return v.values[0] }

// Get implements goja.DynamicObject.
func (v *fieldValue) Get(name string) goja.Value {
	switch name {
	case "toString", "valueOf", "toJSON":
		return v.fn(&v.text, func([]goja.Value) goja.Value { return v.rt.ToValue(v.values[0]) })
	case "length":
		return v.rt.ToValue(len(v.values))
	}
	if i, err := strconv.Atoi(name); err == nil {
		if i < 0 || i >= len(v.values) {
			return goja.Undefined()
		}
		return v.rt.ToValue(v.values[i])
	}
	return v.stringMethod(name)
}

// Has implements goja.DynamicObject.
func (v *fieldValue) Has(name string) bool {
	i, err := strconv.Atoi(name)
	return err == nil && i >= 0 && i < len(v.values)
}

// Keys implements goja.DynamicObject.
func (v *fieldValue) Keys() []string {
	keys := make([]string, len(v.values))
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	return keys
}
