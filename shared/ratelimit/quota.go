package ratelimit

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Quota is compiled Settings. It is immutable but for a window it remembers.
type Quota struct {
	kind   Kind
	quotas policy.Quotas
	settle func(context.Context)
	policy string
	name   string // of the counter

	form       form
	start      time.Time // of type calendar
	config     config    // Allow, Interval, TimeUnit
	identifier ref
	product    *product
	exact      bool
	count      bool
	enforce    bool

	window atomic.Pointer[policy.Window]
	vars   variables
}

// form is the type attribute.
type form uint8

const (
	byClock form = iota
	calendar
	flexi
	rolling
)

// config is how much is allowed in which interval.
type config struct {
	allow    ref
	count    int64 // where allow gives nothing
	interval ref
	unit     ref
	classRef flow.Var
	classes  map[string]ref
}

// product is where the configuration of the API product is.
type product struct {
	places    []place // the first that has a product counts
	otherwise *config // nil: the policy's own
}

// place is the variables of a step that found the product.
type place struct {
	own, all  config // of the operation, of the product
	name      flow.Var
	operation flow.Var
	scope     flow.Var
}

// Use is one use of the quota by a call.
type Use struct {
	policy.QuotaRequest
	Class string
}

// Use finds out which counter this call uses and how much is allowed.
func (q *Quota) Use(fc *flow.Context) (Use, error) {
	u := Use{QuotaRequest: policy.QuotaRequest{Exact: q.exact, CountOnly: q.count, EnforceOnly: q.enforce}}
	u.Counter = policy.Counter{Proxy: fc.Proxy.Name, Name: q.name, Identifier: defaultIdentifier}
	if id := q.identifier.get(fc); id != "" {
		u.Counter.Identifier = id
	}
	c := &q.config
	if q.product != nil {
		c = q.product.find(fc, c, &u.Counter)
	}
	u.Limit = c.limit(fc)
	if !c.classRef.IsZero() {
		u.Class = c.classRef.Get(fc).String()
		if q.product != nil { // behind the product's name
			u.Counter.Class += "\x00"
		}
		u.Counter.Class += u.Class
		if allow, ok := c.classes[u.Class]; ok {
			if n, ok := allow.number(fc); ok {
				u.Limit = n
			}
		}
	}
	interval, unit, err := q.interval(fc, c)
	if err != nil {
		return u, err
	}
	u.Window = q.windowAt(fc.Now(), interval, unit)
	return u, nil
}

func (c *config) limit(fc *flow.Context) int64 {
	if n, ok := c.allow.number(fc); ok {
		return n
	}
	return c.count
}

func (q *Quota) interval(fc *flow.Context, c *config) (int64, Unit, error) {
	interval, ok := c.interval.number(fc)
	if !ok || interval == 0 {
		return 0, "", q.Fault("FailedToResolveQuotaIntervalReference", 500,
			"Failed to resolve quota interval reference "+c.interval.v.Name()+" in quota policy {1}")
	}
	unit := Unit(strings.ToLower(c.unit.get(fc)))
	if !unit.valid() {
		return 0, "", q.Fault("FailedToResolveQuotaIntervalTimeUnitReference", 500,
			"Failed to resolve quota time unit reference "+c.unit.v.Name()+" in quota policy {1}")
	}
	return interval, unit, nil
}

// windowAt is the window that now is in. Fixed ones are remembered until they are
// over.
func (q *Quota) windowAt(now time.Time, interval int64, unit Unit) policy.Window {
	switch q.form {
	case flexi:
		return moving(policy.FlexiWindow, now, interval, unit)
	case rolling:
		return moving(policy.RollingWindow, now, interval, unit)
	}
	if w := q.window.Load(); w != nil && w.Interval == interval && w.Unit == string(unit) && !now.Before(w.Start) && now.Before(w.End) {
		return *w
	}
	var w policy.Window
	if q.form == calendar {
		w = since(q.start, now, interval, unit)
	} else {
		w = aligned(now, interval, unit)
	}
	q.window.Store(&w)
	return w
}

// find chooses the operation's configuration, the product's, the default or own,
// and sets what is counted together.
// Source: https://cloud.google.com/apigee/docs/reference/apis/apigee/rest/v1/organizations.apiproducts#QuotaCounterScope
func (p *product) find(fc *flow.Context, own *config, c *policy.Counter) *config {
	at := p.place(fc)
	c.Class = at.name.Get(fc).String()
	switch {
	case at.own.given(fc):
		c.Class += "\x00" + at.operation.Get(fc).String()
		return &at.own
	case at.all.given(fc):
		if at.scope.Get(fc).String() == "OPERATION" {
			c.Class += "\x00" + at.operation.Get(fc).String()
		}
		return &at.all
	case p.otherwise != nil:
		return p.otherwise
	}
	return own
}

func (p *product) place(fc *flow.Context) *place {
	for i := range p.places {
		if at := &p.places[i]; !at.name.Get(fc).IsNull() {
			return at
		}
	}
	return &p.places[0]
}

func (c *config) given(fc *flow.Context) bool {
	_, ok := c.allow.number(fc)
	return ok
}

// Run counts a use of the given weight, refuses it if it is too much, and sets the
// variables.
func (q *Quota) Run(ctx context.Context, fc *flow.Context, weight int64) error {
	u, err := q.Use(fc)
	if err != nil {
		return err
	}
	u.Weight = weight
	if weight == 0 { // counts nothing, and is never too much by itself
		u.EnforceOnly, u.CountOnly = true, false
	}
	res, err := q.quotas.Use(ctx, u.QuotaRequest)
	if err != nil {
		return q.Fault("QuotaUnavailable", 503, "Quota cannot be checked. Identifier : "+u.Counter.Identifier).WithCause(err)
	}
	fc.After(q.settle)
	if q.count || weight == 0 && !q.enforce {
		res.Allowed = true
	}
	q.vars.set(fc, &u, &res)
	if !res.Allowed {
		return q.Fault(q.kind.Violation, 429, q.kind.Text+u.Counter.Identifier)
	}
	return nil
}

// Fault is a fault of the policy.
func (q *Quota) Fault(name string, status int, text string) *fault.Fault {
	return fault.New(q.kind.Prefix+name, status, text).Failed(q.vars.failed)
}

// variables are the names of the variables a quota sets.
type variables struct {
	allowed, used, available, exceed, totalExceed, expiry, identifier, class, failed string
	classAllowed, classUsed, classAvailable, classExceed, classTotalExceed           string
}

func variablesOf(policy string) variables {
	p := "ratelimit." + policy + "."
	return variables{
		allowed: p + "allowed.count", used: p + "used.count", available: p + "available.count",
		exceed: p + "exceed.count", totalExceed: p + "total.exceed.count",
		expiry: p + "expiry.time", identifier: p + "identifier", class: p + "class", failed: p + "failed",
		classAllowed: p + "class.allowed.count", classUsed: p + "class.used.count", classAvailable: p + "class.available.count",
		classExceed: p + "class.exceed.count", classTotalExceed: p + "class.total.exceed.count",
	}
}

func (v *variables) set(fc *flow.Context, u *Use, res *policy.QuotaResult) {
	allowed, used := flow.IntValue(u.Limit), flow.IntValue(res.Used)
	available := flow.IntValue(max(0, u.Limit-res.Used))
	over := int64(0)
	if !res.Allowed || res.Used > u.Limit {
		over = 1
	}
	exceed := flow.IntValue(over)
	fc.Put(v.allowed, allowed)
	fc.Put(v.used, used)
	fc.Put(v.available, available)
	fc.Put(v.exceed, exceed)
	fc.Put(v.totalExceed, exceed)
	fc.Put(v.expiry, flow.IntValue(res.ExpiresAt.UnixMilli()))
	fc.PutText(v.identifier, u.Counter.Identifier)
	fc.Put(v.failed, flow.BoolValue(false))
	if u.Class == "" {
		return
	}
	fc.PutText(v.class, u.Class)
	fc.Put(v.classAllowed, allowed)
	fc.Put(v.classUsed, used)
	fc.Put(v.classAvailable, available)
	fc.Put(v.classExceed, exceed)
	fc.Put(v.classTotalExceed, exceed)
}
