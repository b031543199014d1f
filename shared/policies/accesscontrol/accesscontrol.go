// Package accesscontrol implements the <AccessControl> policy: it lets calls
// through or refuses them by the address they come from. Rules are tried in the
// order of the file; the first that matches decides.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/access-control-policy
//
// The address is that in ClientIPVariable, else those of X-Forwarded-For that
// ValidateBasedOn says, else the peer's. What is no address in X-Forwarded-For
// matches no rule.
//
// Faults, which set acl.failed and acl.P.failed:
//
//   - accesscontrol.IPDeniedAccess (403): a rule, or noRuleMatchAction, denies
//   - accesscontrol.InvalidIPAddressInVariable (500): ClientIPVariable, or a
//     variable in a rule, holds no address
//
// True-Client-IP is used only where IgnoreTrueClientIPHeader is false in so
// many words: Apigee X does not evaluate it reliably, and any caller can send it.
//
// Refused at deployment: InvalidIPAddress, InvalidIPv4Address,
// InvalidIPv6Address, InvalidRulePattern.
package accesscontrol

import (
	"context"
	"net/netip"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the AccessControl policy.
var Kind = policy.Define("AccessControl", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// IPRules are the rules. Required.
	IPRules IPRules `xml:"IPRules,once,required"`
	// ValidateBasedOn says which addresses of X-Forwarded-For are tested. Of all,
	// one that is denied denies.
	ValidateBasedOn string `xml:"ValidateBasedOn,once" default:"X_FORWARDED_FOR_ALL_IP" enum:"X_FORWARDED_FOR_ALL_IP,X_FORWARDED_FOR_FIRST_IP,X_FORWARDED_FOR_LAST_IP"`
	// ClientIPVariable is a variable with the address to test instead.
	ClientIPVariable string `xml:"ClientIPVariable,once"`
	// IgnoreTrueClientIPHeader false has the address in True-Client-IP tested,
	// where there is one.
	IgnoreTrueClientIPHeader *bool `xml:"IgnoreTrueClientIPHeader,once"`
}

// IPRules are the <IPRules>.
type IPRules struct {
	bundle.Pos
	// NoRuleMatchAction is what happens to an address that no rule matches.
	NoRuleMatchAction string      `xml:"noRuleMatchAction,attr" default:"ALLOW" enum:"ALLOW,DENY"`
	MatchRules        []MatchRule `xml:"MatchRule"`
}

// MatchRule is one rule.
type MatchRule struct {
	bundle.Pos
	// Action is what happens to addresses that match. Required.
	Action          string          `xml:"action,attr,required" enum:"ALLOW,DENY"`
	SourceAddresses []SourceAddress `xml:"SourceAddress"`
}

// SourceAddress is a range of addresses.
type SourceAddress struct {
	bundle.Pos
	// Address is an IPv4 or IPv6 address, or a template that gives one.
	Address string `xml:",chardata"`
	// Mask is how many leading bits count: 0 to 32, or to 128; or a template.
	// Required.
	Mask string `xml:"mask,attr"`
}

type step struct {
	failed       []string
	rules        []rule
	allow        bool // where no rule matches
	which        string
	variable     flow.Var // zero: the headers
	trueClientIP bool
}

// rule is one source address with the action of its rule.
type rule struct {
	allow         bool
	prefix        netip.Prefix
	address, mask *template.Template // nil: prefix is fixed
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{
		failed: []string{"acl.failed", "acl." + env.Name() + ".failed"},
		allow:  c.IPRules.NoRuleMatchAction == "ALLOW", which: c.ValidateBasedOn,
		trueClientIP: c.IgnoreTrueClientIPHeader != nil && !*c.IgnoreTrueClientIPHeader,
	}
	if c.ClientIPVariable != "" {
		s.variable = env.Var(c.ClientIPVariable)
	}
	for _, m := range c.IPRules.MatchRules {
		if len(m.SourceAddresses) == 0 {
			env.Errorf(m.Pos, "InvalidRulePattern: <MatchRule> has no <SourceAddress>")
		}
		for _, a := range m.SourceAddresses {
			s.compile(m.Action == "ALLOW", a, env)
		}
	}
	return s, nil
}

func (s *step) compile(allow bool, a SourceAddress, env *policy.Env) {
	address, mask := env.Template(a.Pos, a.Address), env.Template(a.Pos, a.Mask)
	text, fixedAddress := address.Constant()
	bits, fixedMask := mask.Constant()
	if fixedAddress {
		if _, err := netip.ParseAddr(text); err != nil {
			env.Errorf(a.Pos, "%s: <SourceAddress> is %q", addressError(text), text)
			return
		}
	}
	if !fixedAddress || !fixedMask {
		s.rules = append(s.rules, rule{allow: allow, address: address, mask: mask})
		return
	}
	prefix, ok := parsePrefix(text, bits)
	if !ok {
		env.Errorf(a.Pos, "InvalidRulePattern: mask of <SourceAddress> %s is %q, want 0 to 32, or to 128 for IPv6", text, bits)
		return
	}
	s.rules = append(s.rules, rule{allow: allow, prefix: prefix})
}

// addressError is Apigee's name for a text that is no address.
func addressError(text string) string {
	switch {
	case strings.Contains(text, ":"):
		return "InvalidIPv6Address"
	case strings.Contains(text, "."):
		return "InvalidIPv4Address"
	}
	return "InvalidIPAddress"
}

func parsePrefix(address, mask string) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(strings.TrimSpace(address))
	if err != nil {
		return netip.Prefix{}, false
	}
	bits, err := strconv.Atoi(strings.TrimSpace(mask))
	if err != nil {
		return netip.Prefix{}, false
	}
	p, err := a.Unmap().WithZone("").Prefix(bits)
	return p, err == nil
}

// parseAddr reads an address as it stands in headers: with a port, too.
func parseAddr(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	return a.Unmap().WithZone(""), true
}

// Run tests the addresses of the call.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	if !s.variable.IsZero() {
		ip := s.variable.Get(fc).String()
		a, ok := parseAddr(ip)
		if !ok {
			return s.invalid(ip, s.variable.Name())
		}
		return s.test(fc, a, ip)
	}
	h := &fc.Request.Header
	if s.trueClientIP {
		ip := h.Get("True-Client-IP")
		if a, ok := parseAddr(ip); ok {
			return s.test(fc, a, ip)
		}
	}
	list := h.Split("X-Forwarded-For")
	switch {
	case len(list) == 0:
		return s.testText(fc, fc.Client.IP)
	case s.which == "X_FORWARDED_FOR_FIRST_IP":
		return s.testText(fc, list[0])
	case s.which == "X_FORWARDED_FOR_LAST_IP":
		return s.testText(fc, list[len(list)-1])
	}
	for _, ip := range list {
		if err := s.testText(fc, ip); err != nil {
			return err
		}
	}
	return nil
}

// testText tests what may be no address; then no rule matches it.
func (s *step) testText(fc *flow.Context, ip string) error {
	a, _ := parseAddr(ip)
	return s.test(fc, a, ip)
}

func (s *step) test(fc *flow.Context, a netip.Addr, ip string) error {
	allow := s.allow
	for i := range s.rules {
		r := &s.rules[i]
		prefix, err := s.prefix(fc, r)
		if err != nil {
			return err
		}
		if prefix.Contains(a) {
			allow = r.allow
			break
		}
	}
	if allow {
		return nil
	}
	return s.fault("IPDeniedAccess", 403, "Access Denied for client ip : "+ip)
}

// prefix returns the range of a rule. One that cannot be evaluated refuses the
// call, whatever the rule would say.
func (s *step) prefix(fc *flow.Context, r *rule) (netip.Prefix, error) {
	if r.address == nil {
		return r.prefix, nil
	}
	address, err := r.address.Expand(fc, false)
	if err != nil {
		return netip.Prefix{}, s.invalid("", r.address.Source()).WithCause(err)
	}
	mask, err := r.mask.Expand(fc, false)
	if err != nil {
		return netip.Prefix{}, s.invalid("", r.mask.Source()).WithCause(err)
	}
	p, ok := parsePrefix(address, mask)
	if !ok {
		return p, s.invalid(address+"/"+mask, r.address.Source()+"/"+r.mask.Source())
	}
	return p, nil
}

func (s *step) invalid(ip, variable string) *fault.Fault {
	return s.fault("InvalidIPAddressInVariable", 500, "Invalid IP address "+strconv.Quote(ip)+" in variable "+variable)
}

func (s *step) fault(name string, status int, text string) *fault.Fault {
	return fault.New("accesscontrol."+name, status, text).Failed(s.failed...)
}
