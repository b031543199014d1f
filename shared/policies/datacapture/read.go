package datacapture

import (
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/extraction"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/pattern"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// variable is a flow variable.
type variable struct{ flow.Var }

func (v variable) read(fc *flow.Context, _ *step) (string, bool, error) {
	val := v.Get(fc)
	return val.String(), !val.IsNull(), nil
}

// private is a variable that nothing may leave the call with.
type private struct{ name string }

func (p private) read(_ *flow.Context, s *step) (string, bool, error) {
	return "", false, s.fault("PrivateVariableAccess", "DataCapture "+s.policy+": variable "+p.name+" is private")
}

// source is a variable that holds a message.
type source struct{ extraction.Origin }

func (src source) get(fc *flow.Context, s *step) (*message.Message, error) {
	if m, _ := src.Get(fc); m != nil {
		return m, nil
	}
	return nil, s.fault("NonMsgVariable", "DataCapture "+s.policy+": "+src.Name()+" is not a message")
}

// clearing empties the body of the message that was read.
type clearing struct {
	reader
	message source
}

func (c *clearing) read(fc *flow.Context, s *step) (string, bool, error) {
	text, ok, err := c.reader.read(fc, s)
	if m, merr := c.message.get(fc, s); err == nil && merr == nil {
		m.SetContent(nil)
	}
	return text, ok, err
}

// apart takes a text apart by patterns.
type apart struct {
	message  source
	from     extraction.Part
	patterns []*pattern.Pattern
}

func (a *apart) read(fc *flow.Context, s *step) (string, bool, error) {
	m, err := a.message.get(fc, s)
	if err != nil {
		return "", false, err
	}
	text, ok := a.from.Text(fc, m)
	if !ok || len(a.patterns) == 0 {
		return text, ok, nil
	}
	var c pattern.Captures
	for _, p := range a.patterns {
		if p.Match(&c, text) {
			return c.At(0), true, nil
		}
	}
	return "", false, nil
}

// payload returns the body of a message of the right type; an empty body has no
// values.
func (s *step) payload(fc *flow.Context, from source, format string, right func(string) bool) ([]byte, error) {
	m, err := from.get(fc, s)
	if err != nil {
		return nil, err
	}
	text, err := m.Content()
	if err != nil {
		return nil, s.fault("ExtractionFailure", "DataCapture "+s.policy+": the payload of "+from.Name()+" cannot be read").WithCause(err)
	}
	if len(text) > 0 && !right(m.MediaType()) {
		return nil, s.fault("InvalidMsgContentType", "DataCapture "+s.policy+": the content type of "+from.Name()+" is not that of "+format)
	}
	return text, nil
}

func (s *step) malformed(from source, format string, err error) error {
	return s.fault("MsgContentParsingFailed", "DataCapture "+s.policy+": the payload of "+from.Name()+" is not "+format).WithCause(err)
}

// jsonPart is a part of a JSON body.
type jsonPart struct {
	message source
	paths   []*jsonpath.Path
}

func (j *jsonPart) read(fc *flow.Context, s *step) (string, bool, error) {
	text, err := s.payload(fc, j.message, "JSON", func(t string) bool { return t == "application/json" || strings.HasSuffix(t, "+json") })
	if err != nil || len(text) == 0 {
		return "", false, err
	}
	root, err := jsonpath.Parse(text)
	if err != nil {
		return "", false, s.malformed(j.message, "JSON", err)
	}
	for _, p := range j.paths {
		if v, ok := p.Eval(root); ok && v.Kind() != jsonpath.Null {
			return v.Text(), true, nil
		}
	}
	return "", false, nil
}

// xmlPart is a part of an XML body.
type xmlPart struct {
	message source
	path    *xpath.Expr
}

func (x *xmlPart) read(fc *flow.Context, s *step) (string, bool, error) {
	text, err := s.payload(fc, x.message, "XML", func(t string) bool { return t == "text/xml" || t == "application/xml" || strings.HasSuffix(t, "+xml") })
	if err != nil || len(text) == 0 {
		return "", false, err
	}
	m, _ := x.message.Get(fc)
	doc, err := xpath.ParseIn(text, m.Charset())
	if err != nil {
		return "", false, s.malformed(x.message, "XML", err)
	}
	r, err := x.path.Eval(doc)
	if err != nil {
		return "", false, s.fault("XPathEvaluationFailed", "DataCapture "+s.policy+": XPath "+x.path.String()+" cannot be evaluated").WithCause(err)
	}
	return r.Text(), !r.Empty(), nil
}

// convert gives text the type of a collector: a metric is a number, a dimension
// text. Without a type any text is a dimension.
func convert(text, typ string) (any, bool) {
	switch typ {
	case "INTEGER":
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil
	case "FLOAT":
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil && f-f == 0
	case "BOOLEAN":
		if strings.EqualFold(text, "true") || strings.EqualFold(text, "false") {
			return strings.EqualFold(text, "true"), true
		}
		return nil, false
	case "DATETIME":
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
			return time.UnixMilli(ms).UTC().Format(time.RFC3339), true
		}
		t, err := time.Parse(time.RFC3339, text)
		return t.UTC().Format(time.RFC3339), err == nil
	}
	return text, true
}
