package flow

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/message"
)

func (c *Context) read(name string, a access) Value {
	switch a.op {
	case opCustom, opUnknown:
		v, _ := c.lookup(name)
		return v
	case opComputed:
		return a.get(c)
	}
	if a.which == whichCustom {
		if v, ok := c.lookup(name); ok {
			return v
		}
	}
	m := c.pick(a)
	if m == nil {
		return Value{}
	}
	return c.readMessage(m, a)
}

func (c *Context) pick(a access) *message.Message {
	switch a.which {
	case whichRequest:
		return c.Request
	case whichResponse:
		return c.Response
	case whichMessage:
		return c.Message()
	case whichError:
		return c.Error
	}
	return c.vars[a.base].Message()
}

func (c *Context) readMessage(m *message.Message, a access) Value {
	switch a.op {
	case opMessage:
		return MessageValue(m)
	case opContent:
		return contentValue(m)
	case opBase64:
		b, _ := m.Content()
		return StringValue(base64.StdEncoding.EncodeToString(b))
	case opURLBase64:
		b, _ := m.Content()
		return StringValue(base64.RawURLEncoding.EncodeToString(b))
	case opHeader, opHeaderN, opHeaderValues, opHeaderCount, opHeaderString, opHeadersCount, opHeadersNames, opHeadersString:
		return readHeader(&m.Header, a)
	case opStatus:
		if m.IsRequest() {
			return Value{}
		}
		return IntValue(int64(m.Status))
	case opReason:
		if m.IsRequest() {
			return Value{}
		}
		return StringValue(m.ReasonPhrase())
	case opVersion:
		if m.IsRequest() {
			return StringValue(m.Proto)
		}
		return StringValue("HTTP/" + m.Proto)
	case opTransport:
		return ObjectValue(m)
	case opForm, opFormN, opFormValues, opFormCount, opFormValuesString, opFormsCount, opFormsNames, opFormsString:
		return readParams(m.Form(), a, a.op-opForm+opParam)
	case opFormString:
		if !m.IsForm() {
			return Value{}
		}
		return StringValue(m.Form().Encode())
	}
	if !m.IsRequest() {
		return Value{}
	}
	return c.readRequest(m, a)
}

func contentValue(m *message.Message) Value {
	b, err := m.Content()
	if err != nil {
		return Value{}
	}
	return StringValue(string(b))
}

func (c *Context) readRequest(m *message.Message, a access) Value {
	current := m == c.Request && c.Target.Called
	switch a.op {
	case opQueryString:
		return StringValue(m.Query.Encode())
	case opPath:
		if current {
			return StringValue(c.Target.Path)
		}
		return StringValue(m.Path)
	case opURI:
		if current {
			return StringValue(joinQuery(c.Target.Path, c.Target.Query))
		}
		return StringValue(m.URI())
	case opURL:
		if m == c.Request && c.Target.Called {
			return StringValue(c.Target.URL)
		}
		return Value{}
	case opVerb:
		return StringValue(m.Verb)
	}
	return readParams(&m.Query, a, a.op)
}

func joinQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

func readHeader(h *message.Header, a access) Value {
	switch a.op {
	case opHeader:
		if v, ok := h.First(a.key); ok {
			return StringValue(v)
		}
		return Value{}
	case opHeaderN:
		return nth(h.Split(a.key), a.index)
	case opHeaderValues:
		return list(h.Split(a.key))
	case opHeaderCount:
		return IntValue(int64(len(h.Split(a.key))))
	case opHeaderString:
		if !h.Has(a.key) {
			return Value{}
		}
		return StringValue(h.Joined(a.key))
	case opHeadersCount:
		return IntValue(int64(len(h.Names())))
	case opHeadersNames:
		return ListValue(h.Names())
	}
	return StringValue(strings.Join(h.Names(), ", "))
}

func readParams(p *message.Params, a access, o op) Value {
	switch o {
	case opParam:
		if v, ok := p.Lookup(a.key); ok {
			return StringValue(v)
		}
		return Value{}
	case opParamN:
		return nth(p.Values(a.key), a.index)
	case opParamValues:
		return list(p.Values(a.key))
	case opParamCount:
		return IntValue(int64(len(p.Values(a.key))))
	case opParamString:
		if !p.Has(a.key) {
			return Value{}
		}
		return StringValue(strings.Join(p.Values(a.key), ","))
	case opParamsCount:
		return IntValue(int64(len(p.Names())))
	case opParamsNames:
		return ListValue(p.Names())
	}
	return StringValue(strings.Join(p.Names(), ", "))
}

func nth(values []string, n int) Value {
	if n < 1 || n > len(values) {
		return Value{}
	}
	return StringValue(values[n-1])
}

func list(values []string) Value {
	if values == nil {
		return Value{}
	}
	return ListValue(values)
}

func (c *Context) write(name string, a access, v Value) error {
	switch a.op {
	case opCustom, opUnknown:
		c.store(name, v)
		return nil
	case opComputed:
		if a.set == nil {
			return ErrReadOnly
		}
		return a.set(c, v)
	case opMessage:
		return c.assignMessage(a.which, v)
	}
	m := c.pick(a)
	if m == nil {
		if a.which == whichCustom || a.which == whichError {
			c.store(name, v)
			return nil
		}
		m = c.NewResponse()
	}
	return c.writeMessage(m, a, v)
}

func (c *Context) store(name string, v Value) {
	if v.IsNull() {
		c.unset(name)
		return
	}
	c.vars[name] = v
}

func (c *Context) assignMessage(w which, v Value) error {
	m := v.Message()
	if m == nil {
		return ErrReadOnly
	}
	switch {
	case w == whichRequest && m.IsRequest():
		c.Request = m
	case w == whichResponse && !m.IsRequest():
		c.Response = m
	case w == whichError && !m.IsRequest():
		c.Error = m
	default:
		return ErrReadOnly
	}
	return nil
}

func (c *Context) writeMessage(m *message.Message, a access, v Value) error {
	switch a.op {
	case opContent:
		m.SetContent([]byte(v.String()))
	case opHeader, opHeaderString, opHeaderValues:
		setHeader(&m.Header, a.key, v)
	case opHeaderN:
		values := setNth(m.Header.Split(a.key), a.index, v.String())
		m.Header.SetValues(a.key, values)
	case opParam:
		m.Query.Set(a.key, v.String())
	case opParamN:
		writeNth(&m.Query, a, v)
	case opForm:
		m.Form().Set(a.key, v.String())
	case opFormN:
		writeNth(m.Form(), a, v)
	case opFormString:
		m.SetContent([]byte(v.String()))
	case opQueryString:
		m.Query = message.ParseParams(v.String())
	case opStatus:
		return setStatus(m, v)
	case opReason:
		m.Reason = v.String()
	case opVerb:
		m.Verb = v.String()
	case opVersion:
		m.Proto = strings.TrimPrefix(v.String(), "HTTP/")
	case opPath:
		m.Path = v.String()
	case opURI:
		path, query, _ := strings.Cut(v.String(), "?")
		m.Path, m.Query = path, message.ParseParams(query)
	default:
		return ErrReadOnly
	}
	return nil
}

func setHeader(h *message.Header, name string, v Value) {
	if l := v.List(); l != nil {
		h.SetValues(name, l)
		return
	}
	h.Set(name, v.String())
}

func setNth(values []string, n int, s string) []string {
	for len(values) < n {
		values = append(values, "")
	}
	values[n-1] = s
	return values
}

func writeNth(p *message.Params, a access, v Value) {
	values := setNth(p.Values(a.key), a.index, v.String())
	p.Del(a.key)
	for _, s := range values {
		p.Add(a.key, s)
	}
}

func setStatus(m *message.Message, v Value) error {
	n, ok := v.Int()
	if !ok || n < 100 || n > 999 {
		return strconv.ErrRange
	}
	m.Status, m.Reason = int(n), ""
	return nil
}

func (c *Context) remove(name string, a access) error {
	switch a.op {
	case opCustom, opUnknown:
		c.unset(name)
		return nil
	case opComputed:
		if a.set == nil {
			return ErrReadOnly
		}
		return a.set(c, Value{})
	}
	if a.which == whichCustom {
		c.unset(name)
	}
	m := c.pick(a)
	if m == nil {
		return nil
	}
	switch a.op {
	case opContent:
		m.SetContent(nil)
	case opHeader, opHeaderValues, opHeaderString:
		m.Header.Del(a.key)
	case opHeaderN:
		m.Header.DelIndex(a.key, a.index)
	case opParam, opParamValues:
		m.Query.Del(a.key)
	case opParamN:
		m.Query.DelIndex(a.key, a.index)
	case opForm, opFormValues:
		m.Form().Del(a.key)
	case opFormN:
		m.Form().DelIndex(a.key, a.index)
	case opMessage:
		return ErrReadOnly
	default:
		return ErrReadOnly
	}
	return nil
}
