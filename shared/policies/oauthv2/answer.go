package oauthv2

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// pair is a member of an answer.
type pair struct {
	name, value string
	// raw is JSON that is not a string: a number, a list.
	raw string
}

// pairs are the members of the answer for a token, in Apigee's order, and the
// variables that are set of it.
// Source: policies reference, "Success body of token operations"
func (b *base) pairs(fc *flow.Context, t *policy.Token) []pair {
	out := []pair{
		b.seconds("refresh_token_expires_in", refreshSeconds(t)),
		{name: "api_product_list", value: "[" + strings.Join(t.Products, ", ") + "]"},
		{name: "api_product_list_json", raw: jsonList(t.Products)},
		{name: "organization_name", value: fc.Proxy.Organization},
		{name: "developer.email", value: t.Email},
		{name: "token_type", value: b.tokenType()},
		{name: "issued_at", value: strconv.FormatInt(t.Issued.UnixMilli(), 10)},
		{name: "client_id", value: t.ClientID},
		{name: "access_token", value: t.Text},
	}
	if t.Refresh != nil {
		out = append(out,
			pair{name: "refresh_token", value: t.Refresh.Text},
			pair{name: "refresh_token_issued_at", value: strconv.FormatInt(t.Refresh.Issued.UnixMilli(), 10)},
			pair{name: "refresh_token_status", value: t.Refresh.Status})
	}
	out = append(out,
		pair{name: "application_name", value: t.AppID},
		pair{name: "scope", value: t.Scope},
		b.seconds("expires_in", lifeSeconds(t)),
		pair{name: "refresh_count", value: strconv.Itoa(t.RefreshCount)},
		pair{name: "status", value: t.Status})
	if t.EndUser != "" {
		out = append(out, pair{name: "app_enduser", value: t.EndUser})
	}
	return out
}

func (b *base) tokenType() string {
	if b.rfc {
		return "Bearer"
	}
	return "BearerToken"
}

// seconds is a number of seconds: a number of RFC 6749, a string of Apigee.
func (b *base) seconds(name string, n int64) pair {
	text := strconv.FormatInt(n, 10)
	if b.rfc {
		return pair{name: name, value: text, raw: text}
	}
	return pair{name: name, value: text}
}

// lifeSeconds is what a token says of its life when it is issued: a second less
// than it has, and 0 if it has no end.
func lifeSeconds(t *policy.Token) int64 {
	if t.Expires.IsZero() {
		return 0
	}
	return max(0, int64(t.Expires.Sub(t.Issued)/time.Second)-1)
}

func refreshSeconds(t *policy.Token) int64 {
	if t.Refresh == nil {
		return 0
	}
	return lifeSeconds(t.Refresh)
}

func jsonList(list []string) string {
	if len(list) == 0 {
		return "[ ]"
	}
	b := []byte("[ ")
	for i, s := range list {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendString(b, s)
	}
	return string(append(b, " ]"...))
}

// shown are the pairs of the attributes that are for the client; none takes the
// place of what is there.
func shown(list []policy.TokenAttribute, there []pair) []pair {
	var out []pair
	for _, a := range list {
		if !a.Hidden && !slices.ContainsFunc(there, func(p pair) bool { return p.name == a.Name }) {
			out = append(out, pair{name: a.Name, value: a.Value})
		}
	}
	return out
}

// publish sets the variables of what was issued.
func publish(fc *flow.Context, prefix string, list []pair, attributes []policy.TokenAttribute) {
	for _, a := range attributes {
		fc.PutText(prefix+a.Name, a.Value)
	}
	for _, p := range list {
		if p.value != "" || p.raw == "" {
			fc.PutText(prefix+p.name, p.value)
		}
	}
}

// appendString appends s as a JSON string, with no more escapes than it needs.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// jsonBody is an object with two blanks of indent, as Apigee prints it.
func jsonBody(list []pair) []byte {
	b := []byte("{\n")
	for i, p := range list {
		if i > 0 {
			b = append(b, ",\n"...)
		}
		b = append(b, "  "...)
		b = appendString(b, p.name)
		b = append(b, " : "...)
		if p.raw != "" {
			b = append(b, p.raw...)
		} else {
			b = appendString(b, p.value)
		}
	}
	return append(b, "\n}"...)
}

// form is the pairs as a form or query.
func form(list []pair) string {
	var b strings.Builder
	for _, p := range list {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		value := p.value
		if value == "" {
			value = p.raw
		}
		b.WriteString(url.QueryEscape(p.name) + "=" + url.QueryEscape(value))
	}
	return b.String()
}

var xmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")

// xmlBody is the pairs as elements beneath root. The names of attributes that no
// element could have are given as an attribute.
func xmlBody(root string, list []pair) []byte {
	b := []byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<" + root + ">")
	for _, p := range list {
		value := p.value
		if value == "" {
			value = p.raw
		}
		open, end := p.name, p.name
		if !isName(p.name) {
			open, end = `attribute name="`+xmlEscaper.Replace(p.name)+`"`, "attribute"
		}
		b = append(b, "<"+open+">"+xmlEscaper.Replace(value)+"</"+end+">"...)
	}
	return append(b, "</"+root+">"...)
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '-' || c == '.')) {
			return false
		}
	}
	return s != ""
}

// answer makes the response: in a request flow it ends the request, in a response
// flow it is written into the response there is.
func (b *base) answer(fc *flow.Context, status int, list []pair) *message.Message {
	m := fc.Response
	early := fc.Phase < flow.TargetResponse
	if early || m == nil {
		m = fc.NewResponse()
	}
	m.Status, m.Reason = status, ""
	body, contentType := encode(b.format, "AccessToken", list)
	m.Header.Set("Content-Type", contentType)
	m.Header.Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	m.Header.Set("Pragma", "no-cache")
	m.SetContent(body)
	if early {
		fc.Early(m, flow.AfterSegment)
	}
	return m
}

func encode(format, root string, list []pair) (body []byte, contentType string) {
	switch format {
	case "FORM_PARAM":
		return []byte(form(list)), message.FormContentType
	case "XML":
		return xmlBody(root, list), "application/xml"
	}
	return jsonBody(list), "application/json"
}

// redirect answers with a redirect to the client's URI: RFC 6749 sections 4.1.2
// and 4.2.2. mark is '?' for the query and '#' for the fragment.
func (b *base) redirect(fc *flow.Context, uri string, mark byte, list []pair) {
	if mark == '?' && strings.Contains(uri, "?") {
		mark = '&'
	}
	m := b.answer(fc, 302, nil)
	m.SetContent(nil)
	m.Header.Del("Content-Type")
	m.Header.Set("Location", uri+string(mark)+form(list))
}

// problem is a refusal that is answered with a body.
type problem struct {
	status int
	// code and rfc are the error codes of Apigee and of RFC 6749.
	code, rfc, text string
}

// errorMessage is the body of a refusal.
func (b *base) errorMessage(p problem) *message.Message {
	m := message.NewResponse()
	m.Status = p.status
	format := b.errorFormat
	if !b.errors {
		format = b.format
	}
	list := []pair{{name: "ErrorCode", value: p.code}, {name: "Error", value: p.text}}
	if b.rfc {
		list = []pair{{name: "error", value: p.rfc}, {name: "error_description", value: p.text}}
	}
	body, contentType := errorBody(format, b.rfc, list)
	m.Header.Set("Content-Type", contentType)
	if b.rfc { // RFC 6749 section 5.2
		m.Header.Set("Cache-Control", "no-store")
		m.Header.Set("Pragma", "no-cache")
	}
	m.SetContent(body)
	return m
}

// errorBody prints exactly as Apigee does.
func errorBody(format string, rfc bool, list []pair) ([]byte, string) {
	if format != "" {
		return encode(format, "Error", list)
	}
	colons, comma := []string{" : ", " :"}, ", "
	if rfc {
		colons, comma = []string{":", ":"}, ","
	}
	b := []byte{'{'}
	for i, p := range list {
		if i > 0 {
			b = append(b, comma...)
		}
		b = appendString(b, p.name)
		b = append(b, colons[i]...)
		b = appendString(b, p.value)
	}
	return append(b, '}'), "application/json"
}

// end raises the fault of a refusal, or with continueOnError and
// <GenerateErrorResponse> answers with its message: the flow would go on as if
// nothing had happened otherwise.
func (b *base) end(fc *flow.Context, f *fault.Fault) error {
	if !b.ended || f.Message == nil || fc.Phase >= flow.TargetResponse {
		return f
	}
	for _, v := range f.FailedVariables {
		fc.Put(v, flow.BoolValue(true))
	}
	fc.PutText("fault.name", f.ShortName())
	for _, h := range f.Header {
		f.Message.Header.Set(h.Name, h.Value)
	}
	fc.Early(f.Message, flow.AfterSegment)
	return nil
}
