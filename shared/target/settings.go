package target

import (
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// settings are the properties of a target, typed.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/endpoint-properties-reference
type settings struct {
	connectTimeout time.Duration // connect.timeout.millis
	ioTimeout      time.Duration // io.timeout.millis: silence, not the whole call
	keepAlive      time.Duration // keepalive.timeout.millis: life of an idle connection

	emptyPost, emptyPut bool // allow.post/put.without.content.length
	resumeTLS           bool // allow.tls.session.resumption
	bare405             bool // ignore.allow.header.for.405
	http11              bool // supports.http11
	useProxy            bool // use.proxy
	tunnel              bool // use.proxy.tunneling
	targetHost          bool // use.proxy.host.header.with.target.uri

	success     statusSet
	compression string // compression.algorithm: "", gzip, deflate, none

	requestHeaders, responseHeaders, query *retained // nil: all are kept

	duplicates names // HTTPHeader.allowDuplicates and HTTPHeader.multiValued
	limit      int64 // response.payload.parse.limit, in bytes
}

// names is a set of header names in lower case.
type names map[string]bool

// retained says which headers or parameters are passed on.
type retained struct{ names []string }

func (r *retained) keeps(name string) bool {
	if r == nil {
		return true
	}
	for _, n := range r.names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// statusSet holds the statuses of success.codes, 100 to 599.
type statusSet [600]bool

func (s *statusSet) has(code int) bool { return code >= 100 && code < len(s) && s[code] }

func (s *statusSet) addRange(from, to int) {
	for i := from; i <= to; i++ {
		s[i] = true
	}
}

// property reads properties of one connection and reports those that are wrong.
type property struct {
	conn *bundle.HTTPTargetConnection
	env  *policy.Env
}

func newSettings(conn *bundle.HTTPTargetConnection, env *policy.Env) *settings {
	p := property{conn, env}
	s := &settings{
		connectTimeout: p.millis("connect.timeout.millis", 3000),
		ioTimeout:      p.millis("io.timeout.millis", 55000),
		keepAlive:      p.millis("keepalive.timeout.millis", 60000),
		emptyPost:      p.flag("allow.post.without.content.length", false),
		emptyPut:       p.flag("allow.put.without.content.length", false),
		resumeTLS:      p.flag("allow.tls.session.resumption", true),
		bare405:        p.flag("ignore.allow.header.for.405", true),
		http11:         p.flag("supports.http11", true),
		useProxy:       p.flag("use.proxy", true),
		tunnel:         p.flag("use.proxy.tunneling", true),
		targetHost:     p.flag("use.proxy.host.header.with.target.uri", true),
		success:        p.codes("success.codes"),
		compression:    p.oneOf("compression.algorithm", "gzip", "deflate", "none"),
		requestHeaders: p.retain("request.retain.headers"), responseHeaders: p.retain("response.retain.headers"),
		query:      p.retain("retain.queryparams"),
		duplicates: p.names("HTTPHeader.allowDuplicates", "HTTPHeader.multiValued"),
		limit:      p.megabytes("response.payload.parse.limit"),
	}
	return s
}

func (p property) text(name string) string {
	v, _ := p.conn.Properties.Get(name)
	return strings.TrimSpace(v)
}

func (p property) wrong(name, value, want string) {
	pos := p.conn.Pos
	for _, q := range p.conn.Properties {
		if q.Name == name {
			pos = q.Pos
		}
	}
	p.env.Errorf(pos, "property %s is %q, want %s", name, value, want)
}

// millis reads a time in milliseconds. 0 is the default too: a target with no
// limit at all does not exist on Apigee, where 300 s is the ceiling.
func (p property) millis(name string, otherwise int) time.Duration {
	n := otherwise
	if v := p.text(name); v != "" {
		got, err := strconv.Atoi(v)
		if err != nil || got < 0 {
			p.wrong(name, v, "a whole number, not negative")
		} else if got > 0 {
			n = got
		}
	}
	return time.Duration(min(n, bundle.MaxCallMillis)) * time.Millisecond
}

func (p property) flag(name string, otherwise bool) bool {
	v := p.text(name)
	if v == "" {
		return otherwise
	}
	b, ok := bundle.ParseBool(v)
	if !ok {
		p.wrong(name, v, "true or false")
		return otherwise
	}
	return b
}

func (p property) oneOf(name string, allowed ...string) string {
	v := p.text(name)
	for _, a := range allowed {
		if v == a {
			return v
		}
	}
	if v != "" {
		p.wrong(name, v, strings.Join(allowed, ", "))
	}
	return ""
}

func (p property) megabytes(name string) int64 {
	v := p.text(name)
	if v == "" {
		return message.DefaultLimit
	}
	digits, ok := strings.CutSuffix(strings.ToUpper(v), "M")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 {
		p.wrong(name, v, "a number of megabytes such as 10M")
		return message.DefaultLimit
	}
	return int64(n) << 20
}

// codes reads a list of statuses and classes such as "2XX,404". Without the
// property 1xx, 2xx and 3xx are success.
func (p property) codes(name string) (set statusSet) {
	v := p.text(name)
	if v == "" {
		set.addRange(100, 399)
		return set
	}
	for code := range strings.SplitSeq(v, ",") {
		code = strings.ToUpper(strings.TrimSpace(code))
		class, isClass := strings.CutSuffix(code, "XX")
		n, err := strconv.Atoi(class)
		switch {
		case err == nil && isClass && n >= 1 && n <= 5:
			set.addRange(n*100, n*100+99)
		case err == nil && !isClass && n >= 100 && n <= 599:
			set[n] = true
		default:
			p.wrong(name, v, "status codes and classes such as 1XX,2XX,404")
			return set
		}
	}
	return set
}

// retain reads NAME and NAME.enabled. The list only matters when not
// everything is retained.
func (p property) retain(name string) *retained {
	if p.flag(name+".enabled", true) {
		return nil
	}
	return &retained{names: list(p.text(name))}
}

func (p property) names(properties ...string) names {
	var set names
	for _, name := range properties {
		for _, n := range list(p.text(name)) {
			if set == nil {
				set = names{}
			}
			set[strings.ToLower(n)] = true
		}
	}
	return set
}

func list(text string) []string {
	var out []string
	for n := range strings.SplitSeq(text, ",") {
		if n = strings.TrimSpace(n); n != "" {
			out = append(out, n)
		}
	}
	return out
}
