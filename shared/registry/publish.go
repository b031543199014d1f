package registry

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// publishing makes the kinds of what is published: developers, app groups and
// their apps, products, rate plans.
func (r *Registry) publishing() {
	r.Developers = NewKind(r, Spec[apigee.GoogleCloudApigeeV1Developer]{
		Noun: "developer", Collection: "developers", Revokes: true, Job: "developer",
		Fields: func(id []string, v *apigee.GoogleCloudApigeeV1Developer) map[string]string {
			return map[string]string{"org": id[0], "email": v.Email, "status": v.Status}
		},
		Prepare: prepareDeveloper, Commit: commitDeveloper,
	})
	r.AppGroups = NewKind(r, Spec[apigee.GoogleCloudApigeeV1AppGroup]{
		Noun: "app group", Collection: "appgroups", Name: entity.AppGroupName.Check, Revokes: true, Job: "appgroup",
		Fields: func(id []string, v *apigee.GoogleCloudApigeeV1AppGroup) map[string]string {
			return map[string]string{"org": id[0], "channel": v.ChannelId, "status": v.Status}
		},
		Prepare: prepareAppGroup,
	})
	r.Apps = NewKind(r, Spec[entity.App]{
		Noun: "app", Collection: "apps", Revokes: true,
		Fields: appFields, Prepare: prepareApp, Commit: commitApp,
	})
	r.Products = NewKind(r, Spec[apigee.GoogleCloudApigeeV1ApiProduct]{
		Noun: "API product", Collection: "apiproducts", Name: entity.ProductName.Check, Job: "apiproduct",
		Fields: func(id []string, v *apigee.GoogleCloudApigeeV1ApiProduct) map[string]string {
			return map[string]string{"org": id[0], "space": v.Space}
		},
		Prepare: prepareProduct,
		Commit: func(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1ApiProduct) error {
			_, err := tx.Stamp()
			tx.Revoke() // also when it is created: keys may hold a deleted namesake
			return err
		},
	})
	r.RatePlans = NewKind(r, Spec[apigee.GoogleCloudApigeeV1RatePlan]{
		Noun: "rate plan", Collection: "rateplans",
		Fields: func(id []string, v *apigee.GoogleCloudApigeeV1RatePlan) map[string]string {
			return map[string]string{"org": id[0], "apiproduct": id[1], "state": v.State}
		},
		Prepare: prepareRatePlan, Commit: r.commitRatePlan,
	})
	r.RegisterJob("developer", func(ctx context.Context, org, id string, _ []byte) error {
		if err := r.deletePayer(ctx, org, entity.Payer{Developer: id}); err != nil {
			return err
		}
		return r.deleteApps(ctx, org, Owner{Developer: id})
	})
	r.RegisterJob("appgroup", func(ctx context.Context, org, name string, _ []byte) error {
		if err := r.deletePayer(ctx, org, entity.Payer{Group: name}); err != nil {
			return err
		}
		return r.deleteApps(ctx, org, Owner{Group: name})
	})
	r.RegisterJob("apiproduct", func(ctx context.Context, org, name string, _ []byte) error {
		_, err := r.store.DeleteAll(ctx, store.Query{Collection: "rateplans", Prefix: entity.ID(org, name) + "/"})
		return err
	})
}

func missing(what string) error {
	return entity.Errorf(entity.InvalidArgument, "%s is missing", what)
}

func prepareDeveloper(id []string, old, v *apigee.GoogleCloudApigeeV1Developer, now int64) (err error) {
	v.DeveloperId, v.OrganizationName, v.Email = id[1], id[0], entity.Email(v.Email)
	v.Apps, v.Companies = nil, nil
	v.LastModifiedAt, v.CreatedAt = now, now
	fill(&v.Status, entity.Active)
	if old != nil {
		v.CreatedAt, v.Apps = old.CreatedAt, old.Apps // kept by commitApp
	}
	for _, f := range []struct{ name, value string }{{"firstName", v.FirstName}, {"lastName", v.LastName}, {"userName", v.UserName}} {
		if strings.TrimSpace(f.value) == "" {
			return missing(f.name + " of the developer")
		}
	}
	if err := entity.CheckEmail(v.Email); err != nil {
		return err
	}
	if v.Attributes, err = entity.CheckAttributes(v.Attributes, entity.MaxAttributes); err != nil {
		return err
	}
	return among("status of a developer", v.Status, entity.Active, entity.Inactive)
}

// emailOwner is the document that says whose an e-mail address is.
type emailOwner struct {
	Developer string `json:"developer"`
}

func emailKey(org, email string) store.Key { return entity.Key("developerEmails", org, email) }

// commitDeveloper keeps the index of e-mail addresses.
func commitDeveloper(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1Developer) error {
	if old != nil && v != nil && old.Email == v.Email {
		return nil
	}
	if v != nil {
		if _, err := tx.Get(emailKey(id[0], v.Email)); err == nil {
			return entity.Errorf(entity.AlreadyExists, "developer %q already exists", v.Email)
		} else if !store.IsNotFound(err) {
			return err
		}
		d, err := encode(emailKey(id[0], v.Email), map[string]string{"org": id[0]}, emailOwner{v.DeveloperId})
		if err != nil {
			return err
		}
		if err := tx.Put(d); err != nil {
			return err
		}
	}
	if old != nil {
		return tx.Delete(emailKey(id[0], old.Email))
	}
	return nil
}

// Developer finds a developer by id or e-mail address; NotFound if there is
// none.
func (r *Registry) Developer(ctx context.Context, org, idOrEmail string) (*apigee.GoogleCloudApigeeV1Developer, error) {
	id, err := r.DeveloperID(ctx, org, idOrEmail)
	if err != nil {
		return nil, err
	}
	dev, err := r.Developers.Get(ctx, org, id)
	if entity.IsNotFound(err) {
		return nil, developerNotFound(idOrEmail)
	}
	return dev, err
}

// DeveloperID is the id of the developer with that e-mail address or id.
func (r *Registry) DeveloperID(ctx context.Context, org, idOrEmail string) (string, error) {
	if !strings.Contains(idOrEmail, "@") {
		return idOrEmail, nil
	}
	d, err := r.store.Get(ctx, emailKey(org, entity.Email(idOrEmail)))
	if store.IsNotFound(err) || store.CodeOf(err) == store.Invalid {
		return "", developerNotFound(idOrEmail)
	}
	if err != nil {
		return "", err
	}
	owner, err := Decode[emailOwner](d)
	if err != nil {
		return "", err
	}
	return owner.Developer, nil
}

func developerNotFound(name string) error {
	return entity.Errorf(entity.NotFound, "developer %q not found", name)
}

// CreateDeveloper creates a developer with an id of its own; AlreadyExists if
// there is one with the e-mail address.
func (r *Registry) CreateDeveloper(ctx context.Context, org string, v *apigee.GoogleCloudApigeeV1Developer) error {
	return r.Developers.Create(ctx, v, org, uuid.NewString())
}

// getAll reads documents, leaving out those that are not there.
func getAll[T any](ctx context.Context, r *Registry, keys []store.Key) ([]*T, error) {
	var all []*T
	for part := range slices.Chunk(keys, 300) { // what one exchange carries
		docs, err := r.store.GetAll(ctx, part)
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			if !d.Found() {
				continue
			}
			v, err := Decode[T](d)
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
	}
	return all, nil
}

func prepareAppGroup(id []string, old, v *apigee.GoogleCloudApigeeV1AppGroup, now int64) (err error) {
	v.Name, v.Organization, v.LastModifiedAt, v.CreatedAt = id[1], id[0], now, now
	fill(&v.Status, entity.Active)
	v.AppGroupId = uuid.NewString()
	if old != nil {
		v.CreatedAt, v.AppGroupId = old.CreatedAt, old.AppGroupId
	}
	if v.Email != "" {
		if err := entity.CheckEmail(v.Email); err != nil {
			return err
		}
	}
	if v.Attributes, err = entity.CheckAttributes(v.Attributes, entity.MaxAttributes); err != nil {
		return err
	}
	return among("status of an app group", v.Status, entity.Active, entity.Inactive)
}

func prepareRatePlan(id []string, old, v *apigee.GoogleCloudApigeeV1RatePlan, now int64) error {
	v.Apiproduct, v.Name, v.LastModifiedAt, v.CreatedAt = id[1], id[2], now, now
	fill(&v.State, "DRAFT")
	if old != nil {
		v.CreatedAt = old.CreatedAt
	}
	if v.EndTime != 0 && v.EndTime <= v.StartTime {
		return entity.Errorf(entity.InvalidArgument, "endTime of the rate plan is not after its startTime")
	}
	for _, f := range []struct {
		name, value string
		allowed     []string
	}{
		{"state", v.State, []string{"DRAFT", "PUBLISHED"}},
		{"billingPeriod", v.BillingPeriod, []string{"", "BILLING_PERIOD_UNSPECIFIED", "WEEKLY", "MONTHLY"}},
		{"consumptionPricingType", v.ConsumptionPricingType, []string{"", "CONSUMPTION_PRICING_TYPE_UNSPECIFIED", "FIXED_PER_UNIT", "BANDED", "TIERED", "STAIRSTEP"}},
		{"revenueShareType", v.RevenueShareType, []string{"", "REVENUE_SHARE_TYPE_UNSPECIFIED", "FIXED", "VOLUME_BANDED"}},
		{"paymentFundingModel", v.PaymentFundingModel, []string{"", "PAYMENT_FUNDING_MODEL_UNSPECIFIED", "PREPAID", "POSTPAID"}},
	} {
		if err := among(f.name+" of the rate plan", f.value, f.allowed...); err != nil {
			return err
		}
	}
	return nil
}

// commitRatePlan refuses a plan of a product that does not exist, and one that
// is published for a time for which another is.
func (r *Registry) commitRatePlan(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1RatePlan) error {
	if err := renew(tx); err != nil || v == nil {
		return err
	}
	if _, err := r.Products.In(tx, id[0], id[1]); err != nil {
		return err
	}
	if v.State != "PUBLISHED" {
		return nil
	}
	docs, err := tx.Query(store.Query{Collection: "rateplans", Prefix: entity.ID(id[0], id[1]) + "/"})
	if err != nil {
		return err
	}
	for _, d := range docs {
		other, err := Decode[apigee.GoogleCloudApigeeV1RatePlan](d)
		if err != nil {
			return err
		}
		if other.Name != v.Name && other.State == "PUBLISHED" && overlap(other.StartTime, other.EndTime, v.StartTime, v.EndTime) {
			return entity.Errorf(entity.FailedPrecondition, "rate plan %q is published for the same time", other.Name)
		}
	}
	return nil
}

// overlap reports whether there is a moment in both times; an end of 0 is never.
func overlap(start, end, otherStart, otherEnd int64) bool {
	return (end == 0 || otherStart < end) && (otherEnd == 0 || start < otherEnd)
}

// From yields what is in the scope, beginning with the item of that name, itself
// included; "" is the beginning. limit is the most items; 0 is no limit.
func (k *Kind[T]) From(ctx context.Context, start string, limit int, scope ...string) iter.Seq2[Item[T], error] {
	return func(yield func(Item[T], error) bool) {
		p := Page{After: start, Limit: limit}
		if start != "" {
			v, err := k.Get(ctx, append(slices.Clone(scope), start)...)
			switch {
			case entity.IsNotFound(err):
			case err != nil:
				yield(Item[T]{}, err)
				return
			case !yield(Item[T]{Name: start, Value: v}, nil) || limit == 1:
				return
			case limit > 0:
				p.Limit--
			}
		}
		for item, err := range k.List(ctx, p, scope...) {
			if !yield(item, err) {
				return
			}
		}
	}
}

// DeveloperEmails are the e-mail addresses of the developers, in order,
// beginning with start, itself included; limit is the most, 0 all.
func (r *Registry) DeveloperEmails(ctx context.Context, org, start string, limit int) ([]string, error) {
	var emails []string
	for item, err := range NewKind(r, Spec[emailOwner]{Noun: "developer", Collection: "developerEmails"}).From(ctx, entity.Email(start), limit, org) {
		if err != nil {
			return nil, err
		}
		emails = append(emails, item.Name)
	}
	return emails, nil
}

// DevelopersByEmail are the developers with those e-mail addresses or ids, in
// that order; those that do not exist are left out.
func (r *Registry) DevelopersByEmail(ctx context.Context, org string, names []string) ([]*apigee.GoogleCloudApigeeV1Developer, error) {
	var owners []store.Key
	for _, n := range names {
		if strings.Contains(n, "@") {
			owners = append(owners, emailKey(org, entity.Email(n)))
		}
	}
	found, err := getAll[emailOwner](ctx, r, owners)
	if err != nil {
		return nil, err
	}
	var keys []store.Key
	for _, o := range found {
		keys = append(keys, r.Developers.Key(org, o.Developer))
	}
	for _, n := range names {
		if !strings.Contains(n, "@") {
			keys = append(keys, r.Developers.Key(org, n))
		}
	}
	return getAll[apigee.GoogleCloudApigeeV1Developer](ctx, r, keys)
}
