package oasvalidation

import (
	"mime"
	"strings"

	"github.com/perigee-gateway/perigee/shared/message"
)

// requestBody checks the body of a request. That it is there is checked always.
func (c *call) requestBody(op *operation) {
	there := c.message.Length() != 0
	switch {
	case op.body != nil && !there && op.body.required:
		c.report.add("A request body is required but none found.")
		return
	case !there || !c.options.ValidateMessageBody:
		return
	case op.body == nil:
		c.report.add("No request body is expected but one was found.")
		return
	}
	c.content(op.body, "Request")
}

// responseBody checks the body of a response.
func (c *call) responseBody(op *operation, r *response) {
	if !c.options.ValidateMessageBody || r.content == nil || len(r.content.media) == 0 {
		return
	}
	if c.message.Length() == 0 {
		if c.verb != "HEAD" && r.content.media[0].schema != nil {
			c.report.add("%s on path '%s' defines a response schema but no response body found.", c.verb, op.path.text)
		}
		return
	}
	c.content(r.content, "Response")
}

// content checks a body that is there.
func (c *call) content(b *body, kind string) {
	header := c.message.Header.Get("Content-Type")
	mediaType, _, err := mime.ParseMediaType(header)
	if err != nil && header != "" {
		c.report.add("%s Content-Type header '%s' is not a valid media type", kind, header)
		return
	}
	m := b.find(mediaType)
	if m == nil {
		if len(b.media) > 0 {
			c.report.add("%s Content-Type header '%s' does not match any allowed types. Must be one of: %s.", kind, header, b.types())
		}
		return
	}
	if m.schema == nil {
		return
	}
	data, err := c.message.Content()
	if err != nil {
		c.report.add("Unable to read the body - %v.", err)
		return
	}
	switch {
	case isJSON(mediaType):
		v, err := decode(data)
		if err != nil {
			c.report.add("Unable to parse JSON - %v.", err)
			return
		}
		c.report.validate(m.schema, v)
	case mediaType == message.FormContentType:
		c.report.validate(m.schema, m.form(string(data)))
	case mediaType == "text/plain" && (m.shape.has("string") || m.shape.has("number") || m.shape.has("integer") || m.shape.has("boolean")):
		c.report.validate(m.schema, m.shape.scalar(string(data)))
	}
}

// find returns the media type that a content type is, the most concrete first.
func (b *body) find(mediaType string) *media {
	group, _, _ := strings.Cut(mediaType, "/")
	for _, m := range b.media {
		if m.rangeOf == mediaType || m.rangeOf == group+"/*" || m.rangeOf == "*/*" {
			return m
		}
	}
	return nil
}

func (b *body) types() string {
	out := make([]string, len(b.media))
	for i, m := range b.media {
		out[i] = m.text
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// form makes the body of a form an object.
func (m *media) form(encoded string) map[string]any {
	values := map[string][]string{}
	for _, p := range parseQuery(encoded) {
		values[p.name] = append(values[p.name], queryDecode(p.value))
	}
	out := make(map[string]any, len(values))
	for name, texts := range values {
		s := m.shape.property(name)
		switch {
		case s == nil && len(texts) > 1:
			out[name] = (&shape{}).list(texts)
		case s.has("array"):
			out[name] = s.list(texts)
		default:
			out[name] = s.scalar(texts[0])
		}
	}
	return out
}

func isJSON(mediaType string) bool {
	mediaType, _, _ = strings.Cut(strings.ToLower(mediaType), ";")
	mediaType = strings.TrimSpace(mediaType)
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}
