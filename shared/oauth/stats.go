package oauth

import (
	"cmp"
	"context"
	"slices"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Usage counts the tokens that an app was issued by a proxy and that are in the
// store. Expired ones stay there for Retention.
type Usage struct {
	AppID string `json:"appId"`
	// App is the app's name, "" if the app was deleted.
	App         string `json:"app,omitempty"`
	Environment string `json:"environment,omitempty"`
	Proxy       string `json:"proxy,omitempty"`
	Access      Count  `json:"access"`
	Refresh     Count  `json:"refresh"`
}

// Count counts tokens of one kind.
type Count struct {
	// Live are approved and have not expired; Never is how many of them never
	// will. Revoked ones were revoked one by one, and have not expired.
	Live    int `json:"live"`
	Never   int `json:"never"`
	Revoked int `json:"revoked"`
	Expired int `json:"expired"`
}

// Stats counts the tokens of an organization by app, environment and proxy, or
// those of one app. It reads the documents that it counts, by the index of the
// app or in the order of their ids, and the app of each row: one read each.
// Revocations of all tokens of an app or end user are not looked at.
func Stats(ctx context.Context, r *registry.Registry, org, appID string) ([]*Usage, error) {
	q := store.Query{Collection: "tokens", Prefix: org + "/"}
	if appID != "" {
		q.Where = map[string]string{"app": appID}
	}
	type row struct{ app, environment, proxy string }
	rows, now := map[row]*Usage{}, r.Now()
	for d, err := range r.Store().Query(ctx, q) {
		if err != nil {
			return nil, err
		}
		rec, err := decode(d)
		if err != nil {
			return nil, err
		}
		at := row{rec.App, rec.Environment, rec.Proxy}
		u := rows[at]
		if u == nil {
			u = &Usage{AppID: at.app, Environment: at.environment, Proxy: at.proxy}
			rows[at] = u
		}
		c := &u.Access
		if rec.Kind == kindRefresh {
			c = &u.Refresh
		}
		switch {
		case rec.expired(now):
			c.Expired++
		case rec.Status != entity.Approved:
			c.Revoked++
		default:
			c.Live++
			if rec.Expires == 0 {
				c.Never++
			}
		}
	}
	list := make([]*Usage, 0, len(rows))
	names := map[string]string{}
	for _, u := range rows {
		name, known := names[u.AppID]
		if !known {
			a, err := r.Apps.Get(ctx, org, u.AppID)
			if err != nil && !entity.IsNotFound(err) {
				return nil, err
			}
			if err == nil {
				name = a.Profile.Name
			}
			names[u.AppID] = name
		}
		u.App = name
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b *Usage) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.AppID, b.AppID), cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Proxy, b.Proxy))
	})
	return list, nil
}
