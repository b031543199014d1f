package jwt

import (
	"fmt"
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

// headerVariables are the variables of a header.
func headerVariables(prefix string, t *Token) []variable {
	out := []variable{{prefix + "header-json", flow.StringValue(t.HeaderJSON)}}
	for _, m := range t.Header {
		out = append(out,
			variable{prefix + "header." + m.Name, listValue(m.Raw)},
			variable{prefix + "decoded.header." + m.Name, value(m.Raw)})
		switch m.Name {
		case "alg":
			out = append(out, variable{prefix + "header.algorithm", value(m.Raw)})
		case "typ":
			out = append(out, variable{prefix + "header.type", value(m.Raw)})
		}
	}
	return out
}

// named are the claims that have a variable with a name of its own.
var named = map[string]string{"sub": "claim.subject", "iss": "claim.issuer", "aud": "claim.audience"}

// claimVariables are the variables of a payload that do not depend on the time.
func claimVariables(prefix, payload string, claims Object, at times) []variable {
	names := make([]string, len(claims))
	out := []variable{{prefix + "payload-json", flow.StringValue(payload)}}
	for i, m := range claims {
		names[i] = m.Name
		v := listValue(m.Raw)
		out = append(out,
			variable{prefix + "claim." + m.Name, v},
			variable{prefix + "decoded.claim." + m.Name, value(m.Raw)})
		if n, ok := named[m.Name]; ok {
			out = append(out, variable{prefix + n, v})
		}
	}
	out = append(out, variable{prefix + "payload-claim-names", flow.ListValue(names)})
	if at.hasExp {
		out = append(out,
			variable{prefix + "claim.expiry", flow.IntValue(at.exp)},
			variable{prefix + "expiry_formatted", flow.StringValue(time.UnixMilli(at.exp).UTC().Format("2006-01-02T15:04:05.000-0700"))})
	}
	if at.hasIat {
		out = append(out, variable{prefix + "claim.issuedat", flow.IntValue(at.iat)})
	}
	if at.hasNbf {
		out = append(out, variable{prefix + "claim.notbefore", flow.IntValue(at.nbf)})
	}
	return out
}

// names are the variables that depend on the time, or on the outcome.
type names struct {
	prefix, headerJSON                 string
	expired, seconds, remaining, valid string
}

func newNames(prefix string) names {
	return names{
		prefix: prefix, headerJSON: prefix + "header-json",
		expired: prefix + "is_expired", seconds: prefix + "seconds_remaining",
		remaining: prefix + "time_remaining_formatted", valid: prefix + "valid",
	}
}

// clear removes what the policy set before in the same call, so that no claim
// of another token is left.
func (n *names) clear(fc *flow.Context) {
	if fc.Get(n.headerJSON).IsNull() {
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
	sign := ""
	if ms < 0 {
		sign, ms = "-", -ms
	}
	return fmt.Sprintf("%s%02d:%02d:%02d.%03d", sign, ms/3600000, ms/60000%60, ms/1000%60, ms%1000)
}
