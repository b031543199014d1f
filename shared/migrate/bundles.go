package migrate

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/apiclient"
)

// bundles adds shared flows and API proxies with their revisions, the maps of
// proxies, then what is deployed, and what is attached to flow hooks.
func (p *planner) bundles(envs []string) {
	var flows struct{ SharedFlows []struct{ Name string } }
	p.ask("sharedflows", nil, &flows)
	var proxies struct{ Proxies []struct{ Name string } }
	p.ask("apis", nil, &proxies)
	var deployedFlows, deployedProxies, hooks []step
	for _, env := range envs {
		if !p.m.wanted(env) {
			continue
		}
		deployedFlows = append(deployedFlows, p.deployments(env, true)...)
		deployedProxies = append(deployedProxies, p.deployments(env, false)...)
		hooks = append(hooks, p.flowHooks(env)...)
	}
	var imports, maps []step
	for _, f := range flows.SharedFlows {
		imports = append(imports, step{"shared flow", f.Name, p.m.bundle("sharedflows", f.Name)})
	}
	p.phase(imports...)
	imports = nil
	for _, a := range proxies.Proxies {
		imports = append(imports, step{"proxy", a.Name, p.m.bundle("apis", a.Name)})
		maps = append(maps, p.maps(a.Name, path("apis", a.Name, "keyvaluemaps"))...)
	}
	p.phase(imports...)
	p.phase(maps...)
	p.phase(deployedFlows...)
	p.phase(hooks...)
	p.phase(deployedProxies...)
}

func (p *planner) deployments(env string, flow bool) []step {
	var list struct{ Deployments []deployment }
	query := url.Values{}
	if flow {
		query.Set("sharedFlows", "true")
	}
	p.ask(path("environments", env, "deployments"), query, &list)
	var steps []step
	for _, d := range list.Deployments {
		d.Environment, d.flow = env, flow
		p.m.deployed = append(p.m.deployed, d)
		if p.m.Revisions != Latest {
			steps = append(steps, step{"deployment", label(env, d.APIProxy), p.m.deploy(d)})
		}
	}
	return steps
}

func (d deployment) collection() string {
	if d.flow {
		return "sharedflows"
	}
	return "apis"
}

// deploy deploys the copy of what is deployed at the source.
func (m *migration) deploy(d deployment) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		rev, ok := m.revision(d.collection(), d.APIProxy, d.Revision)
		if !ok {
			return fmt.Errorf("revision %s was not copied", d.Revision)
		}
		query := url.Values{"override": {"true"}}
		if d.ServiceAccount != "" {
			query.Set("serviceAccount", d.ServiceAccount)
			t.note("it runs as %s: let the gateway's own account create tokens for that", d.ServiceAccount)
		}
		at := path("environments", d.Environment, d.collection(), d.APIProxy, "revisions", rev, "deployments")
		if m.look(ctx, at, nil, nil) == nil {
			return nil
		}
		return m.write(ctx, apiclient.Call{Method: "POST", Path: at, Query: query}, nil)
	}
}

func (p *planner) flowHooks(env string) []step {
	var steps []step
	for _, hook := range p.names(path("environments", env, "flowhooks")) {
		at := path("environments", env, "flowhooks", hook)
		var h object
		if !p.ask(at, nil, &h) || h.text("sharedFlow") == "" {
			continue
		}
		steps = append(steps, step{"flow hook", label(env, hook), func(ctx context.Context, t *task) error {
			return p.m.write(ctx, call("PUT", at, h.only("sharedFlow", "continueOnError", "description")), nil)
		}})
	}
	return steps
}

// sourceRevision names a revision of the source in the state file.
func sourceRevision(collection, name, rev string) string {
	return "revision " + label(collection, name, rev)
}

// revision is the number a revision of the source has at the target.
func (m *migration) revision(collection, name, rev string) (string, bool) {
	id := sourceRevision(collection, name, rev)
	if e, ok := m.State.get(id); ok {
		return e.Value, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.mapped[id]
	return v, ok
}

func (m *migration) map_(collection, name, rev, target string) error {
	id := sourceRevision(collection, name, rev)
	m.mu.Lock()
	m.mapped[id] = target
	m.mu.Unlock()
	return m.State.put(id, entry{Value: target})
}

// bundle copies the revisions of an API proxy or shared flow. One that fails is
// no reason to leave the others.
func (m *migration) bundle(collection, name string) func(context.Context, *task) error {
	return func(ctx context.Context, t *task) error {
		revs, err := m.revisionsOf(ctx, collection, name)
		if err != nil {
			return err
		}
		var unclaimed map[string][]string
		if !m.DryRun {
			if unclaimed, err = m.unclaimed(ctx, collection, name, revs); err != nil {
				return err
			}
		}
		var errs []error
		var moved []string
		for _, rev := range revs {
			err := m.copyRevision(ctx, collection, name, rev, unclaimed)
			if fatal(ctx, err) {
				return err
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("revision %s: %w", rev, err))
				continue
			}
			if to, ok := m.revision(collection, name, rev); ok && to != rev {
				moved = append(moved, rev+" is "+to)
			}
		}
		if len(moved) > 0 {
			t.note("revisions have other numbers at the target: %s", strings.Join(moved, ", "))
		}
		if len(errs) == 0 && collection == "apis" && !m.DryRun {
			errs = append(errs, m.labels(ctx, name))
		}
		return errors.Join(errs...)
	}
}

// revisionsOf are the numbers of the revisions to copy, ascending.
func (m *migration) revisionsOf(ctx context.Context, collection, name string) ([]string, error) {
	var all []string
	if err := m.read(ctx, path(collection, name, "revisions"), nil, &all); err != nil {
		return nil, err
	}
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	slices.SortFunc(all, func(a, b string) int { return number(a) - number(b) })
	if len(all) == 0 || m.Revisions == All {
		return all, nil
	}
	latest := all[len(all)-1]
	return slices.DeleteFunc(all, func(rev string) bool {
		return rev != latest && (m.Revisions == Latest || !m.isDeployed(collection, name, rev))
	}), nil
}

func (m *migration) isDeployed(collection, name, rev string) bool {
	return slices.ContainsFunc(m.deployed, func(d deployment) bool {
		return d.collection() == collection && d.APIProxy == name && d.Revision == rev
	})
}

// copyRevision imports a revision, unless it was, or the target has one with the
// same content that is not another's copy: what an earlier run imported and had
// no time to record.
func (m *migration) copyRevision(ctx context.Context, collection, name, rev string, unclaimed map[string][]string) error {
	if _, ok := m.revision(collection, name, rev); ok {
		return nil
	}
	var data []byte
	err := m.read(ctx, path(collection, name, "revisions", rev), url.Values{"format": {"bundle"}}, &data)
	if err != nil {
		return err
	}
	if m.DryRun {
		if m.Check == nil {
			return nil
		}
		return m.Check(data)
	}
	sum, err := digest(data)
	if err != nil {
		return fmt.Errorf("the source's bundle: %w", err)
	}
	if same := unclaimed[sum]; len(same) > 0 {
		unclaimed[sum] = same[1:]
		return m.map_(collection, name, rev, same[0])
	}
	var made struct{ Revision string }
	err = m.write(ctx, apiclient.Call{
		Method: "POST", Path: collection, Query: url.Values{"action": {"import"}, "name": {name}}, Body: data, ContentType: "application/octet-stream",
	}, &made)
	if err != nil {
		return err
	}
	return m.map_(collection, name, rev, made.Revision)
}

// unclaimed are the revisions at the target that are no copies as far as is
// known, by the digest of their content.
func (m *migration) unclaimed(ctx context.Context, collection, name string, revs []string) (map[string][]string, error) {
	var have []string
	err := m.look(ctx, path(collection, name, "revisions"), nil, &have)
	if apiclient.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	claimed := map[string]bool{}
	missing := false
	for _, rev := range revs {
		to, ok := m.revision(collection, name, rev)
		claimed[to], missing = true, missing || !ok
	}
	found := map[string][]string{}
	for _, rev := range have {
		if claimed[rev] || !missing {
			continue
		}
		var data []byte
		if err := m.look(ctx, path(collection, name, "revisions", rev), url.Values{"format": {"bundle"}}, &data); err != nil {
			return nil, err
		}
		if sum, err := digest(data); err == nil {
			found[sum] = append(found[sum], rev)
		}
	}
	return found, nil
}

// digest is that of the files of a zip and their names; when they were packed,
// and in which order, does not matter.
func digest(data []byte) (string, error) {
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return "", err
	}
	var sums []string
	for _, f := range zr.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return "", err
		}
		h := sha256.New()
		_, err = io.Copy(h, io.LimitReader(r, maxFile))
		if err = errors.Join(err, r.Close()); err != nil {
			return "", err
		}
		sums = append(sums, f.Name+"\x00"+hex.EncodeToString(h.Sum(nil)))
	}
	slices.Sort(sums)
	sum := sha256.Sum256([]byte(strings.Join(sums, "\n")))
	return hex.EncodeToString(sum[:]), nil
}

// maxFile bounds what is read of one file of a bundle, in bytes.
const maxFile = 64 << 20

// labels copies the labels of an API proxy.
func (m *migration) labels(ctx context.Context, name string) error {
	var api object
	if err := m.read(ctx, path("apis", name), nil, &api); err != nil {
		return err
	}
	var labels map[string]string
	if _ = json.Unmarshal(api["labels"], &labels); len(labels) == 0 {
		return nil
	}
	return m.write(ctx, apiclient.Call{
		Method: "PATCH", Path: path("apis", name), Query: url.Values{"updateMask": {"labels"}}, JSON: map[string]any{"labels": labels},
	}, nil)
}
