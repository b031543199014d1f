package oasvalidation

import (
	"slices"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/message"
)

// call is one message that is held against a document.
type call struct {
	message            *message.Message
	options            *Options
	report             *report
	verb, path, suffix string
	values             map[string]string // of the path, as they were sent
}

// operation finds the operation of the call; nil if there is none.
func (d *document) operation(c *call) *operation {
	suffix := c.suffix
	if suffix == "" {
		suffix = "/"
	}
	paths := d.find(suffix)
	if len(paths) == 0 {
		c.report.add("No API path found that matches request '%s'.", c.path)
		return nil
	}
	for _, p := range paths {
		if op := p.operations[c.verb]; op != nil {
			c.values = map[string]string{}
			for i, part := range splitPath(suffix) {
				p.segments[i].match(part, func(name, raw string) { c.values[name] = raw })
			}
			return op
		}
	}
	c.report.add("%s operation not allowed on path '%s'.", c.verb, c.path)
	return nil
}

// request checks a request.
func (d *document) request(c *call) {
	op := d.operation(c)
	if op == nil {
		return
	}
	query := parseQuery(c.message.Query.Encode())
	cookies := parseCookies(c.message.Header.Values("Cookie"))
	c.headers(op)
	c.pathParams(op)
	c.requestBody(op)
	c.query(op, query)
	c.cookies(op, cookies)
	d.unspecified(c, op, query, cookies)
}

func (c *call) headers(op *operation) {
	for _, p := range op.params {
		if p.in != "header" || ignoredHeader(p.name) {
			continue
		}
		c.header(p, func() {
			c.report.add("Header parameter '%s' is required on path '%s' but not found in request.", p.name, op.path.text)
		})
	}
}

// header checks a header; missing says that it has to be there.
func (c *call) header(p *parameter, missing func()) {
	values := c.message.Header.Values(p.name)
	switch {
	case len(values) > 0 && p.shape.has("array"):
		p.check(texts{strings.Join(values, ",")}, undecoded, c.report)
	case len(values) > 0:
		p.check(values, undecoded, c.report)
	case p.required:
		missing()
	}
}

// ignoredHeader reports whether a parameter is none: the specification has other
// means for these headers.
func ignoredHeader(name string) bool {
	return strings.EqualFold(name, "Accept") || strings.EqualFold(name, "Content-Type") || strings.EqualFold(name, "Authorization")
}

func (c *call) pathParams(op *operation) {
	for _, p := range op.params {
		if p.in == "path" {
			if raw, ok := c.values[p.name]; ok {
				p.check(texts{raw}, percentDecode, c.report)
			}
		}
	}
}

// pair is a query parameter or a cookie; the value is as it was sent.
type pair struct{ name, value string }

func parseQuery(encoded string) []pair {
	var out []pair
	for part := range strings.SplitSeq(encoded, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		out = append(out, pair{queryDecode(name), value})
	}
	return out
}

func parseCookies(headers []string) []pair {
	var out []pair
	for _, h := range headers {
		for part := range strings.SplitSeq(h, ";") {
			if name, value, ok := strings.Cut(strings.TrimSpace(part), "="); ok && name != "" {
				out = append(out, pair{name, value})
			}
		}
	}
	return out
}

func valuesOf(pairs []pair, name string) texts {
	var out texts
	for _, p := range pairs {
		if p.name == name {
			out = append(out, p.value)
		}
	}
	return out
}

func (c *call) query(op *operation, pairs []pair) {
	for _, p := range op.params {
		switch {
		case p.in != "query":
		case p.style == "deepObject":
			c.deepObject(op, p, pairs)
		case p.explodes():
			c.exploded(op, p, pairs)
		default:
			c.named(p, valuesOf(pairs, p.name), queryDecode, "Query", op)
		}
	}
}

func (c *call) named(p *parameter, values texts, decode decodeWith, kind string, op *operation) {
	switch {
	case len(values) > 0:
		p.check(values, decode, c.report)
	case p.required:
		c.missing(kind, p, op)
	}
}

func (c *call) missing(kind string, p *parameter, op *operation) {
	c.report.add("%s parameter '%s' is required on path '%s' but not found in request.", kind, p.name, op.path.text)
}

// deepObject checks name[property]=value.
func (c *call) deepObject(op *operation, p *parameter, pairs []pair) {
	object := map[string]any{}
	for _, q := range pairs {
		prop, ok := p.deep(q.name)
		if _, twice := object[prop]; ok && !twice {
			p.set(object, prop, queryDecode(q.value))
		}
	}
	c.properties(op, p, object)
}

// exploded checks an object whose properties are parameters.
func (c *call) exploded(op *operation, p *parameter, pairs []pair) {
	object := map[string]any{}
	for name, s := range p.shape.properties {
		values := valuesOf(pairs, name)
		switch {
		case len(values) == 0:
		case s.has("array"):
			decoded := make([]string, len(values))
			for i, v := range values {
				decoded[i] = queryDecode(v)
			}
			object[name] = s.list(decoded)
		default:
			object[name] = s.scalar(queryDecode(values[0]))
		}
	}
	c.properties(op, p, object)
}

func (c *call) properties(op *operation, p *parameter, object map[string]any) {
	switch {
	case len(object) == 0 && p.required:
		c.missing("Query", p, op)
	case len(object) > 0 && p.schema != nil:
		c.report.validate(p.schema, object)
	}
}

func (c *call) cookies(op *operation, pairs []pair) {
	for _, p := range op.params {
		if p.in == "cookie" {
			c.named(p, valuesOf(pairs, p.name), queryDecode, "Cookie", op)
		}
	}
}

// unspecified refuses parameters that the document does not name.
func (d *document) unspecified(c *call, op *operation, query, cookies []pair) {
	allow := &c.options.AllowUnspecifiedParameters
	if !allow.Query {
		for _, q := range query {
			if !d.queryKey[q.name] && !op.names("query", q.name) {
				c.report.add("Query parameter '%s' is unexpected on path \"%s\"", q.name, op.path.text)
			}
		}
	}
	if !allow.Header {
		for _, h := range c.message.Header.Names() {
			if !plainHeader(h) && !d.others[strings.ToLower(h)] && !op.names("header", h) {
				c.report.add("Header parameter '%s' is unexpected on path \"%s\"", h, op.path.text)
			}
		}
	}
	if !allow.Cookie {
		for _, k := range cookies {
			if !d.others[strings.ToLower(k.name)] && !op.names("cookie", k.name) {
				c.report.add("Cookie parameter '%s' is unexpected on path \"%s\"", k.name, op.path.text)
			}
		}
	}
}

// names reports whether the operation has a parameter.
func (o *operation) names(in, name string) bool {
	return slices.ContainsFunc(o.params, func(p *parameter) bool {
		if p.in != in {
			return false
		}
		if p.explodes() && p.shape.properties[name] != nil {
			return true
		}
		if _, deep := p.deep(name); deep && p.style == "deepObject" {
			return true
		}
		return p.name == name || in == "header" && strings.EqualFold(p.name, name)
	})
}

// plainHeader reports whether a header is of HTTP itself or of the hosts on the
// way: no API names those.
func plainHeader(name string) bool {
	switch name = strings.ToLower(name); name {
	case "accept", "accept-charset", "accept-encoding", "accept-language", "authorization", "cache-control", "connection",
		"content-encoding", "content-length", "content-type", "cookie", "date", "expect", "forwarded", "host", "keep-alive",
		"origin", "pragma", "referer", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
		"traceparent", "tracestate", "b3", "dnt", "priority":
		return true
	}
	for _, prefix := range []string{"x-forwarded-", "x-cloud-", "x-b3-", "x-amz", "x-google-", "x-apigee-", "x-real-ip", "x-request-id", "sec-", "access-control-request-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// response checks a response.
func (d *document) response(c *call) {
	op := d.operation(c)
	if op == nil {
		return
	}
	status := strconv.Itoa(c.message.Status)
	r := op.responses[status]
	if r == nil {
		r = op.responses[status[:1]+"XX"]
	}
	if r == nil {
		r = op.responses["DEFAULT"]
	}
	if r == nil {
		c.report.add("Response status %d not defined for path '%s'.", c.message.Status, op.path.text)
		return
	}
	c.responseBody(op, r)
	for _, p := range r.headers {
		c.header(p, func() {
			c.report.add("Header '%s' is expected on path '%s' but not found in response.", p.name, op.path.text)
		})
	}
}
