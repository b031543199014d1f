package bundle

import (
	"strconv"
	"strings"
)

// valueType checks the text of a property; it returns what was wanted, or "".
type valueType func(string) (want string)

// proxyProperties are the properties of a ProxyEndpoint's connection.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/endpoint-properties-reference
var proxyProperties = map[string]valueType{
	"X-Forwarded-For":                                 isBool,
	"api.timeout":                                     isCount,
	"compression.algorithm":                           isCompression,
	"HTTPHeader.allowDuplicates":                      isText,
	"HTTPHeader.multiValued":                          isText,
	"request.payload.parse.limit":                     isLimit,
	"request.queryparams.ignore.content.type.charset": isBool,
	"request.streaming.enabled":                       isBool,
	"response.streaming.enabled":                      isBool,
}

// targetProperties are the properties of a TargetEndpoint's connection and of a
// ServiceCallout's.
var targetProperties = map[string]valueType{
	"allow.post.without.content.length":     isBool,
	"allow.put.without.content.length":      isBool,
	"allow.tls.session.resumption":          isBool,
	"compression.algorithm":                 isCompression,
	"connect.timeout.millis":                isCount,
	"HTTPHeader.allowDuplicates":            isText,
	"HTTPHeader.multiValued":                isText,
	"ignore.allow.header.for.405":           isBool,
	"io.timeout.millis":                     isCount,
	"keepalive.timeout.millis":              isCount,
	"request.retain.headers":                isText,
	"request.retain.headers.enabled":        isBool,
	"request.streaming.enabled":             isBool,
	"response.payload.parse.limit":          isLimit,
	"response.retain.headers":               isText,
	"response.retain.headers.enabled":       isBool,
	"response.streaming.enabled":            isBool,
	"retain.queryparams":                    isText,
	"retain.queryparams.enabled":            isBool,
	"success.codes":                         isCodes,
	"supports.http11":                       isBool,
	"use.proxy":                             isBool,
	"use.proxy.host.header.with.target.uri": isBool,
	"use.proxy.tunneling":                   isBool,
}

// edgeProperties are properties of Apigee Edge that Apigee X does not know: they
// do nothing there, nor here.
// Source: https://docs.apigee.com/api-platform/reference/endpoint-properties-reference
var edgeProperties = map[string]bool{"allow.http10": true, "allow.http11": true, "supports.http10": true}

func isEdge(name string) bool {
	return edgeProperties[name] || strings.HasPrefix(name, "allow.http.method.")
}

func isText(string) string { return "" }

func isBool(s string) string {
	if _, ok := ParseBool(s); ok {
		return ""
	}
	return "true or false"
}

func isCount(s string) string {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return ""
	}
	return "a whole number, not negative"
}

func isCompression(s string) string {
	switch s {
	case "gzip", "deflate", "none":
		return ""
	}
	return "gzip, deflate or none"
}

func isLimit(s string) string {
	n, ok := strings.CutSuffix(strings.ToUpper(s), "M")
	if mb, err := strconv.Atoi(n); ok && err == nil && mb > 0 {
		return ""
	}
	return "a number of megabytes such as 10M"
}

// isCodes accepts "200,404" and classes such as "2XX".
func isCodes(s string) string {
	for code := range strings.SplitSeq(s, ",") {
		code = strings.ToUpper(strings.TrimSpace(code))
		class, isClass := strings.CutSuffix(code, "XX")
		n, err := strconv.Atoi(class)
		if isClass {
			n *= 100
		}
		if err != nil || n < 100 || n > 599 {
			return "status codes and classes such as 1XX,2XX,404"
		}
	}
	return ""
}

// check tests the names and values against the properties owner knows.
func (ps Properties) check(known map[string]valueType, owner string, problems *Problems) {
	seen := make(map[string]bool, len(ps))
	for _, p := range ps {
		if p.Name == "" {
			problems.Errorf(p.Pos, "<Property> has no attribute name")
			continue
		}
		if seen[p.Name] {
			problems.Warnf(p.Pos, "second property %s, the last one counts", p.Name)
		}
		seen[p.Name] = true
		p.check(known, owner, problems)
	}
}

func (p Property) check(known map[string]valueType, owner string, problems *Problems) {
	valid := known[p.Name]
	switch {
	case valid == nil && isEdge(p.Name):
		problems.Warnf(p.Pos, "property %s has no effect: it is of Apigee Edge, Apigee X does not know it", p.Name)
		return
	case valid == nil:
		problems.Warnf(p.Pos, "%s is not a property of a %s", p.Name, owner)
		return
	case p.Value == "":
		problems.Warnf(p.Pos, "property %s is empty", p.Name)
		return
	}
	if want := valid(p.Value); want != "" {
		problems.Errorf(p.Pos, "property %s is %q, want %s", p.Name, p.Value, want)
		return
	}
	p.checkRange(problems)
}

// checkRange warns of values Apigee bounds.
func (p Property) checkRange(problems *Problems) {
	n, _ := strconv.Atoi(strings.TrimRight(p.Value, "Mm"))
	switch {
	case strings.HasSuffix(p.Name, ".payload.parse.limit") && (n < 10 || n > 30):
		problems.Warnf(p.Pos, "property %s is %s, the range is 10M to 30M", p.Name, p.Value)
	case p.Name == "api.timeout" && n >= MaxCallMillis:
		problems.Warnf(p.Pos, "property %s is %s, a call lasts less than %d ms", p.Name, p.Value, MaxCallMillis)
	}
}
