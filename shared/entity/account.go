package entity

import (
	"slices"

	apigee "google.golang.org/api/apigee/v1"
)

// Money is an amount in a currency.
type Money = apigee.GoogleTypeMoney

// Billing types of developers and app groups.
const (
	Prepaid  = "PREPAID"
	Postpaid = "POSTPAID"
)

// maxUnits bounds amounts, so that sums of them do not overflow.
const maxUnits = 1e15

// maxCredits is how many transaction ids of credits an account remembers.
const maxCredits = 1000

// Payer is who subscribes to API products and pays for them: a developer by its
// id, or an app group by its name. Exactly one is set.
type Payer struct {
	Developer, Group string
}

// Parts are the parts of the payer's id.
func (p Payer) Parts() []string {
	if p.Group != "" {
		return []string{"appgroup", p.Group}
	}
	return []string{"developer", p.Developer}
}

// Account is how a payer pays: BillingType and the balances of its wallets.
type Account struct {
	// BillingType is Prepaid or Postpaid; "" is Postpaid.
	BillingType string    `json:"billingType,omitempty"`
	Wallets     []*Wallet `json:"wallets,omitempty"`
	// Credits are the transaction ids of the latest credits.
	Credits []string `json:"credits,omitempty"`
}

// Wallet is a balance in one currency.
type Wallet struct {
	Balance *Money `json:"balance"`
	// Credited is the balance as of the most recent credit, which adjustments do
	// not exceed.
	Credited *Money `json:"credited"`
	// LastCreditTime is in milliseconds since 1970.
	LastCreditTime int64 `json:"lastCreditTime,omitempty"`
}

// Wallet is the wallet of a currency, nil if there is none.
func (a *Account) Wallet(currency string) *Wallet {
	i := slices.IndexFunc(a.Wallets, func(w *Wallet) bool { return w.Balance.CurrencyCode == currency })
	if i < 0 {
		return nil
	}
	return a.Wallets[i]
}

// Credit adds an amount to the wallet of its currency. Of several credits with one
// transaction id only the first counts; "" is none. now is in milliseconds since
// 1970.
// Source: https://cloud.google.com/apigee/docs/reference/apis/apigee/rest/v1/organizations.developers.balance/credit
func (a *Account) Credit(amount *Money, transaction string, now int64) error {
	if err := checkMoney("transactionAmount", amount); err != nil {
		return err
	}
	if Sign(amount) <= 0 {
		return Errorf(InvalidArgument, "transactionAmount is not above 0")
	}
	if transaction != "" && slices.Contains(a.Credits, transaction) {
		return nil
	}
	w := a.Wallet(amount.CurrencyCode)
	if w == nil {
		w = &Wallet{Balance: &Money{CurrencyCode: amount.CurrencyCode}}
		a.Wallets = append(a.Wallets, w)
	}
	sum := add(w.Balance, amount, 1)
	if err := checkMoney("balance", sum); err != nil {
		return err
	}
	w.Balance, w.Credited, w.LastCreditTime = sum, sum, now
	if transaction != "" {
		a.Credits = append(a.Credits, transaction)
		a.Credits = a.Credits[max(0, len(a.Credits)-maxCredits):]
	}
	return nil
}

// Adjust takes an amount from the wallet of its currency, since too little was
// charged; a negative one is given back, up to the balance as of the most recent
// credit.
// Source: https://cloud.google.com/apigee/docs/reference/apis/apigee/rest/v1/organizations.developers.balance/adjust
func (a *Account) Adjust(amount *Money) error {
	if err := checkMoney("adjustment", amount); err != nil {
		return err
	}
	w := a.Wallet(amount.CurrencyCode)
	if w == nil {
		return Errorf(FailedPrecondition, "there is no balance in %s to adjust", amount.CurrencyCode)
	}
	sum := add(w.Balance, amount, -1)
	if Sign(add(sum, w.Credited, -1)) > 0 {
		return Errorf(FailedPrecondition, "an adjustment cannot increase the balance beyond that of the most recent credit")
	}
	if err := checkMoney("balance", sum); err != nil {
		return err
	}
	w.Balance = sum
	return nil
}

// Sign is -1, 0 or 1 as the amount is below, at or above 0.
func Sign(m *Money) int {
	switch {
	case m.Units < 0 || m.Nanos < 0:
		return -1
	case m.Units > 0 || m.Nanos > 0:
		return 1
	}
	return 0
}

func checkMoney(what string, m *Money) error {
	if m == nil {
		return Errorf(InvalidArgument, "%s is missing", what)
	}
	letters := len(m.CurrencyCode) == 3
	for _, r := range m.CurrencyCode {
		letters = letters && r >= 'A' && r <= 'Z'
	}
	if !letters {
		return Errorf(InvalidArgument, "currencyCode %q of the %s is not of three letters of ISO 4217", m.CurrencyCode, what)
	}
	if m.Nanos <= -1e9 || m.Nanos >= 1e9 || m.Units > 0 && m.Nanos < 0 || m.Units < 0 && m.Nanos > 0 {
		return Errorf(InvalidArgument, "nanos %d of the %s do not go with units %d", m.Nanos, what, m.Units)
	}
	if m.Units > maxUnits || m.Units < -maxUnits {
		return Errorf(InvalidArgument, "units %d of the %s are out of range", m.Units, what)
	}
	return nil
}

// add is a + sign*b, in the currency of a.
func add(a, b *Money, sign int64) *Money {
	units, nanos := a.Units+sign*b.Units, a.Nanos+sign*b.Nanos
	units, nanos = units+nanos/1e9, nanos%1e9
	switch {
	case units > 0 && nanos < 0:
		units, nanos = units-1, nanos+1e9
	case units < 0 && nanos > 0:
		units, nanos = units+1, nanos-1e9
	}
	return &Money{CurrencyCode: a.CurrencyCode, Units: units, Nanos: nanos}
}
