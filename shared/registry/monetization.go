package registry

import (
	"context"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Subscription is what a payer bought: an API product, for a time. Those of app
// groups have the same fields.
type Subscription = apigee.GoogleCloudApigeeV1DeveloperSubscription

// monetization makes the kinds of what payers have.
func (r *Registry) monetization() {
	r.Subscriptions = NewKind(r, Spec[Subscription]{
		Noun: "subscription", Collection: "subscriptions",
		Fields: func(id []string, v *Subscription) map[string]string {
			return map[string]string{"org": id[0], "apiproduct": v.Apiproduct}
		},
		Prepare: prepareSubscription, Commit: r.commitSubscription,
	})
	r.Accounts = NewKind(r, Spec[entity.Account]{
		Noun: "account", Collection: "accounts",
		Fields: func(id []string, v *entity.Account) map[string]string { return map[string]string{"org": id[0]} },
		Commit: func(tx *Tx, id []string, old, v *entity.Account) error { return renew(tx) },
	})
}

// renew has data planes forget what they know of plans, subscriptions and
// accounts.
func renew(tx *Tx) error {
	_, err := tx.Stamp()
	tx.Revoke()
	return err
}

// PayerID is the id of the payer's account, and the scope of its subscriptions; with
// a name, it is the id of that one.
func PayerID(org string, p entity.Payer, subscription ...string) []string {
	return append(append([]string{org}, p.Parts()...), subscription...)
}

func prepareSubscription(id []string, old, v *Subscription, now int64) error {
	v.Name, v.LastModifiedAt, v.CreatedAt = id[len(id)-1], now, now
	if old != nil {
		v.CreatedAt = old.CreatedAt
	}
	if v.Apiproduct == "" {
		return missing("apiproduct of the subscription")
	}
	if v.StartTime == 0 {
		v.StartTime = now
	}
	if v.EndTime != 0 && v.EndTime < v.StartTime {
		return entity.Errorf(entity.InvalidArgument, "endTime of the subscription is before its startTime")
	}
	return nil
}

// commitSubscription refuses a subscription to a product that does not exist, and
// a second one for the same time.
func (r *Registry) commitSubscription(tx *Tx, id []string, old, v *Subscription) error {
	if err := renew(tx); err != nil || v == nil || old != nil {
		return err
	}
	if _, err := r.Products.In(tx, id[0], v.Apiproduct); err != nil {
		return err
	}
	docs, err := tx.Query(store.Query{Collection: "subscriptions", Prefix: entity.ID(id[:3]...) + "/"})
	if err != nil {
		return err
	}
	for _, d := range docs {
		other, err := Decode[Subscription](d)
		if err != nil {
			return err
		}
		if other.Apiproduct == v.Apiproduct && overlap(other.StartTime, other.EndTime, v.StartTime, v.EndTime) {
			return entity.Errorf(entity.AlreadyExists, "subscription %q to API product %q is for the same time", other.Name, v.Apiproduct)
		}
	}
	return nil
}

// Account is the payer's account; one that was never written to is empty.
func (r *Registry) Account(ctx context.Context, org string, p entity.Payer) (*entity.Account, error) {
	a, err := r.Accounts.Get(ctx, PayerID(org, p)...)
	if entity.IsNotFound(err) {
		return new(entity.Account), nil
	}
	return a, err
}

// EditAccount changes the payer's account, which need not exist, and returns it.
func (r *Registry) EditAccount(ctx context.Context, org string, p entity.Payer, change func(*entity.Account) error) (*entity.Account, error) {
	var a *entity.Account
	err := r.Accounts.write(ctx, PayerID(org, p), func(old *entity.Account) (*entity.Account, error) {
		if a = old; a == nil {
			a = new(entity.Account)
		}
		return a, change(a)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// deletePayer deletes what a payer has.
func (r *Registry) deletePayer(ctx context.Context, org string, p entity.Payer) error {
	id := PayerID(org, p)
	if _, err := r.store.DeleteAll(ctx, store.Query{Collection: "subscriptions", Prefix: entity.ID(id...) + "/"}); err != nil {
		return err
	}
	return r.store.Delete(ctx, entity.Key("accounts", id...))
}
