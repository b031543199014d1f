package assignment

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/template"
)

// part is a list of named values in a message.
type part uint8

const (
	partHeader part = iota
	partQuery
	partForm
)

func (p part) String() string { return [...]string{"header", "queryparam", "formparam"}[p] }

// expand evaluates a template for the policy.
func (p *Program) expand(fc *flow.Context, t *template.Template) (string, error) {
	s, err := t.Expand(fc, p.ignore)
	if err == nil {
		return s, nil
	}
	var u *template.Unresolved
	if errors.As(err, &u) {
		return "", p.unresolved(u.Name)
	}
	return "", p.fault("SetVariableFailed", "unable to evaluate a message template").WithCause(err)
}

// assign adds or sets one header or parameter.
type assign struct {
	part  part
	name  string
	add   bool
	value *template.Template
}

func (a *assign) apply(_ context.Context, fc *flow.Context, p *Program, t Target) error {
	if a.part != partHeader && !t.Message.IsRequest() {
		return nil // no effect, as documented
	}
	v, err := p.expand(fc, a.value)
	if err != nil {
		return err
	}
	switch a.part {
	case partHeader:
		if a.add {
			t.Message.Header.Add(a.name, v)
		} else {
			t.Message.Header.Set(a.name, v)
		}
	case partQuery:
		assignParam(&t.Message.Query, a, v)
	case partForm:
		assignParam(t.Message.Form(), a, v)
	}
	note(fc, t, a.part.String()+"."+a.name, v)
	return nil
}

func assignParam(p *message.Params, a *assign, v string) {
	if a.add {
		p.Add(a.name, v)
	} else {
		p.Set(a.name, v)
	}
}

// note tells a debug session of a change.
func note(fc *flow.Context, t Target, property, value string) {
	if !fc.Observed() {
		return
	}
	fc.Emit(flow.Event{Kind: flow.VariableSet, Name: name(t) + "." + property, Value: flow.StringValue(value)})
}

// line is what stands in the first line of a message.
type line uint8

const (
	lineVerb line = iota
	linePath
	lineVersion
	lineStatus
	lineReason
)

func (l line) String() string {
	return [...]string{"verb", "path", "version", "status.code", "reason.phrase"}[l]
}

type setLine struct {
	line  line
	value *template.Template
}

func (s *setLine) apply(_ context.Context, fc *flow.Context, p *Program, t Target) error {
	if t.Message.IsRequest() != (s.line <= lineVersion) {
		return nil // no effect, as documented
	}
	v, err := p.expand(fc, s.value)
	if err != nil {
		return err
	}
	m := t.Message
	switch s.line {
	case lineVerb:
		if v = strings.TrimSpace(v); v != "" {
			m.Verb = v
		}
	case linePath:
		m.Path = v
	case lineVersion:
		m.Proto = strings.TrimPrefix(strings.TrimSpace(v), "HTTP/")
	case lineStatus:
		if strings.TrimSpace(v) == "" {
			return nil
		}
		n, err := parseStatus(v)
		if err != nil {
			return p.setFailed(name(t)+".status.code", err)
		}
		m.Status, m.Reason = n, ""
	case lineReason:
		m.Reason = v
	}
	note(fc, t, s.line.String(), v)
	return nil
}

func name(t Target) string {
	if t.Name == "" {
		return "message"
	}
	return t.Name
}

func parseStatus(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err == nil && (n < 100 || n > 999) {
		err = strconv.ErrRange
	}
	return n, err
}

type setPayload struct {
	text, contentType *template.Template
}

func (s *setPayload) apply(_ context.Context, fc *flow.Context, p *Program, t Target) error {
	body, err := p.expand(fc, s.text)
	if err != nil {
		return err
	}
	contentType, err := p.expand(fc, s.contentType)
	if err != nil {
		return err
	}
	t.Message.SetContent([]byte(body))
	if contentType != "" {
		t.Message.Header.Set("Content-Type", contentType)
	}
	note(fc, t, "content", body)
	return nil
}

// key is a name, or the N-th value (from 1) of one.
type key struct {
	name  string
	index int
}

// selection is what a list of names selects. nil selects nothing.
type selection struct {
	all  bool
	keys []key
}

type removeParts struct {
	headers, query, form *selection
	payload              bool
}

func (r *removeParts) apply(_ context.Context, fc *flow.Context, _ *Program, t Target) error {
	if r.headers != nil {
		removeHeaders(&t.Message.Header, r.headers)
	}
	if r.query != nil && t.Message.IsRequest() {
		removeParams(&t.Message.Query, r.query)
	}
	if r.form != nil && t.Message.IsRequest() && t.Message.IsForm() {
		removeParams(t.Message.Form(), r.form)
	}
	if r.payload {
		t.Message.SetContent(nil)
	}
	if fc.Observed() {
		r.tell(fc, t)
	}
	return nil
}

func (r *removeParts) tell(fc *flow.Context, t Target) {
	for i, s := range []*selection{r.headers, r.query, r.form} {
		if s == nil {
			continue
		}
		for _, k := range s.keys {
			fc.Emit(flow.Event{Kind: flow.VariableRemove, Name: name(t) + "." + part(i).String() + "." + k.name})
		}
		if s.all {
			fc.Emit(flow.Event{Kind: flow.VariableRemove, Name: name(t) + "." + part(i).String() + "s"})
		}
	}
	if r.payload {
		fc.Emit(flow.Event{Kind: flow.VariableRemove, Name: name(t) + ".content"})
	}
}

func removeHeaders(h *message.Header, s *selection) {
	if s.all {
		h.Reset()
		return
	}
	for _, k := range s.keys {
		if k.index > 0 {
			h.DelIndex(k.name, k.index)
		} else {
			h.Del(k.name)
		}
	}
}

func removeParams(p *message.Params, s *selection) {
	if s.all {
		p.Reset()
		return
	}
	for _, k := range s.keys {
		if k.index > 0 {
			p.DelIndex(k.name, k.index)
		} else {
			p.Del(k.name)
		}
	}
}

type copyParts struct {
	source                              string
	headers, query, form                *selection
	payload                             bool
	verb, version, path, status, reason bool
}

func (c *copyParts) apply(_ context.Context, fc *flow.Context, p *Program, t Target) error {
	src, err := c.from(fc, p, t)
	if err != nil || src == nil || src == t.Message {
		return err
	}
	if c.headers != nil {
		copyHeaders(&t.Message.Header, &src.Header, c.headers)
	}
	if c.query != nil && src.IsRequest() && t.Message.IsRequest() {
		copyParams(&t.Message.Query, &src.Query, c.query)
	}
	if c.form != nil {
		copyForm(t.Message, src, c.form)
	}
	c.copyLine(t.Message, src)
	if c.payload {
		return copyPayload(t.Message, src)
	}
	return nil
}

// from returns the message to copy; nil if there is none and that is no error.
func (c *copyParts) from(fc *flow.Context, p *Program, t Target) (*message.Message, error) {
	if c.source == "" {
		return original(fc.Message(), t), nil
	}
	if m := fc.MessageNamed(c.source); m != nil {
		return original(m, t), nil
	}
	switch {
	case !fc.Get(c.source).IsNull():
		return nil, p.notMessage(c.source)
	case p.ignore:
		return nil, nil
	}
	return nil, p.unresolved(c.source)
}

// original returns m, or what the target has replaced if m is the target.
func original(m *message.Message, t Target) *message.Message {
	if m == t.Message && t.Replaced != nil {
		return t.Replaced
	}
	return m
}

func (c *copyParts) copyLine(dst, src *message.Message) {
	if src.IsRequest() != dst.IsRequest() {
		return
	}
	if src.IsRequest() {
		if c.verb {
			dst.Verb = src.Verb
		}
		if c.version {
			dst.Proto = src.Proto
		}
		if c.path {
			dst.Path = src.Path
		}
		return
	}
	if c.version {
		dst.Proto = src.Proto
	}
	if c.status {
		dst.Status, dst.Reason = src.Status, ""
	}
	if c.reason {
		dst.Reason = src.Reason
	}
}

func copyHeaders(dst, src *message.Header, s *selection) {
	if s.all {
		for name := range src.All() {
			dst.Del(name)
		}
		for name, value := range src.All() {
			dst.Add(name, value)
		}
		return
	}
	for _, k := range s.keys {
		if k.index > 0 {
			if values := src.Split(k.name); k.index <= len(values) {
				dst.Set(k.name, values[k.index-1])
			}
		} else if values := src.Values(k.name); values != nil {
			dst.SetValues(k.name, values)
		}
	}
}

func copyParams(dst, src *message.Params, s *selection) {
	if s.all {
		dst.TakeAll(src)
		return
	}
	for _, k := range s.keys {
		if k.index == 0 {
			dst.Take(src, k.name)
		} else if values := src.Values(k.name); k.index <= len(values) {
			dst.Set(k.name, values[k.index-1])
		}
	}
}

// copyForm copies form parameters between requests that are forms; one without a
// content type becomes one.
func copyForm(dst, src *message.Message, s *selection) {
	if !src.IsRequest() || !dst.IsRequest() {
		return
	}
	if !src.IsForm() || dst.Header.Has("Content-Type") && !dst.IsForm() {
		return
	}
	copyParams(dst.Form(), src.Form(), s)
}

// copyPayload copies the body, decoded, and the content type that says what it
// is.
func copyPayload(dst, src *message.Message) error {
	body, err := src.Content()
	if err != nil {
		return fmt.Errorf("copy the payload: %w", err)
	}
	dst.SetContent(append([]byte(nil), body...))
	if ct := src.Header.Values("Content-Type"); ct != nil {
		dst.Header.SetValues("Content-Type", ct)
	}
	return nil
}
