package oauthv2

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Lifetimes in milliseconds.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/limits and
// the policy's page. Apigee documents 180 s as the least life of an access token
// and a day as that of a refresh token, and deploys less; so does perigee, with a
// warning. What is longer than the most is cut.
const (
	accessLife  = 1_800_000
	codeLife    = 600_000
	refreshLife = 2_592_000_000
	leastAccess = 180_000
	mostAccess  = 2_592_000_000 // 30 days
	leastFresh  = 86_400_000
	mostFresh   = 63_072_000_000 // 2 years

	// What the antipattern page recommends: access tokens of 30 minutes at most,
	// refresh tokens of 24 hours, or of 7 days if that is a multiple of the access
	// token's life.
	// Source: https://cloud.google.com/apigee/docs/api-platform/antipatterns/oauth-long-expiration
	longAccess      = 1_800_000
	longRefresh     = 86_400_000
	longestMultiple = 604_800_000
)

// issues lists the operations that hand out something with a lifetime; grants
// those that have grant types.
var (
	issues = []string{
		"GenerateAccessToken", "RefreshAccessToken", "GenerateAuthorizationCode", "GenerateAccessTokenImplicitGrant",
		"GenerateJWTAccessToken", "RefreshJWTAccessToken", "GenerateJWTAccessTokenImplicitGrant",
	}
	grantless = []string{"VerifyAccessToken", "VerifyJWTAccessToken", "InvalidateToken", "ValidateToken"}
	grants    = []string{policy.GrantAuthorizationCode, policy.GrantClientCredentials, policy.GrantImplicit, policy.GrantPassword}
)

// check refuses what Apigee refuses at deployment, whatever the operation.
func check(c *Config, env *policy.Env) {
	issuing := slices.Contains(issues, c.Operation)
	if c.ExpiresIn != nil && !issuing {
		env.Errorf(c.ExpiresIn.Pos, "ExpiresInNotApplicableForOperation: ExpiresIn is not applicable for operation %s", c.Operation)
	}
	if c.RefreshTokenExpiresIn != nil && (!issuing || c.Operation == "GenerateAuthorizationCode") {
		env.Errorf(c.RefreshTokenExpiresIn.Pos, "RefreshTokenExpiresInNotApplicableForOperation: RefreshTokenExpiresIn is not applicable for operation %s", c.Operation)
	}
	if len(c.SupportedGrantTypes) > 0 && slices.Contains(grantless, c.Operation) {
		env.Errorf(c.SupportedGrantTypes[0].Pos, "GrantTypesNotApplicableForOperation: Grant types are not applicable for operation %s", c.Operation)
	}
	for _, g := range c.SupportedGrantTypes {
		if !slices.Contains(grants, g.Text) {
			env.Errorf(g.Pos, "InvalidGrantType: Grant type %s is not valid", g.Text)
		}
	}
	checkAttributes(c, env)
}

func checkAttributes(c *Config, env *policy.Env) {
	if len(c.Attributes) > 18 {
		env.Errorf(c.Attributes[18].Pos, "%d attributes, at most 18 are allowed", len(c.Attributes))
	}
	for _, a := range c.Attributes {
		switch {
		case a.Name == "":
			env.Errorf(a.Pos, "<Attribute> has no name")
		case len(a.Name) > 1<<10 || len(a.Text) > 2<<10:
			env.Errorf(a.Pos, "attribute %.40s: its name has at most 1 KB and its value 2 KB", a.Name)
		}
	}
}

// lifetime is a compiled <ExpiresIn> or <RefreshTokenExpiresIn>.
type lifetime struct {
	ref         flow.Var
	text        time.Duration
	least, most int64
}

// life compiles a lifetime. name is the element's.
func life(n *Number, name string, otherwise, least, most int64, env *policy.Env) lifetime {
	l := lifetime{text: milliseconds(otherwise, most), least: least, most: most}
	if n == nil {
		return l
	}
	if n.Ref != "" {
		l.ref = env.Var(n.Ref)
	}
	if n.Text == "" {
		if n.Ref == "" {
			env.Errorf(n.Pos, "InvalidValueFor%s: Invalid value for %s", name, name)
		}
		return l
	}
	ms, ok := lifeText(n.Text)
	if !ok {
		env.Errorf(n.Pos, "InvalidValueFor%s: Invalid value for %s: %q is neither a positive number of milliseconds nor -1", name, name, n.Text)
		return l
	}
	switch {
	case ms > most:
		env.Warnf(n.Pos, "<%s> is %s: more than the %s Apigee allows, to which it is cut", name, span(ms), span(most))
	case ms > 0 && ms < least:
		env.Warnf(n.Pos, "<%s> is %s: Apigee documents %s as the least", name, span(ms), span(least))
	}
	l.text = milliseconds(ms, most)
	return l
}

// lifeText reads a lifetime: a positive number of milliseconds, or -1.
func lifeText(text string) (int64, bool) {
	ms, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return ms, err == nil && (ms > 0 || ms == -1)
}

func milliseconds(ms, most int64) time.Duration {
	if ms < 0 {
		return policy.NeverExpires
	}
	return time.Duration(min(ms, most)) * time.Millisecond
}

// get is the lifetime for a call: that of the variable if it is one, else that of
// the policy.
func (l *lifetime) get(fc *flow.Context) time.Duration {
	if l.ref.IsZero() {
		return l.text
	}
	ms, ok := lifeText(l.ref.Get(fc).String())
	if !ok {
		return l.text
	}
	return milliseconds(ms, l.most)
}

// warnLifetimes warns of lifetimes that the antipattern page speaks against.
// refreshing says that refresh tokens are issued.
func warnLifetimes(c *Config, access, refresh *lifetime, refreshing bool, env *policy.Env) {
	at := func(n *Number) bundle.Pos {
		if n == nil {
			return bundle.Pos{}
		}
		return n.Pos
	}
	const page = "https://cloud.google.com/apigee/docs/api-platform/antipatterns/oauth-long-expiration"
	switch ms := access.text.Milliseconds(); {
	case access.text == policy.NeverExpires:
		env.Warnf(at(c.ExpiresIn), "<ExpiresIn> is -1: access tokens never expire, so a leaked one is good until somebody revokes it, and they pile up in the store; 30 minutes (%d) or less is recommended, see %s", longAccess, page)
	case ms > longAccess:
		env.Warnf(at(c.ExpiresIn), "<ExpiresIn> is %d, %s: a leaked access token is good that long; 30 minutes (%d) or less is recommended, see %s", ms, span(ms), longAccess, page)
	}
	if !refreshing {
		return
	}
	was := ""
	if c.RefreshTokenExpiresIn == nil || c.RefreshTokenExpiresIn.Text == "" {
		was = " by default"
	}
	a, ms := access.text.Milliseconds(), refresh.text.Milliseconds()
	multiple := access.text > 0 && ms%a == 0 && ms > a
	switch {
	case refresh.text == policy.NeverExpires:
		env.Warnf(at(c.RefreshTokenExpiresIn), "<RefreshTokenExpiresIn> is -1: refresh tokens never expire and pile up in the store; 24 hours (%d) is recommended, see %s", longRefresh, page)
		return
	case ms > longestMultiple, ms > longRefresh && !multiple:
		env.Warnf(at(c.RefreshTokenExpiresIn), "<RefreshTokenExpiresIn> is %d%s, %s: refresh tokens pile up in the store that long (at 10 a second, %d of them); 24 hours (%d) is recommended, or a multiple of <ExpiresIn> up to 7 days (%d), see %s",
			ms, was, span(ms), ms/100, longRefresh, longestMultiple, page)
	}
	if access.text > 0 && !multiple {
		env.Warnf(at(c.RefreshTokenExpiresIn), "<RefreshTokenExpiresIn> is %d%s and <ExpiresIn> %d: a refresh token should outlive the access token by a whole number of times, see %s",
			ms, was, a, page)
	}
}

// span writes milliseconds for people.
func span(ms int64) string {
	for _, u := range []struct {
		ms   int64
		name string
	}{{86_400_000, "day"}, {3_600_000, "hour"}, {60_000, "minute"}, {1_000, "second"}} {
		if ms >= u.ms && (ms%u.ms == 0 || u.ms == 1_000) {
			if ms/u.ms == 1 {
				return "1 " + u.name
			}
			return strconv.FormatInt(ms/u.ms, 10) + " " + u.name + "s"
		}
	}
	return strconv.FormatInt(ms, 10) + " ms"
}
