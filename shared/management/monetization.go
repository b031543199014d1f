package management

import (
	"iter"

	"github.com/google/uuid"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// payer is the developer or app group of the path, which must exist.
func (c *call) payer() (entity.Payer, error) {
	if c.param("appgroup") != "" {
		g, err := c.Registry.AppGroups.Get(c.ctx(), c.appGroupID()...)
		if err != nil {
			return entity.Payer{}, err
		}
		return entity.Payer{Group: g.Name}, nil
	}
	d, err := c.developer()
	if err != nil {
		return entity.Payer{}, err
	}
	return entity.Payer{Developer: d.DeveloperId}, nil
}

// account answers with what show makes of the payer's account.
func (c *call) account(show func(*entity.Account) any) (any, error) {
	p, err := c.payer()
	if err != nil {
		return nil, err
	}
	a, err := c.Registry.Account(c.ctx(), c.param("org"), p)
	if err != nil {
		return nil, err
	}
	return show(a), nil
}

// editAccount changes the payer's account and answers with what show makes of it.
func (c *call) editAccount(change func(*entity.Account) error, show func(*entity.Account) any) (any, error) {
	p, err := c.payer()
	if err != nil {
		return nil, err
	}
	a, err := c.Registry.EditAccount(c.ctx(), c.param("org"), p, change)
	if err != nil {
		return nil, err
	}
	return show(a), nil
}

// balance is the account's balance; that of an app group has the same fields.
func balance(a *entity.Account) any {
	b := new(apigee.GoogleCloudApigeeV1DeveloperBalance)
	for _, w := range a.Wallets {
		b.Wallets = append(b.Wallets, &apigee.GoogleCloudApigeeV1DeveloperBalanceWallet{Balance: w.Balance, LastCreditTime: w.LastCreditTime})
	}
	return b
}

func getBalance(c *call) (any, error) { return c.account(balance) }

func creditBalance(c *call) (any, error) {
	r := new(apigee.GoogleCloudApigeeV1CreditDeveloperBalanceRequest)
	if err := c.decode(r); err != nil {
		return nil, err
	}
	return c.editAccount(func(a *entity.Account) error {
		return a.Credit(r.TransactionAmount, r.TransactionId, c.Registry.Now().UnixMilli())
	}, balance)
}

func adjustBalance(c *call) (any, error) {
	r := new(apigee.GoogleCloudApigeeV1AdjustDeveloperBalanceRequest)
	if err := c.decode(r); err != nil {
		return nil, err
	}
	return c.editAccount(func(a *entity.Account) error { return a.Adjust(r.Adjustment) }, balance)
}

// billing is the account's monetization configuration.
func billing(a *entity.Account) any {
	b := &apigee.GoogleCloudApigeeV1DeveloperMonetizationConfig{BillingType: a.BillingType}
	if b.BillingType == "" {
		b.BillingType = entity.Postpaid
	}
	return b
}

func getBilling(c *call) (any, error) { return c.account(billing) }

func updateBilling(c *call) (any, error) {
	b := new(apigee.GoogleCloudApigeeV1DeveloperMonetizationConfig)
	if err := c.decode(b); err != nil {
		return nil, err
	}
	switch b.BillingType {
	case entity.Prepaid, entity.Postpaid:
	default:
		return nil, invalid("billingType %q is invalid: want %s or %s", b.BillingType, entity.Prepaid, entity.Postpaid)
	}
	return c.editAccount(func(a *entity.Account) error { a.BillingType = b.BillingType; return nil }, billing)
}

// subscriptionIgnored are names in subscriptions that are the server's.
var subscriptionIgnored = []string{"name", "createdAt", "lastModifiedAt"}

// subscriptionID is the scope of the payer's subscriptions, or the id of one.
func (c *call) subscriptionID(name ...string) ([]string, error) {
	p, err := c.payer()
	if err != nil {
		return nil, err
	}
	return registry.PayerID(c.param("org"), p, name...), nil
}

// listDeveloperSubscriptions gives 100 unless asked for another number.
func listDeveloperSubscriptions(c *call) (any, error) {
	scope, err := c.subscriptionID()
	if err != nil {
		return nil, err
	}
	n, err := c.size(100, maxListed, "count")
	if err != nil {
		return nil, err
	}
	list := new(apigee.GoogleCloudApigeeV1ListDeveloperSubscriptionsResponse)
	for item, err := range c.Registry.Subscriptions.From(c.ctx(), c.arg("startKey", "start_key"), n+1, scope...) {
		if err != nil {
			return nil, err
		}
		if len(list.DeveloperSubscriptions) == n {
			list.NextStartKey = item.Value.Name
			break
		}
		list.DeveloperSubscriptions = append(list.DeveloperSubscriptions, item.Value)
	}
	return list, nil
}

func listGroupSubscriptions(c *call) (any, error) {
	scope, err := c.subscriptionID()
	if err != nil {
		return nil, err
	}
	p, err := c.page(100, maxListed)
	if err != nil {
		return nil, err
	}
	all := func(page registry.Page) iter.Seq2[registry.Item[registry.Subscription], error] {
		return c.Registry.Subscriptions.List(c.ctx(), page, scope...)
	}
	items, next, err := take(p, all, func(i registry.Item[registry.Subscription]) string { return i.Name })
	if err != nil {
		return nil, err
	}
	list := &apigee.GoogleCloudApigeeV1ListAppGroupSubscriptionsResponse{NextPageToken: next}
	for _, item := range items {
		s := item.Value
		list.AppGroupSubscriptions = append(list.AppGroupSubscriptions, &apigee.GoogleCloudApigeeV1AppGroupSubscription{
			Apiproduct: s.Apiproduct, Name: s.Name, StartTime: s.StartTime, EndTime: s.EndTime, CreatedAt: s.CreatedAt, LastModifiedAt: s.LastModifiedAt,
		})
	}
	return list, nil
}

// createSubscription names the subscription itself.
func createSubscription(c *call) (any, error) {
	s := new(registry.Subscription)
	if err := c.decode(s, subscriptionIgnored...); err != nil {
		return nil, err
	}
	name := uuid.NewString()
	id, err := c.subscriptionID(name)
	if err != nil {
		return nil, err
	}
	c.made = name
	return answered(s, c.Registry.Subscriptions.Create(c.ctx(), s, id...))
}

func getSubscription(c *call) (any, error) {
	id, err := c.subscriptionID(c.param("subscription"))
	if err != nil {
		return nil, err
	}
	return answered(c.Registry.Subscriptions.Get(c.ctx(), id...))
}

// expireSubscription ends a subscription now.
func expireSubscription(c *call) (any, error) {
	if err := c.decode(new(apigee.GoogleCloudApigeeV1ExpireDeveloperSubscriptionRequest)); err != nil {
		return nil, err
	}
	id, err := c.subscriptionID(c.param("subscription"))
	if err != nil {
		return nil, err
	}
	now := c.Registry.Now().UnixMilli()
	return answered(c.Registry.Subscriptions.Update(c.ctx(), func(s *registry.Subscription) error {
		if s.EndTime != 0 && s.EndTime <= now {
			return entity.Errorf(entity.FailedPrecondition, "subscription %q has ended", s.Name)
		}
		s.EndTime = now
		s.StartTime = min(s.StartTime, now)
		return nil
	}, id...))
}
