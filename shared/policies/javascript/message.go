package javascript

import (
	"net/url"
	"strconv"

	"github.com/dop251/goja"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// messageObject is a request or a response: the call's, one of a flow variable,
// or one of httpClient.
type messageObject struct {
	*call
	find     func() *message.Message // nil: there is no response yet
	writable bool
	target   bool    // url and its parts are the target's
	own      *string // the url of a new Request

	headers, query, form, content, state goja.Value
}

// messageValue is a message that belongs to the script.
func (c *call) messageValue(m *message.Message) goja.Value {
	return c.object(&messageObject{call: c, find: func() *message.Message { return m }, writable: true})
}

// message is the message to change; a response is made if there is none.
func (o *messageObject) message() *message.Message {
	if m := o.find(); m != nil {
		return m
	}
	return o.fc.NewResponse()
}

func (o *messageObject) isRequest() bool {
	m := o.find()
	return m != nil && m.IsRequest()
}

// Get implements goja.DynamicObject.
func (o *messageObject) Get(name string) goja.Value {
	switch name {
	case "headers":
		return o.once(&o.headers, func() goja.Value {
			return o.object(&fields{call: o.call, writable: o.writable, m: o.multimap(func(m *message.Message) multimap { return headerMap{&m.Header} })})
		})
	case "content", "body":
		return o.once(&o.content, func() goja.Value { return o.object(&body{call: o.call, of: o}) })
	}
	if o.isRequest() {
		return o.requestMember(name)
	}
	if name == "status" {
		return o.once(&o.state, func() goja.Value { return o.object(&status{messageObject: o}) })
	}
	return nil
}

// multimap finds fields in the message at the time they are used.
func (o *messageObject) multimap(of func(*message.Message) multimap) func(bool) multimap {
	return func(write bool) multimap {
		m := o.find()
		if m == nil && write {
			m = o.message()
		}
		if m == nil {
			return nil
		}
		return of(m)
	}
}

func (o *messageObject) requestMember(name string) goja.Value {
	m := o.find()
	switch name {
	case "queryParams":
		return o.once(&o.query, func() goja.Value {
			return o.object(&fields{call: o.call, writable: o.writable, m: o.multimap(func(m *message.Message) multimap { return paramMap{&m.Query} })})
		})
	case "formParams":
		return o.once(&o.form, func() goja.Value { return o.formFields() })
	case "method", "verb":
		return o.rt.ToValue(m.Verb)
	case "url":
		return o.rt.ToValue(o.url())
	case "uri":
		return o.rt.ToValue(m.URI())
	case "path", "host", "port", "protocol", "scheme":
		return o.urlPart(name)
	}
	return nil
}

func (o *messageObject) formFields() goja.Value {
	return o.object(&fields{call: o.call, writable: o.writable, m: o.multimap(func(m *message.Message) multimap { return paramMap{m.Form()} })})
}

// Set implements goja.DynamicObject.
func (o *messageObject) Set(name string, v goja.Value) bool {
	if !o.writable {
		return false
	}
	m := o.message()
	switch name {
	case "content", "body":
		m.SetContent([]byte(textOf(v)))
		return true
	case "status":
		return !m.IsRequest() && setStatus(m, v)
	}
	if !m.IsRequest() {
		return false
	}
	switch name {
	case "method", "verb":
		m.Verb = v.String()
	case "url":
		o.setURL(m, v.String())
	case "path", "host", "port", "protocol", "scheme":
		o.setURLPart(m, name, v.String())
	default:
		return false
	}
	return true
}

func setStatus(m *message.Message, v goja.Value) bool {
	n, err := strconv.Atoi(v.String())
	if err != nil || n < 100 || n > 999 {
		return false
	}
	m.Status, m.Reason = n, ""
	return true
}

// Has implements goja.DynamicObject.
func (o *messageObject) Has(name string) bool { return o.Get(name) != nil }

// Delete implements goja.DynamicObject.
func (o *messageObject) Delete(string) bool { return false }

// Keys implements goja.DynamicObject.
func (o *messageObject) Keys() []string {
	if o.isRequest() {
		return []string{"url", "method", "headers", "queryParams", "body"}
	}
	return []string{"status", "headers", "content"}
}

// url is the complete URL of a request: for the call's own request as the
// caller sent it or, in the target's segment, as it will be sent.
func (o *messageObject) url() string {
	m := o.find()
	switch {
	case o.own != nil:
		return *o.own
	case m != o.fc.Request:
		return m.URI()
	case !o.target:
		return o.fc.Client.Scheme + "://" + o.fc.Virtual + m.URI()
	case o.fc.Target.Called:
		return withQuery(o.fc.Target.URL, o.fc.Target.Query)
	}
	base := o.fc.Text("target.url")
	if o.fc.Override("target.url").IsNull() && copies(o.fc.Override("target.copy.pathsuffix")) {
		base = joinPath(base, o.fc.PathSuffix)
	}
	return withQuery(base, m.Query.Encode())
}

func copies(v flow.Value) bool {
	b, ok := bundle.ParseBool(v.String())
	return !ok || b
}

func joinPath(base, suffix string) string {
	u, err := url.Parse(base)
	if err != nil || suffix == "" {
		return base
	}
	return u.JoinPath(suffix).String()
}

func withQuery(base, query string) string {
	u, err := url.Parse(base)
	if err != nil || query == "" || u.RawQuery == query {
		return base
	}
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return u.String()
}

func (o *messageObject) urlPart(name string) goja.Value {
	if name == "path" && !o.target && o.own == nil {
		return o.rt.ToValue(o.find().Path)
	}
	u, err := url.Parse(o.url())
	if err != nil {
		return goja.Undefined()
	}
	switch name {
	case "host":
		return o.rt.ToValue(u.Hostname())
	case "path":
		return o.rt.ToValue(u.EscapedPath())
	case "port":
		return o.port(u)
	}
	return o.rt.ToValue(u.Scheme)
}

func (o *messageObject) port(u *url.URL) goja.Value {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return o.rt.ToValue(n)
	}
	if u.Scheme == "http" {
		return o.rt.ToValue(80)
	}
	return o.rt.ToValue(443)
}

func (o *messageObject) setURL(m *message.Message, text string) {
	u, err := url.Parse(text)
	if err != nil || o.target && u.Host == "" {
		o.rt.Throw("URIError", "Malformed URL: "+text)
	}
	switch {
	case o.own != nil:
		*o.own = text
	case o.target && m == o.fc.Request:
		m.Query = message.ParseParams(u.RawQuery)
		u.RawQuery = ""
		o.fc.Set("target.url", flow.StringValue(u.String()))
	default:
		m.Path, m.Query = u.EscapedPath(), message.ParseParams(u.RawQuery)
	}
}

func (o *messageObject) setURLPart(m *message.Message, name, text string) {
	if name == "path" && !o.target && o.own == nil {
		m.Path = text
		return
	}
	u, err := url.Parse(o.url())
	if err != nil {
		return
	}
	switch name {
	case "host":
		u.Host = hostPort(text, u.Port())
	case "port":
		u.Host = hostPort(u.Hostname(), text)
	case "path":
		if p, err := url.Parse(text); err == nil {
			u.Path, u.RawPath = p.Path, p.RawPath
		}
	default:
		u.Scheme = text
	}
	if !o.target && o.own == nil {
		return // where the caller called cannot be changed
	}
	o.setURL(m, u.String())
}

func hostPort(host, port string) string {
	if port == "" {
		return host
	}
	return host + ":" + port
}

// status is the object status of a response. As a number it is the code.
type status struct {
	*messageObject
	number, text goja.Value
}

func (s *status) code() int {
	if m := s.find(); m != nil {
		return m.Status
	}
	return 0
}

// Get implements goja.DynamicObject.
func (s *status) Get(name string) goja.Value {
	switch name {
	case "code":
		return s.rt.ToValue(s.code())
	case "message":
		if m := s.find(); m != nil {
			return s.rt.ToValue(m.ReasonPhrase())
		}
		return s.rt.ToValue("")
	case "valueOf":
		return s.fn(&s.number, func([]goja.Value) goja.Value { return s.rt.ToValue(s.code()) })
	case "toString":
		return s.fn(&s.text, func([]goja.Value) goja.Value { return s.rt.ToValue(strconv.Itoa(s.code())) })
	}
	return nil
}

// Set implements goja.DynamicObject.
func (s *status) Set(name string, v goja.Value) bool {
	if !s.writable {
		return false
	}
	switch name {
	case "code":
		return setStatus(s.message(), v)
	case "message":
		s.message().Reason = textOf(v)
		return true
	}
	return false
}

// Has implements goja.DynamicObject.
func (s *status) Has(name string) bool { return name == "code" || name == "message" }

// Keys implements goja.DynamicObject.
func (s *status) Keys() []string { return []string{"code", "message"} }
