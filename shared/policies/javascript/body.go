package javascript

import (
	"bytes"
	"strconv"
	"unicode/utf16"

	"github.com/dop251/goja"

	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/rhino"
)

// body is the object body or content of a message. It reads as the text.
type body struct {
	*call
	of       *messageObject
	asString goja.Value
}

// String is the text.
func (b *body) String() string {
	b.flush()
	if m := b.of.find(); m != nil {
		return m.Text()
	}
	return ""
}

// Get implements goja.DynamicObject.
func (b *body) Get(name string) goja.Value {
	switch name {
	case "asJSON":
		return b.json()
	case "asXML":
		return b.xml()
	case "asForm":
		return b.of.formFields()
	case "toString", "valueOf", "toJSON":
		return b.fn(&b.asString, func([]goja.Value) goja.Value { return b.rt.ToValue(b.String()) })
	case "length":
		return b.rt.ToValue(b.Length())
	}
	if _, err := strconv.Atoi(name); err == nil {
		return b.rt.ToValue(b.String()).ToObject(b.rt.Runtime).Get(name)
	}
	return b.stringMethod(name)
}

// Length is the length of the text in UTF-16 units.
func (b *body) Length() int {
	n := 0
	for _, c := range b.String() {
		n += utf16.RuneLen(c)
	}
	return n
}

// Set implements goja.DynamicObject.
func (b *body) Set(name string, v goja.Value) bool {
	switch name {
	case "asJSON", "asXML", "asForm":
	default:
		return false
	}
	if !b.of.writable {
		return false
	}
	text := textOf(v)
	if o, ok := v.(*goja.Object); ok && name == "asJSON" {
		if data, err := o.MarshalJSON(); err == nil {
			text = string(data)
		}
	}
	b.of.message().SetContent([]byte(text))
	return true
}

// Has implements goja.DynamicObject.
func (b *body) Has(name string) bool { return name == "asJSON" || name == "asXML" || name == "asForm" }

// Delete implements goja.DynamicObject.
func (b *body) Delete(string) bool { return false }

// Keys implements goja.DynamicObject.
func (b *body) Keys() []string { return nil }

// liveBody is a body that a script has as an object. What it changes there is
// written back into the message.
type liveBody struct {
	m        *message.Message
	data     []byte // content that the object was made of
	writable bool
	json     goja.Value
	xml      *rhino.XMLDocument
	object   goja.Value // of xml
	plain    []byte     // what json was at first, in stringify's spelling
}

// current reports whether the message still has the content that l is of.
func (l *liveBody) current() bool {
	now, _ := l.m.Content()
	return len(now) == len(l.data) && (len(now) == 0 || &now[0] == &l.data[0])
}

// live finds the object of the body that exists already, or begins one.
func (b *body) live() *liveBody {
	m := b.of.find()
	if m == nil {
		m = b.of.message()
	}
	for _, l := range b.bodies {
		if l.m == m && l.current() {
			return l
		}
	}
	data, _ := m.Content()
	l := &liveBody{m: m, data: data, writable: b.of.writable}
	b.bodies = append(b.bodies, l)
	return l
}

// json parses the body; an empty one is an empty object, to be filled.
func (b *body) json() goja.Value {
	b.flush()
	l := b.live()
	if l.json == nil {
		if len(bytes.TrimSpace(l.data)) == 0 {
			l.json = b.rt.NewObject()
		} else {
			l.json = b.rt.ParseJSON(string(l.data))
		}
	}
	return l.json
}

func (b *body) xml() goja.Value {
	b.flush()
	l := b.live()
	if l.xml == nil {
		l.object, l.xml = b.rt.ParseXML(string(l.data))
	}
	return l.object
}

// flush writes changed objects back into their messages. It throws what
// JSON.stringify throws.
func (c *call) flush() {
	for _, l := range c.bodies {
		if !l.writable || !l.current() {
			continue
		}
		c.flushJSON(l)
		if l.xml != nil && l.xml.Changed() {
			l.write([]byte(l.xml.String()))
			l.xml.Saved()
		}
	}
}

func (l *liveBody) write(data []byte) {
	l.m.SetContent(data)
	l.data, _ = l.m.Content()
}

func (c *call) flushJSON(l *liveBody) {
	o, ok := l.json.(*goja.Object)
	if !ok || !c.mutates {
		return
	}
	if l.plain == nil {
		l.plain = []byte("{}")
		if len(bytes.TrimSpace(l.data)) > 0 {
			first, _ := c.rt.ParseJSON(string(l.data)).(*goja.Object)
			l.plain, _ = first.MarshalJSON()
		}
	}
	now, err := o.MarshalJSON()
	if err != nil {
		panic(err) // thrown by the script's toJSON, or for a cycle
	}
	if !bytes.Equal(now, l.plain) {
		l.write(now)
		l.plain = bytes.Clone(now)
	}
}
