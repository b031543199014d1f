package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/perigee-gateway/perigee/shared/apiclient"
)

func (m *migration) organization(org object) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		err := m.look(ctx, "", nil, nil)
		if !apiclient.IsNotFound(err) {
			return err
		}
		body := org.only("displayName", "description", "properties", "analyticsRegion")
		body["name"], _ = json.Marshal(m.TargetOrganization)
		err = m.Target.Do(ctx, apiclient.Call{Method: "POST", Path: "organizations", JSON: body}, nil)
		if apiclient.IsExists(err) {
			return nil
		}
		return asked("target", err)
	}
}

func (p *planner) environments(envs []string) []step {
	var steps []step
	for _, env := range envs {
		if !p.m.wanted(env) {
			continue
		}
		steps = append(steps, step{"environment", env, func(ctx context.Context, t *task) error {
			var e object
			if err := p.m.read(ctx, path("environments", env), nil, &e); err != nil {
				return err
			}
			body := e.only("name", "displayName", "description", "properties", "type", "deploymentType", "apiProxyType", "forwardProxyUri")
			if e.text("deploymentType") == "ARCHIVE" {
				t.note("it takes archive deployments; deploy the proxies of the archive one by one")
				delete(body, "deploymentType")
			}
			return p.m.put(ctx, call("POST", "environments", body), call("PUT", path("environments", env), body))
		}})
	}
	return steps
}

// inOrganization are the steps of what belongs to the organization and to which
// other things refer.
func (p *planner) inOrganization() []step {
	var steps []step
	for _, dc := range p.pages("datacollectors", "dataCollectors") {
		name := dc.text("name")
		steps = append(steps, step{"data collector", name, func(ctx context.Context, t *task) error {
			return p.m.put(ctx, call("POST", "datacollectors", dc.only("name", "type", "description")), apiclient.Call{})
		}})
	}
	return append(steps, p.maps("", "keyvaluemaps")...)
}

// environment adds the phases of an environment.
func (p *planner) environment(env string) {
	var first, second []step
	base := path("environments", env)
	for _, ks := range p.names(base + "/keystores") {
		first = append(first, step{"keystore", label(env, ks), func(ctx context.Context, t *task) error {
			return p.m.put(ctx, call("POST", base+"/keystores", map[string]string{"name": ks}), apiclient.Call{})
		}})
		for _, alias := range p.names(base + "/" + path("keystores", ks, "aliases")) {
			second = append(second, step{"alias", label(env, ks, alias), p.m.alias(env, ks, alias)})
		}
	}
	for _, name := range p.names(base + "/references") {
		second = append(second, p.m.named("reference", env, "references", name, "name", "description", "refers", "resourceType"))
	}
	for _, name := range p.names(base + "/targetservers") {
		first = append(first, p.m.named("target server", env, "targetservers", name, "name", "description", "host", "port", "isEnabled", "sSLInfo", "protocol"))
	}
	var files struct{ ResourceFile []struct{ Name, Type string } }
	p.ask(base+"/resourcefiles", nil, &files)
	for _, f := range files.ResourceFile {
		first = append(first, step{"resource file", label(env, f.Type, f.Name), p.m.resourceFile(base, f.Type, f.Name)})
	}
	first = append(first, p.maps(env, base+"/keyvaluemaps")...)
	first = append(first, step{"debug mask", env, p.m.debugMask(base)})
	p.phase(first...)
	p.phase(second...)
}

// named is the step of a resource of an environment that is created, or replaced
// under its name, with some of its fields.
func (m *migration) named(kind, env, collection, name string, fields ...string) step {
	at := path("environments", env, collection)
	return step{kind, label(env, name), func(ctx context.Context, t *task) error {
		var v object
		if err := m.read(ctx, at+"/"+path(name), nil, &v); err != nil {
			return err
		}
		body := v.only(fields...)
		if kind == "target server" && v["isEnabled"] == nil {
			body["isEnabled"] = json.RawMessage("false") // the API leaves out what is false
		}
		return m.put(ctx, call("POST", at, body), call("PUT", at+"/"+path(name), body))
	}}
}

func (m *migration) resourceFile(base, typ, name string) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		at := base + "/" + path("resourcefiles", typ, name)
		var data []byte
		if err := m.read(ctx, at, nil, &data); err != nil {
			return err
		}
		file := apiclient.Call{Body: data, ContentType: "application/octet-stream"}
		create, update := file, file
		create.Method, create.Path, create.Query = "POST", base+"/resourcefiles", url.Values{"name": {name}, "type": {typ}}
		update.Method, update.Path = "PUT", at
		return m.put(ctx, create, update)
	}
}

func (m *migration) debugMask(base string) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		var mask object
		if err := m.read(ctx, base+"/debugmask", nil, &mask); apiclient.IsNotFound(err) {
			return nil
		} else if err != nil {
			return err
		}
		delete(mask, "name")
		if len(mask) == 0 {
			return nil
		}
		return m.write(ctx, call("PATCH", base+"/debugmask", mask), nil)
	}
}

// alias copies certificates. One that has a private key, which no API gives, is
// left to people: its certificate alone would only be in the way of the key.
func (m *migration) alias(env, ks, name string) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		at := path("environments", env, "keystores", ks, "aliases")
		var a struct {
			Type      string
			CertsInfo struct {
				CertInfo []struct{ Subject, ExpiryDate string }
			}
		}
		if err := m.read(ctx, at+"/"+path(name), nil, &a); err != nil {
			return err
		}
		if a.Type == "KEY_CERT" {
			return m.keyToUpload(ctx, t, at, env, ks, name)
		}
		if m.DryRun {
			return nil
		}
		var chain []byte
		if err := m.read(ctx, at+"/"+path(name)+"/certificate", nil, &chain); err != nil {
			return err
		}
		return m.put(ctx, apiclient.Call{
			Method: "POST", Path: at, Body: chain, ContentType: "application/octet-stream",
			Query: url.Values{"alias": {name}, "format": {"keycertfile"}, "ignoreExpiryValidation": {"true"}},
		}, apiclient.Call{})
	}
}

// keyToUpload notes a private key that is not at the target.
func (m *migration) keyToUpload(ctx context.Context, t *task, at, env, ks, name string) error {
	if !m.DryRun {
		err := m.look(ctx, at+"/"+path(name), nil, nil)
		if err == nil || !apiclient.IsNotFound(err) {
			return err
		}
	}
	t.note("its private key cannot be read: upload key and certificate to keystore %s of environment %s as alias %s", ks, env, name)
	return nil
}

// maps are the steps of the key value maps of a scope.
func (p *planner) maps(scope, at string) []step {
	var steps []step
	for _, name := range p.names(at) {
		id := name
		if scope != "" {
			id = label(scope, name)
		}
		steps = append(steps, step{"key value map", id, p.m.keyValueMap(at, name)})
	}
	return steps
}

// keyValueMap copies a map and its entries, page by page. It can be done again:
// what is there gets the same value.
func (m *migration) keyValueMap(at, name string) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		if err := m.put(ctx, call("POST", at, map[string]any{"name": name, "encrypted": true}), apiclient.Call{}); err != nil {
			return err
		}
		entries := at + "/" + path(name, "entries")
		query := url.Values{"pageSize": {"100"}}
		for {
			var page struct {
				KeyValueEntries []object
				NextPageToken   string
			}
			err := m.read(ctx, entries, query, &page)
			if s := apiclient.StatusOf(err); s == 403 || s == 400 {
				t.note("its entries cannot be read (%s): enter them by hand", err)
				return nil
			}
			if err != nil {
				return err
			}
			for _, e := range page.KeyValueEntries {
				body := e.only("name", "value")
				if body["value"] == nil {
					body["value"] = json.RawMessage(`""`)
				}
				if err := m.put(ctx, call("POST", entries, body), call("PUT", entries+"/"+path(e.text("name")), body)); err != nil {
					return fmt.Errorf("entry %q: %w", e.text("name"), err)
				}
			}
			if page.NextPageToken == "" {
				return nil
			}
			query.Set("pageToken", page.NextPageToken)
		}
	}
}

// groups adds the environment groups and then their attachments.
func (p *planner) groups() {
	var groups, attachments []step
	for _, g := range p.pages("envgroups", "environmentGroups") {
		name := g.text("name")
		groups = append(groups, step{"environment group", name, func(ctx context.Context, t *task) error {
			body := g.only("name", "hostnames")
			return p.m.put(ctx, call("POST", "envgroups", body), apiclient.Call{
				Method: "PATCH", Path: path("envgroups", name), Query: url.Values{"updateMask": {"hostnames"}}, JSON: body,
			})
		}})
		for _, a := range p.pages(path("envgroups", name, "attachments"), "environmentGroupAttachments") {
			if env := a.text("environment"); p.m.wanted(env) {
				attachments = append(attachments, step{"attachment", label(name, env), p.m.attachment(name, env)})
			}
		}
	}
	p.phase(groups...)
	p.phase(attachments...)
}

func (m *migration) attachment(group, env string) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		at := path("envgroups", group, "attachments")
		var have struct {
			EnvironmentGroupAttachments []struct{ Environment string }
		}
		if err := m.look(ctx, at, nil, &have); err != nil {
			return err
		}
		if slices.ContainsFunc(have.EnvironmentGroupAttachments, func(a struct{ Environment string }) bool { return a.Environment == env }) {
			return nil
		}
		return m.put(ctx, call("POST", at, map[string]string{"environment": env}), apiclient.Call{})
	}
}

// seconds is how long something lives that ends at a time in milliseconds since
// 1970, as a number or a string; 0 is for ever.
func seconds(millis json.RawMessage, now time.Time) int64 {
	var at int64
	if err := json.Unmarshal(bytes.Trim(millis, `"`), &at); err != nil || at <= 0 {
		return 0
	}
	return max(1, (at-now.UnixMilli())/1000)
}
