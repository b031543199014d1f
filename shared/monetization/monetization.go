// Package monetization says whether a developer or app group may use an API product
// that costs something: for MonetizationLimitsCheck.
//
// A product with a published rate plan that is in force is monetized. It may be
// used by who has subscribed to it and, with prepaid billing, has a balance above 0
// in the plan's currency.
//
// Calls are not rated: balances change by the Management API only.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/monetization/enforce-monetization-limits
package monetization

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
)

const (
	// maxAge is how long what was read is believed, unless Drop is called.
	maxAge = 180 * time.Second
	// readTimeout bounds reading.
	readTimeout = 10 * time.Second
	// maxKnown bounds what is kept, about 500 bytes each.
	maxKnown = 20_000
)

// Reasons why a call is blocked.
const (
	NoSubscription      = "mint.service.subscription_not_found_for_developer"
	InsufficientBalance = "mint.service.developer_usage_exceeds_balance"
)

var errNobody = errors.New("no API key or access token was verified before")

// Service implements policy.Monetization for an organization. Make one and share
// it, as it has the cache.
type Service struct {
	r          *registry.Registry
	org        string
	generation atomic.Int64
	known      *otter.Cache[use, *standing]
}

var _ policy.Monetization = (*Service)(nil)

// use is who uses what.
type use struct {
	entity.Payer
	product string
}

// standing is what was read of a use.
type standing struct {
	plans         []*apigee.GoogleCloudApigeeV1RatePlan // published
	subscriptions []*registry.Subscription
	account       *entity.Account
	read          time.Time
	generation    int64
}

// New returns the service of an organization. It reads nothing.
func New(r *registry.Registry, org string) *Service {
	return &Service{r: r, org: org, known: otter.Must(&otter.Options[use, *standing]{MaximumSize: maxKnown})}
}

// Drop forgets everything: a plan, a subscription or an account may have changed.
func (s *Service) Drop() { s.generation.Add(1) }

// Limits implements policy.Monetization. What it says is at most 180 s old, and no
// older than the change of a plan, subscription or account that Drop told of.
func (s *Service) Limits(ctx context.Context, caller *flow.Caller) (policy.Limits, error) {
	if caller == nil || caller.Product == "" || caller.Developer == "" && caller.AppGroup == "" {
		return policy.Limits{}, errNobody
	}
	u := use{entity.Payer{Developer: caller.Developer, Group: caller.AppGroup}, caller.Product}
	if u.Group != "" {
		u.Developer = ""
	}
	st, ok := s.known.GetIfPresent(u)
	if !ok || st.generation != s.generation.Load() || s.r.Now().Sub(st.read) >= maxAge {
		var err error
		if st, err = s.load(ctx, u); err != nil {
			return policy.Limits{}, err
		}
	}
	return st.limits(u.product, s.r.Now().UnixMilli()), nil
}

func (s *Service) load(ctx context.Context, u use) (*standing, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	u.Developer, u.Group, u.product = strings.Clone(u.Developer), strings.Clone(u.Group), strings.Clone(u.product)
	st := &standing{read: s.r.Now(), generation: s.generation.Load()}
	for item, err := range s.r.RatePlans.List(ctx, registry.Page{}, s.org, u.product) {
		if err != nil {
			return nil, fmt.Errorf("read rate plans: %w", err)
		}
		if item.Value.State == "PUBLISHED" {
			st.plans = append(st.plans, item.Value)
		}
	}
	if len(st.plans) > 0 { // what is free needs no more reads
		for item, err := range s.r.Subscriptions.List(ctx, registry.Page{}, registry.PayerID(s.org, u.Payer)...) {
			if err != nil {
				return nil, fmt.Errorf("read subscriptions: %w", err)
			}
			if item.Value.Apiproduct == u.product {
				st.subscriptions = append(st.subscriptions, item.Value)
			}
		}
		var err error
		if st.account, err = s.r.Account(ctx, s.org, u.Payer); err != nil {
			return nil, fmt.Errorf("read account: %w", err)
		}
	}
	s.known.Set(u, st)
	return st, nil
}

// inForce reports whether now is in a time; an end of 0 is never.
func inForce(start, end, now int64) bool { return start <= now && (end == 0 || now < end) }

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// limits is what holds at now, in milliseconds since 1970.
func (st *standing) limits(product string, now int64) policy.Limits {
	var l policy.Limits
	currency := ""
	for _, p := range st.plans {
		if inForce(p.StartTime, p.EndTime, now) {
			l = policy.Limits{Monetized: true, Plan: p.Name, PlanStart: at(p.StartTime), PlanEnd: at(p.EndTime)}
			currency = p.CurrencyCode
			break
		}
	}
	if !l.Monetized {
		return l
	}
	for _, s := range st.subscriptions {
		if inForce(s.StartTime, s.EndTime, now) {
			l.Subscribed, l.Start, l.End, l.Product = true, at(s.StartTime), at(s.EndTime), product
			break
		}
	}
	if !l.Subscribed {
		l.Blocked = NoSubscription
	}
	if st.account.BillingType != entity.Prepaid {
		return l
	}
	l.Balance, l.Currency = "0", currency
	w := st.account.Wallet(currency)
	if w != nil {
		l.Balance = decimal(w.Balance)
	}
	if l.Blocked == "" && (w == nil || entity.Sign(w.Balance) <= 0) {
		l.Blocked = InsufficientBalance
	}
	return l
}

// decimal is an amount as a decimal number: 12.5, -0.01.
func decimal(m *entity.Money) string {
	units, nanos, sign := m.Units, m.Nanos, ""
	if units < 0 || nanos < 0 {
		units, nanos, sign = -units, -nanos, "-"
	}
	text := fmt.Sprintf("%s%d.%09d", sign, units, nanos)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}
