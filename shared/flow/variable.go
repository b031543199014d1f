package flow

import (
	"iter"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/message"
)

// Var is a compiled reference to a flow variable. It is immutable and shared
// by all calls.
type Var struct {
	name string
	a    access
}

// Compile resolves the name of a flow variable.
func Compile(name string) Var { return Var{name: name, a: resolve(name)} }

// Name returns the variable's name.
func (v Var) Name() string { return v.name }

// IsZero reports whether v is the zero Var, which refers to nothing.
func (v Var) IsZero() bool { return v.name == "" }

// Get reads the variable.
func (v Var) Get(c *Context) Value {
	val := c.read(v.name, v.a)
	if c.observer != nil {
		c.Emit(Event{Kind: VariableGet, Name: v.name, Value: val})
	}
	return val
}

// Set writes the variable. Built-in read-only variables give ErrReadOnly.
func (v Var) Set(c *Context, val Value) error {
	err := c.write(v.name, v.a, val)
	if c.observer != nil {
		c.Emit(Event{Kind: VariableSet, Name: v.name, Value: val, Err: err})
	}
	return err
}

// UsesContent reports whether reading or writing the variable touches the
// body of the request or of the response. The compiler buffers bodies that a
// step may touch; all others stream through.
func (v Var) UsesContent() (request, response bool) { return v.a.usesContent() }

// Get reads the variable called name; null if it is not set.
func (c *Context) Get(name string) Value { return Compile(name).Get(c) }

// Text reads the variable called name as text; "" if it is not set.
func (c *Context) Text(name string) string { return c.Get(name).String() }

// Set writes the variable called name as a policy does; ErrReadOnly for
// built-in read-only variables.
func (c *Context) Set(name string, v Value) error { return Compile(name).Set(c, v) }

// Put writes a variable on behalf of the runtime, without regard to whether
// policies may: the results that a policy documents go through here.
func (c *Context) Put(name string, v Value) {
	if v.IsNull() {
		c.unset(name)
	} else {
		c.vars[name] = v
	}
	if c.observer != nil {
		c.Emit(Event{Kind: VariableSet, Name: name, Value: v})
	}
}

// PutText is Put of a string.
func (c *Context) PutText(name, value string) { c.Put(name, StringValue(value)) }

// Remove removes the variable called name: a custom variable, a header, a
// parameter, or a message's content.
func (c *Context) Remove(name string) error {
	a := resolve(name)
	if c.observer != nil {
		c.Emit(Event{Kind: VariableRemove, Name: name})
	}
	return c.remove(name, a)
}

// Variables yields the custom variables that are set, in no order.
func (c *Context) Variables() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for k, v := range c.vars {
			if !v.IsNull() && !yield(k, v) {
				return
			}
		}
		for _, s := range c.sources {
			for k, v := range s.Variables() {
				if _, ok := c.vars[s.prefix+k]; !ok && !yield(s.prefix+k, v) {
					return
				}
			}
		}
	}
}

// MessageNamed returns the message that a variable name denotes: request,
// response, message, error, or a custom message; nil if there is none.
func (c *Context) MessageNamed(name string) *message.Message {
	switch name {
	case "request":
		return c.Request
	case "response":
		return c.Response
	case "error":
		return c.Error
	case "message":
		return c.Message()
	}
	return c.vars[name].Message()
}

type op uint8

const (
	opCustom op = iota // variable in the map, or a property of a custom message
	opComputed
	opMessage // the message itself
	opContent
	opBase64
	opURLBase64
	opHeader
	opHeaderN
	opHeaderValues
	opHeaderCount
	opHeaderString
	opHeadersCount
	opHeadersNames
	opHeadersString
	opParam
	opParamN
	opParamValues
	opParamCount
	opParamString
	opParamsCount
	opParamsNames
	opParamsString
	opForm
	opFormN
	opFormValues
	opFormCount
	opFormValuesString
	opFormsCount
	opFormsNames
	opFormsString
	opFormString
	opQueryString
	opPath
	opURI
	opURL
	opVerb
	opVersion
	opStatus
	opReason
	opTransport
	opUnknown // a property messages do not have: a custom variable under that name
)

type which uint8

const (
	whichCustom which = iota
	whichRequest
	whichResponse
	whichMessage
	whichError
)

// access is how a variable name is read and written.
type access struct {
	op    op
	which which
	key   string // header or parameter name
	index int    // of .N, from 1
	base  string // name of the custom message
	get   func(*Context) Value
	set   func(*Context, Value) error // nil with get set: read-only
}

func (a access) usesContent() (req, resp bool) {
	switch a.op {
	case opContent, opBase64, opURLBase64, opMessage,
		opForm, opFormN, opFormValues, opFormCount, opFormValuesString, opFormsCount, opFormsNames, opFormsString, opFormString:
	default:
		return false, false
	}
	switch a.which {
	case whichRequest:
		return true, false
	case whichResponse, whichError:
		return false, true
	case whichMessage:
		return true, true
	}
	return false, false
}

func resolve(name string) access {
	first, rest, dotted := strings.Cut(name, ".")
	switch first {
	case "request":
		return resolveMessage(whichRequest, name, rest, dotted)
	case "response":
		return resolveMessage(whichResponse, name, rest, dotted)
	case "message":
		return resolveMessage(whichMessage, name, rest, dotted)
	case "error":
		return resolveMessage(whichError, name, rest, dotted)
	}
	if a, ok := builtin(name, first, rest); ok {
		return a
	}
	return resolveCustom(name)
}

func resolveMessage(w which, name, rest string, dotted bool) access {
	if a, ok := builtin(name, "", ""); ok {
		return a
	}
	if !dotted {
		return access{op: opMessage, which: w}
	}
	a := property(rest)
	a.which = w
	return a
}

// customProperties are the first parts of properties that make a dotted
// custom name a possible message property.
var customProperties = []string{
	".content", ".header.", ".headers.", ".queryparam.", ".queryparams.", ".formparam.", ".formparams.",
	".formstring", ".querystring", ".status.code", ".reason.phrase", ".verb", ".path", ".uri", ".version",
}

// resolveCustom resolves a name that is a custom variable, or a property of a
// message held by a custom variable: which of the two is known only when it is
// read.
func resolveCustom(name string) access {
	for _, p := range customProperties {
		i := strings.Index(name, p)
		if i <= 0 {
			continue
		}
		a := property(name[i+1:])
		if a.op == opUnknown {
			continue
		}
		a.which, a.base = whichCustom, name[:i]
		return a
	}
	return access{op: opCustom}
}

// property resolves what follows a message's name.
func property(rest string) access {
	switch rest {
	case "content":
		return access{op: opContent}
	case "content.as.base64":
		return access{op: opBase64}
	case "content.as.url.safe.base64":
		return access{op: opURLBase64}
	case "headers.count":
		return access{op: opHeadersCount}
	case "headers.names":
		return access{op: opHeadersNames}
	case "headers.names.string":
		return access{op: opHeadersString}
	case "queryparams.count":
		return access{op: opParamsCount}
	case "queryparams.names":
		return access{op: opParamsNames}
	case "queryparams.names.string":
		return access{op: opParamsString}
	case "formparams.count":
		return access{op: opFormsCount}
	case "formparams.names":
		return access{op: opFormsNames}
	case "formparams.names.string":
		return access{op: opFormsString}
	case "formstring":
		return access{op: opFormString}
	case "querystring":
		return access{op: opQueryString}
	case "path":
		return access{op: opPath}
	case "uri":
		return access{op: opURI}
	case "url":
		return access{op: opURL}
	case "verb":
		return access{op: opVerb}
	case "version":
		return access{op: opVersion}
	case "status.code":
		return access{op: opStatus}
	case "reason.phrase":
		return access{op: opReason}
	case "transport.message":
		return access{op: opTransport}
	}
	kind, key, _ := strings.Cut(rest, ".")
	if key == "" {
		return access{op: opUnknown}
	}
	switch kind {
	case "header":
		return indexed(key, opHeader, opHeaderN, opHeaderValues, opHeaderCount, opHeaderString)
	case "queryparam":
		return indexed(key, opParam, opParamN, opParamValues, opParamCount, opParamString)
	case "formparam":
		return indexed(key, opForm, opFormN, opFormValues, opFormCount, opFormValuesString)
	}
	return access{op: opUnknown}
}

func indexed(key string, one, nth, values, count, text op) access {
	for _, s := range [...]struct {
		suffix string
		op     op
	}{{".values.string", text}, {".values.count", count}, {".values", values}} {
		if k, ok := strings.CutSuffix(key, s.suffix); ok && k != "" {
			return access{op: s.op, key: k}
		}
	}
	if i := strings.LastIndexByte(key, '.'); i > 0 {
		if n, err := strconv.Atoi(key[i+1:]); err == nil && n > 0 {
			return access{op: nth, key: key[:i], index: n}
		}
	}
	return access{op: one, key: key}
}

// Property is a compiled property of a message, whichever message that is
// ("header.X-A.2", "queryparam.q", "content").
type Property struct{ a access }

// CompileProperty resolves the name of a property: what follows a message's
// name in a variable.
func CompileProperty(name string) Property { return Property{property(name)} }

// Get reads the property of m; null if messages have none of that name.
func (p Property) Get(c *Context, m *message.Message) Value { return c.readMessage(m, p.a) }
