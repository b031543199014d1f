package migrate

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/perigee-gateway/perigee/shared/apiclient"
)

// listing is the kind of the steps that stand for lists that cannot be read.
const listing = "list"

// object is a resource as the API gives it; fields that are not looked at stay
// as they are.
type object map[string]json.RawMessage

// text is a field that is a string, or "".
func (o object) text(name string) string {
	var s string
	_ = json.Unmarshal(o[name], &s)
	return s
}

// only is the object with those of the fields that it has. What the server sets
// is left behind by not being named.
func (o object) only(names ...string) object {
	out := object{}
	for _, n := range names {
		if v, ok := o[n]; ok {
			out[n] = v
		}
	}
	return out
}

// deployment is a revision deployed at the source.
type deployment struct {
	Environment, APIProxy, Revision, ServiceAccount string
	flow                                            bool
}

// plan reads the lists of the source and makes the steps of them.
func (m *migration) plan(ctx context.Context) error {
	var org object
	if err := m.read(ctx, "", nil, &org); err != nil {
		return err // without this nothing can be
	}
	p := &planner{m: m, ctx: ctx}
	envs := p.names("environments")
	p.phase(step{"organization", m.TargetOrganization, m.organization(org)})
	p.phase(p.environments(envs)...)
	p.phase(p.inOrganization()...)
	for _, env := range envs {
		if m.wanted(env) {
			p.environment(env)
		}
	}
	p.bundles(envs)
	p.groups()
	p.published()
	p.phase(p.failed...)
	return p.err
}

// planner collects the steps.
type planner struct {
	m      *migration
	ctx    context.Context
	err    error  // ends everything
	failed []step // lists that cannot be read
}

func (p *planner) phase(steps ...step) {
	if len(steps) > 0 {
		p.m.phases = append(p.m.phases, steps)
	}
}

// ask reads a list. One that cannot be read is a step that fails.
func (p *planner) ask(path string, query url.Values, v any) bool {
	if p.err != nil {
		return false
	}
	err := p.m.read(p.ctx, path, query, v)
	switch {
	case err == nil:
		return true
	case fatal(p.ctx, err):
		p.err = err
	case !apiclient.IsNotFound(err): // what the source does not have at all is not missed
		p.failed = append(p.failed, step{listing, path, func(context.Context, *task) error { return err }})
	}
	return false
}

// names is a list that is an array of names.
func (p *planner) names(path string) []string {
	var list []string
	p.ask(path, nil, &list)
	return list
}

// pages reads a list in pages by token, under a name.
func (p *planner) pages(path, name string) []object {
	var all []object
	query := url.Values{"pageSize": {"100"}}
	for {
		var page map[string]json.RawMessage
		if !p.ask(path, query, &page) {
			return all
		}
		var items []object
		_ = json.Unmarshal(page[name], &items)
		all = append(all, items...)
		next := object(page).text("nextPageToken")
		if next == "" {
			return all
		}
		query.Set("pageToken", next)
	}
}

// keyed reads a list whose pages begin with the last item of the one before: the
// parameter startKey, which is an item's field.
func (p *planner) keyed(path, name, field string) []object {
	var all []object
	seen := map[string]bool{}
	query := url.Values{"expand": {"true"}, "count": {"1000"}}
	for {
		var page map[string]json.RawMessage
		if !p.ask(path, query, &page) {
			return all
		}
		var items []object
		_ = json.Unmarshal(page[name], &items)
		fresh := 0
		for _, i := range items {
			if key := i.text(field); !seen[key] {
				seen[key] = true
				all, fresh = append(all, i), fresh+1
				query.Set("startKey", key)
			}
		}
		if fresh == 0 {
			return all
		}
	}
}

func path(parts ...string) string { return apiclient.Path(parts...) }

// call is a call with a JSON body.
func call(method, path string, body any) apiclient.Call {
	return apiclient.Call{Method: method, Path: path, JSON: body}
}

func label(parts ...string) string { return strings.Join(parts, "/") }
