// Package ratelimit is what the Quota policies share: the elements that say how
// much is allowed in which interval, the windows of time, the counter's name, and
// the ratelimit.P.* variables. The counting itself is policy.Quotas.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/quota-policy
package ratelimit

import (
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Settings are the elements of Quota and LLMTokenQuota. Embed it in a Config.
type Settings struct {
	// Type is when intervals begin: "calendar" at StartTime, "flexi" with the
	// first request, "rollingwindow" before each request; absent, at the top of
	// the minute, hour, day, week (Sunday), month or year, GMT.
	Type string `xml:"type,attr"`
	// Allow is how much is allowed in an interval; 2000 if absent. There may be
	// two: Edge's own sample has the number in one and the classes in another.
	Allow []Allow `xml:"Allow"`
	// Interval is how many units an interval has; 1 if absent.
	Interval *Ref `xml:"Interval,once"`
	// TimeUnit is second, minute, hour, day, week, month or year.
	TimeUnit *Ref `xml:"TimeUnit,once"`
	// StartTime is when the first interval of type calendar begins:
	// yyyy-MM-dd HH:mm:ss, UTC.
	StartTime *Ref `xml:"StartTime,once"`
	// Distributed is of no effect: all instances share their counters, since
	// how many there are is not the proxy's to know.
	Distributed bool `xml:"Distributed,once"`
	// Synchronous has every request counted in the store before it goes on.
	// Without it an instance takes what it will use within the next seconds at
	// once. Either way never more is allowed than the limit.
	Synchronous bool `xml:"Synchronous,once"`
	// AsynchronousConfiguration is of no effect: counters need no
	// synchronization.
	AsynchronousConfiguration *Asynchronous `xml:"AsynchronousConfiguration,once"`
	// PreciseAtSecondsLevel is of no effect: intervals are always that precise.
	PreciseAtSecondsLevel bool `xml:"PreciseAtSecondsLevel,once"`
	// Identifier is the variable by which requests are counted apart; _default
	// if it is absent or not set.
	Identifier *Ref `xml:"Identifier,once"`
	// UseQuotaConfigInAPIProduct takes the quota of the API product, or of its
	// operation, instead of Allow, Interval and TimeUnit.
	UseQuotaConfigInAPIProduct *Product `xml:"UseQuotaConfigInAPIProduct,once"`
	// SharedName names the counter that policies share, one of which only
	// counts and another only enforces.
	SharedName *Ref `xml:"SharedName,once"`
	// CountOnly counts and refuses nothing.
	CountOnly bool `xml:"CountOnly,once"`
	// EnforceOnly refuses and counts nothing.
	EnforceOnly bool `xml:"EnforceOnly,once"`
}

// Allow is the <Allow>: countRef if that is set, else count. A class's own
// allowance goes before both.
type Allow struct {
	bundle.Pos
	Count    string `xml:"count,attr"`
	CountRef string `xml:"countRef,attr"`
	Class    *Class `xml:"Class,once"`
}

// Class gives requests different allowances, by the value of a variable.
type Class struct {
	bundle.Pos
	Ref   string       `xml:"ref,attr,required"`
	Allow []ClassAllow `xml:"Allow"`
}

// ClassAllow is the allowance of a class.
type ClassAllow struct {
	bundle.Pos
	Class    string `xml:"class,attr,required"`
	Count    string `xml:"count,attr"`
	CountRef string `xml:"countRef,attr"`
}

// Ref is the variable in ref if it is set, else the text.
type Ref struct {
	bundle.Pos
	Ref string `xml:"ref,attr"`
	// Type is of no effect.
	Type string `xml:"type,attr"`
	Text string `xml:",chardata"`
}

// empty reports whether it names nothing, which is as good as absent.
func (r *Ref) empty() bool { return strings.TrimSpace(r.Ref) == "" && strings.TrimSpace(r.Text) == "" }

// Asynchronous is the <AsynchronousConfiguration>.
type Asynchronous struct {
	bundle.Pos
	SyncIntervalInSeconds string `xml:"SyncIntervalInSeconds,once"`
	SyncMessageCount      string `xml:"SyncMessageCount,once"`
}

// Product is the <UseQuotaConfigInAPIProduct>.
type Product struct {
	bundle.Pos
	// StepName is the VerifyAPIKey or OAuthV2 step that found the product.
	StepName string `xml:"stepName,attr,required"`
	// DefaultConfig counts where the product has no quota.
	DefaultConfig *Default `xml:"DefaultConfig,once"`
}

// Default is the <DefaultConfig>.
type Default struct {
	bundle.Pos
	Allow    DefaultAllow `xml:"Allow,once,required"`
	Interval Ref          `xml:"Interval,once,required"`
	TimeUnit Ref          `xml:"TimeUnit,once,required"`
}

// DefaultAllow is the <Allow> of a <DefaultConfig>: a number, or as Allow has it.
type DefaultAllow struct {
	bundle.Pos
	Count    string `xml:"count,attr"`
	CountRef string `xml:"countRef,attr"`
	Class    *Class `xml:"Class,once"`
	Text     string `xml:",chardata"`
}

// Kind is what differs between the policies.
type Kind struct {
	// Prefix goes before fault names: "policies.ratelimit.".
	Prefix string
	// Violation is the name of the fault of a request that is too much, and
	// Text its text before the identifier.
	Violation, Text string
	// Quota is the name of the product's quota in variables: quota or llmQuota.
	Quota string
}

// defaultIdentifier is the counter of requests that are not told apart.
const defaultIdentifier = "_default"

// defaultCount is what is allowed where nothing says how much.
const defaultCount = 2000

// ref is a compiled Ref.
type ref struct {
	v    flow.Var
	text string
}

func compileRef(env *policy.Env, r *Ref) ref {
	if r == nil {
		return ref{}
	}
	return newRef(env, r.Ref, r.Text)
}

func newRef(env *policy.Env, variable, text string) ref {
	out := ref{text: strings.TrimSpace(text)}
	if name := strings.TrimSpace(variable); name != "" {
		out.v = env.Var(name)
	}
	return out
}

// get is the variable's text if that is not empty, else the text.
func (r *ref) get(fc *flow.Context) string {
	if !r.v.IsZero() {
		if s := r.v.Get(fc).String(); s != "" {
			return s
		}
	}
	return r.text
}

// number is get as a whole number that is not negative.
func (r *ref) number(fc *flow.Context) (int64, bool) {
	if !r.v.IsZero() {
		if n, ok := r.v.Get(fc).Int(); ok && n >= 0 {
			return n, true
		}
	}
	n, err := strconv.ParseInt(r.text, 10, 64)
	return n, err == nil && n >= 0
}

// The kinds of quota.
var (
	Requests = Kind{
		Prefix: "policies.ratelimit.", Violation: "QuotaViolation", Quota: "quota",
		Text: "Rate limit quota violation. Quota limit  exceeded. Identifier : ",
	}
	Tokens = Kind{
		Prefix: "policies.llmtokenquota.", Violation: "LLMTokenQuotaViolation", Quota: "llmQuota",
		Text: "Rate limit LLM Token quota violation. Quota limit exceeded. Identifier : ",
	}
)
