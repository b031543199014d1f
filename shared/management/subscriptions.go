package management

import (
	"slices"

	"github.com/google/uuid"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// What developers and app groups pay with: subscriptions to API products, a prepaid
// balance, a billing type. They are kept for clients; no call is charged. The
// types of app groups have the same JSON as those of developers, except for lists.

type (
	subscription = apigee.GoogleCloudApigeeV1DeveloperSubscription
	balance      = apigee.GoogleCloudApigeeV1DeveloperBalance
	wallet       = apigee.GoogleCloudApigeeV1DeveloperBalanceWallet
	billing      = apigee.GoogleCloudApigeeV1DeveloperMonetizationConfig
	money        = apigee.GoogleTypeMoney
)

// account is a balance and the last credits to it, by which one that is sent twice
// counts once.
type account struct {
	Balance *balance `json:"balance"`
	Credits []string `json:"credits,omitempty"`
}

// maxCredits is how many credits are remembered.
const maxCredits = 100

// payer is the id of what the developer or app group of the path has of a kind.
func (c *call) payer(kind string) ([]string, error) {
	o, err := c.owner()
	if err != nil {
		return nil, err
	}
	if o.Group == "" {
		return []string{c.param("org"), kind, "developers", o.Developer}, nil
	}
	// Not the name: a group made anew under it owes nothing.
	g, err := c.Registry.AppGroups.Get(c.ctx(), c.param("org"), o.Group)
	if err != nil {
		return nil, err
	}
	return []string{c.param("org"), kind, "appgroups", g.AppGroupId}, nil
}

const subscriptionKind = "subscriptions"

// subscription is the id of the subscription of the path.
func (c *call) subscription() ([]string, error) {
	id, err := c.payer(subscriptionKind)
	return append(id, c.param("subscription")), err
}

// listSubscriptions gives those of a developer by count and startKey.
func listSubscriptions(c *call) (any, error) {
	id, err := c.payer(subscriptionKind)
	if err != nil {
		return nil, err
	}
	n, err := c.size(100, maxListed, "count")
	if err != nil {
		return nil, err
	}
	list := new(apigee.GoogleCloudApigeeV1ListDeveloperSubscriptionsResponse)
	for item, err := range c.stored.subscriptions.From(c.ctx(), c.arg("startKey", "start_key"), n+1, id...) {
		if err != nil {
			return nil, err
		}
		if len(list.DeveloperSubscriptions) == n {
			list.NextStartKey = item.Name
			break
		}
		list.DeveloperSubscriptions = append(list.DeveloperSubscriptions, item.Value)
	}
	return list, nil
}

// listGroupSubscriptions gives those of an app group by page tokens.
func listGroupSubscriptions(c *call) (any, error) {
	id, err := c.payer(subscriptionKind)
	if err != nil {
		return nil, err
	}
	list, next, err := pageOf(c, c.stored.subscriptions, 100, maxListed, id...)
	return listed("appGroupSubscriptions", list, next), err
}

func createSubscription(c *call) (any, error) {
	id, err := c.payer(subscriptionKind)
	if err != nil {
		return nil, err
	}
	s := new(subscription)
	if err := c.decode(s, "name", "createdAt", "lastModifiedAt"); err != nil {
		return nil, err
	}
	if s.Apiproduct == "" {
		return nil, invalid("apiproduct of the subscription is missing")
	}
	if _, err := c.Registry.Products.Get(c.ctx(), c.param("org"), s.Apiproduct); err != nil {
		return nil, err
	}
	now := c.Registry.Now().UnixMilli()
	s.Name, s.CreatedAt, s.LastModifiedAt = uuid.NewString(), now, now
	if s.StartTime == 0 {
		s.StartTime = now
	}
	if s.EndTime != 0 && s.EndTime <= s.StartTime {
		return nil, invalid("endTime of the subscription is not after its startTime")
	}
	return s, c.stored.subscriptions.Create(c.ctx(), s, append(id, s.Name)...)
}

func getSubscription(c *call) (any, error) {
	id, err := c.subscription()
	if err != nil {
		return nil, err
	}
	return answered(c.stored.subscriptions.Get(c.ctx(), id...))
}

// expireSubscription ends a subscription now; one that has ended stays as it is.
func expireSubscription(c *call) (any, error) {
	id, err := c.subscription()
	if err != nil {
		return nil, err
	}
	now := c.Registry.Now().UnixMilli()
	return answered(c.stored.subscriptions.Update(c.ctx(), func(s *subscription) error {
		if s.EndTime == 0 || s.EndTime > now {
			s.EndTime, s.LastModifiedAt = now, now
		}
		return nil
	}, id...))
}

const balanceKind = "balances"

func getBalance(c *call) (any, error) {
	id, err := c.payer(balanceKind)
	if err != nil {
		return nil, err
	}
	a, err := c.stored.accounts.Get(c.ctx(), id...)
	if entity.IsNotFound(err) {
		return new(balance), nil
	}
	if err != nil {
		return nil, err
	}
	return a.Balance, nil
}

// creditBalance adds to the balance what was paid, once for each transactionId.
func creditBalance(c *call) (any, error) {
	r := new(apigee.GoogleCloudApigeeV1CreditDeveloperBalanceRequest)
	if err := c.decode(r); err != nil {
		return nil, err
	}
	if r.TransactionId == "" {
		return nil, invalid("transactionId is missing")
	}
	if err := checkMoney("transactionAmount", r.TransactionAmount); err != nil {
		return nil, err
	}
	if r.TransactionAmount.Units < 0 || r.TransactionAmount.Nanos < 0 {
		return nil, invalid("transactionAmount is less than nothing")
	}
	return c.book(func(a *account) {
		if slices.Contains(a.Credits, r.TransactionId) {
			return
		}
		a.Credits = append(a.Credits[max(0, len(a.Credits)-maxCredits+1):], r.TransactionId)
		add(a.Balance, r.TransactionAmount).LastCreditTime = c.Registry.Now().UnixMilli()
	})
}

// adjustBalance corrects the balance: more for who was charged too much.
func adjustBalance(c *call) (any, error) {
	r := new(apigee.GoogleCloudApigeeV1AdjustDeveloperBalanceRequest)
	if err := c.decode(r); err != nil {
		return nil, err
	}
	if err := checkMoney("adjustment", r.Adjustment); err != nil {
		return nil, err
	}
	return c.book(func(a *account) { add(a.Balance, r.Adjustment) })
}

// book changes the account of the path, which need not exist.
func (c *call) book(change func(a *account)) (any, error) {
	id, err := c.payer(balanceKind)
	if err != nil {
		return nil, err
	}
	update := func() (*account, error) {
		return c.stored.accounts.Update(c.ctx(), func(a *account) error { change(a); return nil }, id...)
	}
	a, err := update()
	if entity.IsNotFound(err) {
		a = &account{Balance: new(balance)}
		change(a)
		if err = c.stored.accounts.Create(c.ctx(), a, id...); entity.IsAlreadyExists(err) {
			a, err = update()
		}
	}
	if err != nil {
		return nil, err
	}
	return a.Balance, nil
}

// checkMoney wants an amount as google.type.Money has it: a currency, and a whole
// and a fraction of the same sign.
func checkMoney(field string, m *money) error {
	switch {
	case m == nil:
		return invalid("%s is missing", field)
	case len(m.CurrencyCode) != 3:
		return invalid("currencyCode of %s is %q, want three letters", field, m.CurrencyCode)
	case m.Nanos <= -billion || m.Nanos >= billion || m.Units > 0 && m.Nanos < 0 || m.Units < 0 && m.Nanos > 0:
		return invalid("nanos of %s is no fraction of its units", field)
	case m.Units > maxUnits || m.Units < -maxUnits:
		return invalid("%s is more than %d", field, int64(maxUnits))
	}
	return nil
}

const (
	billion  = 1_000_000_000
	maxUnits = 1_000_000_000_000
)

// add adds an amount to the wallet of its currency and returns that.
func add(b *balance, m *money) *wallet {
	i := slices.IndexFunc(b.Wallets, func(w *wallet) bool { return w.Balance.CurrencyCode == m.CurrencyCode })
	if i < 0 {
		i = len(b.Wallets)
		b.Wallets = append(b.Wallets, &wallet{Balance: &money{CurrencyCode: m.CurrencyCode}})
	}
	w := b.Wallets[i]
	units, nanos := w.Balance.Units+m.Units, w.Balance.Nanos+m.Nanos
	units, nanos = units+nanos/billion, nanos%billion
	switch {
	case units > 0 && nanos < 0:
		units, nanos = units-1, nanos+billion
	case units < 0 && nanos > 0:
		units, nanos = units+1, nanos-billion
	}
	w.Balance.Units, w.Balance.Nanos = units, nanos
	return w
}

const billingKind = "monetizationConfigs"

func getBilling(c *call) (any, error) {
	id, err := c.payer(billingKind)
	if err != nil {
		return nil, err
	}
	b, err := c.stored.billings.Get(c.ctx(), id...)
	if entity.IsNotFound(err) {
		return &billing{BillingType: "POSTPAID"}, nil
	}
	return answered(b, err)
}

func updateBilling(c *call) (any, error) {
	id, err := c.payer(billingKind)
	if err != nil {
		return nil, err
	}
	b := new(billing)
	if err := c.decode(b); err != nil {
		return nil, err
	}
	if b.BillingType != "PREPAID" && b.BillingType != "POSTPAID" {
		return nil, invalid("billingType is %q, want PREPAID or POSTPAID", b.BillingType)
	}
	return b, c.stored.billings.Put(c.ctx(), b, id...)
}
