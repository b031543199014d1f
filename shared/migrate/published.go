package migrate

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"github.com/perigee-gateway/perigee/shared/apiclient"
)

// published adds API products, then developers and app groups, then their apps.
func (p *planner) published() {
	var products, owners, apps []step
	for _, v := range p.keyed("apiproducts", "apiProduct", "name") {
		name := v.text("name")
		for _, server := range []string{"createdAt", "createdBy", "lastModifiedAt", "lastModifiedBy"} {
			delete(v, server)
		}
		products = append(products, step{"API product", name, func(ctx context.Context, t *task) error {
			return p.m.put(ctx, call("POST", "apiproducts", v), call("PUT", path("apiproducts", name), v))
		}})
	}
	for _, d := range p.keyed("developers", "developer", "email") {
		email := d.text("email")
		owners = append(owners, step{"developer", email, p.m.developer(d)})
		for _, a := range p.keyed(path("developers", email, "apps"), "app", "name") {
			apps = append(apps, step{"app", label(email, a.text("name")), p.m.app(path("developers", email, "apps"), a, false)})
		}
	}
	for _, g := range p.pages("appgroups", "appGroups") {
		name := g.text("name")
		owners = append(owners, step{"app group", name, p.m.appGroup(g)})
		for _, a := range p.pages(path("appgroups", name, "apps"), "appGroupApps") {
			apps = append(apps, step{"app", label(name, a.text("name")), p.m.app(path("appgroups", name, "apps"), a, true)})
		}
	}
	p.phase(products...)
	p.phase(owners...)
	p.phase(apps...)
}

func (m *migration) developer(d object) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		at := path("developers", d.text("email"))
		body := d.only("email", "firstName", "lastName", "userName", "attributes")
		if err := m.put(ctx, call("POST", "developers", body), call("PUT", at, body)); err != nil {
			return err
		}
		if d.text("status") != "inactive" {
			return nil
		}
		return m.write(ctx, apiclient.Call{Method: "POST", Path: at, Query: url.Values{"action": {"inactive"}}}, nil)
	}
}

func (m *migration) appGroup(g object) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		at := path("appgroups", g.text("name"))
		body := g.only("name", "displayName", "attributes", "channelId", "channelUri", "status")
		if err := m.put(ctx, call("POST", "appgroups", body), call("PUT", at, body)); err != nil {
			return err
		}
		if g.text("status") != "inactive" {
			return nil
		}
		return m.write(ctx, apiclient.Call{Method: "PUT", Path: at, Query: url.Values{"action": {"inactive"}}, JSON: body}, nil)
	}
}

// key is a consumer key with its products.
type key struct {
	ConsumerKey, ConsumerSecret, Status string
	ExpiresAt                           json.RawMessage
	APIProducts                         []struct{ Apiproduct, Status string }
	Scopes                              []string
	Attributes                          json.RawMessage
}

// app copies an app and its keys with their secrets. Making an app also makes a
// key, at any Management API: that one is removed, if it was this migration that
// made the app.
func (m *migration) app(at string, a object, group bool) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		here := at + "/" + path(a.text("name"))
		ours, err := m.createApp(ctx, at, here, a, group)
		if err != nil {
			return err
		}
		var keys []key
		if err := json.Unmarshal(or(a["credentials"], "[]"), &keys); err != nil {
			return err
		}
		slices.Reverse(keys) // the newest comes first, and is to be made last
		for _, k := range keys {
			if err := m.key(ctx, t, here, k, group); err != nil {
				return err
			}
		}
		if ours {
			if err := m.removeKeys(ctx, here, keys); err != nil {
				return err
			}
		}
		if a.text("status") != "revoked" {
			return nil
		}
		return m.act(ctx, here, "revoke", group)
	}
}

func or(v json.RawMessage, otherwise string) json.RawMessage {
	if v == nil {
		return json.RawMessage(otherwise)
	}
	return v
}

// createApp makes the app, or brings the one that is there up to date. ours is
// whether this migration made it; that it is about to is recorded before.
func (m *migration) createApp(ctx context.Context, at, here string, a object, group bool) (ours bool, err error) {
	id := "creating " + here
	body := a.only("name", "callbackUrl", "attributes", "scopes", "appFamily")
	if group {
		delete(body, "appFamily")
	}
	err = m.look(ctx, here, nil, nil)
	if err == nil {
		_, ours = m.State.get(id)
		delete(body, "scopes") // they belong to the keys
		return ours, m.write(ctx, call("PUT", here, body), nil)
	}
	if !apiclient.IsNotFound(err) {
		return false, err
	}
	if err := m.State.put(id, entry{}); err != nil {
		return false, err
	}
	delete(body, "scopes")
	return true, m.write(ctx, call("POST", at, body), nil)
}

// key makes a key with its secret, products and status.
func (m *migration) key(ctx context.Context, t *task, app string, k key, group bool) error {
	products := make([]string, len(k.APIProducts))
	for i, p := range k.APIProducts {
		products[i] = p.Apiproduct
	}
	at := app + "/" + path("keys", k.ConsumerKey)
	create := app + "/keys/create"
	if group {
		create = app + "/keys"
	}
	body := map[string]any{"consumerKey": k.ConsumerKey, "consumerSecret": k.ConsumerSecret, "apiProducts": products, "scopes": k.Scopes}
	if k.Attributes != nil {
		body["attributes"] = k.Attributes
	}
	if s := seconds(k.ExpiresAt, time.Now()); s > 0 {
		body["expiresInSeconds"] = s
	}
	err := m.write(ctx, call("POST", create, body), nil)
	if apiclient.IsExists(err) { // made before, or another app's
		if m.look(ctx, at, nil, nil) != nil {
			return err
		}
		update := map[string]any{"apiProducts": products, "scopes": k.Scopes}
		if k.Attributes != nil {
			update["attributes"] = k.Attributes
		}
		err = m.write(ctx, call("POST", at, update), nil)
	}
	if err != nil {
		return err
	}
	for _, p := range k.APIProducts {
		if err := m.product(ctx, t, at, p.Apiproduct, p.Status); err != nil {
			return err
		}
	}
	if k.Status != "revoked" {
		return nil
	}
	return m.act(ctx, at, "revoke", false)
}

// product gives a key's product its status. Pending cannot be asked for: what is
// made pending stays so, and what is not is revoked, to be approved by people.
func (m *migration) product(ctx context.Context, t *task, key, name, status string) error {
	at := key + "/" + path("apiproducts", name)
	switch status {
	case "approved":
		return m.act(ctx, at, "approve", false)
	case "revoked":
		return m.act(ctx, at, "revoke", false)
	}
	var have struct {
		APIProducts []struct{ Apiproduct, Status string } `json:"apiProducts"`
	}
	if err := m.look(ctx, key, nil, &have); err != nil {
		return err
	}
	for _, p := range have.APIProducts {
		if p.Apiproduct == name && p.Status == "approved" {
			t.note("a key waits for the approval of product %s, which approves by itself here: the key's product is revoked", name)
			return m.act(ctx, at, "revoke", false)
		}
	}
	return nil
}

// act approves or revokes. Apps of app groups are changed by PUT.
func (m *migration) act(ctx context.Context, at, action string, group bool) error {
	c := apiclient.Call{Method: "POST", Path: at, Query: url.Values{"action": {action}}}
	if group {
		c.Method, c.JSON = "PUT", map[string]string{}
	}
	return m.write(ctx, c, nil)
}

// removeKeys removes the keys of an app that the source's does not have.
func (m *migration) removeKeys(ctx context.Context, app string, keep []key) error {
	var have struct{ Credentials []key }
	if err := m.look(ctx, app, nil, &have); err != nil {
		return err
	}
	for _, k := range have.Credentials {
		if slices.ContainsFunc(keep, func(o key) bool { return o.ConsumerKey == k.ConsumerKey }) {
			continue
		}
		err := m.write(ctx, apiclient.Call{Method: "DELETE", Path: app + "/" + path("keys", k.ConsumerKey)}, nil)
		if err != nil && !apiclient.IsNotFound(err) {
			return err
		}
	}
	return nil
}
