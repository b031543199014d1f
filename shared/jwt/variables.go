package jwt

import (
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// variable is a flow variable to set, by its whole name.
type variable struct {
	name  string
	value flow.Value
}

// times are the registered claims that are times, in milliseconds.
type times struct {
	exp, nbf, iat          int64
	hasExp, hasNbf, hasIat bool
}

func (t times) expired(now int64) bool { return t.hasExp && now >= t.exp }

// readTimes reads exp, nbf and iat; one that is no number is an error.
func readTimes(claims Object) (t times, err error) {
	for _, c := range []struct {
		name string
		ms   *int64
		has  *bool
	}{{"exp", &t.exp, &t.hasExp}, {"nbf", &t.nbf, &t.hasNbf}, {"iat", &t.iat, &t.hasIat}} {
		raw, ok := claims.Get(c.name)
		if !ok {
			continue
		}
		if *c.ms, *c.has = seconds(raw); !*c.has {
			return t, invalidClaim(c.name)
		}
	}
	return t, nil
}

// writer collects variables. Their names share one text: a token has dozens.
type writer struct {
	prefix string
	names  strings.Builder
	vars   []variable
}

func newWriter(prefix string, n int) *writer {
	w := &writer{prefix: prefix, vars: make([]variable, 0, n)}
	w.names.Grow(n * (len(prefix) + 16))
	return w
}

// add adds the variable called by the prefix and both parts.
func (w *writer) add(kind, name string, v flow.Value) {
	start := w.names.Len()
	w.names.WriteString(w.prefix)
	w.names.WriteString(kind)
	w.names.WriteString(name)
	w.vars = append(w.vars, variable{w.names.String()[start:], v})
}

// header adds the variables of a header.
func (w *writer) header(t *Token) {
	w.add("header-json", "", flow.StringValue(t.HeaderJSON))
	for _, m := range t.Header {
		w.add("header.", m.Name, listValue(m.Raw))
		w.add("decoded.header.", m.Name, value(m.Raw))
	}
	w.alias(t.Header, "alg", "header.algorithm")
	w.alias(t.Header, "typ", "header.type")
}

// alias gives a registered member a second name. It comes after the members:
// one that has that name does not take its place.
func (w *writer) alias(o Object, name, alias string) {
	if raw, ok := o.Get(name); ok {
		w.add(alias, "", listValue(raw))
	}
}

// claims adds the variables of a payload that do not depend on the time.
func (w *writer) claims(payload string, claims Object, at times) {
	names := make([]string, len(claims))
	w.add("payload-json", "", flow.StringValue(payload))
	for i, m := range claims {
		names[i] = m.Name
		w.add("claim.", m.Name, listValue(m.Raw))
		w.add("decoded.claim.", m.Name, value(m.Raw))
	}
	w.alias(claims, "sub", "claim.subject")
	w.alias(claims, "iss", "claim.issuer")
	w.alias(claims, "aud", "claim.audience")
	w.add("payload-claim-names", "", flow.ListValue(names))
	if at.hasExp {
		w.add("claim.expiry", "", flow.IntValue(at.exp))
		w.add("expiry_formatted", "", flow.StringValue(time.UnixMilli(at.exp).UTC().Format("2006-01-02T15:04:05.000-0700")))
	}
	if at.hasIat {
		w.add("claim.issuedat", "", flow.IntValue(at.iat))
	}
	if at.hasNbf {
		w.add("claim.notbefore", "", flow.IntValue(at.nbf))
	}
}

// names are the variables that depend on the time, or on the outcome.
type names struct {
	prefix                             string
	headerJSON                         flow.Var
	expired, seconds, remaining, valid string
}

func newNames(prefix string) names {
	return names{
		prefix: prefix, headerJSON: flow.Compile(prefix + "header-json"),
		expired: prefix + "is_expired", seconds: prefix + "seconds_remaining",
		remaining: prefix + "time_remaining_formatted", valid: prefix + "valid",
	}
}

// clear removes what the policy set before in the same call, so that no claim
// of another token is left.
func (n *names) clear(fc *flow.Context) {
	if n.headerJSON.Get(fc).IsNull() {
		return
	}
	var old []string
	for name := range fc.Variables() {
		if strings.HasPrefix(name, n.prefix) {
			old = append(old, name)
		}
	}
	for _, name := range old {
		fc.Put(name, flow.Value{})
	}
}

func put(fc *flow.Context, vars []variable) {
	for i := range vars {
		fc.Put(vars[i].name, vars[i].value)
	}
}

// putRemaining sets the variables that depend on the time.
func (n *names) putRemaining(fc *flow.Context, at times, now int64) {
	fc.Put(n.expired, flow.BoolValue(at.expired(now)))
	if !at.hasExp {
		return
	}
	left := at.exp - now
	fc.Put(n.seconds, flow.IntValue(floorDiv(left, 1000)))
	fc.PutText(n.remaining, formatSpan(left))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// formatSpan writes milliseconds as HH:mm:ss.SSS; hours may have more digits.
func formatSpan(ms int64) string {
	var b [24]byte
	out := b[:0]
	if ms < 0 {
		out, ms = append(out, '-'), -ms
	}
	out = pad(out, ms/3600000, 2)
	out = pad(append(out, ':'), ms/60000%60, 2)
	out = pad(append(out, ':'), ms/1000%60, 2)
	return string(pad(append(out, '.'), ms%1000, 3))
}

func pad(b []byte, n int64, width int) []byte {
	for least := int64(10); width > 1; width, least = width-1, least*10 {
		if n < least {
			b = append(b, '0')
		}
	}
	return strconv.AppendInt(b, n, 10)
}
