package deployment

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
)

// Import stores a bundle as a new revision, creating the proxy or shared flow if
// there is none. Its number is one more than the highest ever given. Of more than
// 250 revisions the oldest that is not deployed is removed.
func (d *Deployments) Import(ctx context.Context, u Upload) (*entity.Revision, error) {
	rev, err := d.prepare(&u)
	if err != nil {
		return nil, err
	}
	if err := d.reg.FinishBefore(ctx, u.Organization, "proxy", target(u.Kind, u.Name)); err != nil {
		return nil, err
	}
	var discarded entity.Archive
	err = d.reg.Upload(ctx, u.Organization, u.Zip, func(tx *registry.Tx, a entity.Archive) error {
		if _, err := tx.Stamp(); err != nil {
			return err
		}
		discarded = entity.Archive{}
		p, err := d.proxy(tx, u)
		if err != nil {
			return err
		}
		old, err := d.oldest(tx, u, p)
		if err != nil {
			return err
		}
		p.Last++
		p.Revisions = append(p.Revisions, p.Last)
		p.ModifiedAt = entity.Millis(tx.Now)
		rev.Archive = a
		rev.number(u.Organization, p.Last, p.ModifiedAt)
		if err := d.removeRevision(tx, p, old); err != nil {
			return err
		}
		if old != nil {
			discarded = old.Archive
		}
		return d.putBoth(tx, u, p, &rev.Revision)
	})
	if err != nil {
		return nil, err
	}
	d.reg.Discarded(ctx, u.Organization, discarded)
	return &rev.Revision, nil
}

// prepare checks an upload and reads its bundle.
func (d *Deployments) prepare(u *Upload) (*draft, error) {
	rule := entity.ProxyName
	if u.Kind == entity.SharedFlow {
		rule = entity.SharedFlowName
	}
	if err := rule.Check(u.Name); err != nil {
		return nil, err
	}
	if u.Bundle == nil {
		b, err := bundle.LoadZip(u.Zip, bundle.Limits{Kind: u.Kind.Bundle()})
		if err != nil {
			return nil, &entity.Error{Code: entity.InvalidArgument, Message: "bundle contains errors: " + err.Error(), Err: err}
		}
		u.Bundle = b
	}
	if (u.Bundle.Kind == bundle.KindSharedFlow) != (u.Kind == entity.SharedFlow) {
		return nil, entity.Errorf(entity.InvalidArgument, "the bundle is a %s, not a %s", u.Bundle.Kind, u.Kind)
	}
	return describe(u)
}

// proxies is the kind of the documents of a kind's names.
func (d *Deployments) proxies(kind entity.Kind) *registry.Kind[entity.Proxy] {
	if kind == entity.SharedFlow {
		return d.reg.SharedFlows
	}
	return d.reg.APIs
}

// proxy reads the proxy or shared flow of an upload, or begins one.
func (d *Deployments) proxy(tx *registry.Tx, u Upload) (*entity.Proxy, error) {
	p, err := d.proxies(u.Kind).In(tx, u.Organization, u.Name)
	if !entity.IsNotFound(err) {
		return p, err
	}
	if err := tx.NoJob("proxy", target(u.Kind, u.Name)); err != nil {
		return nil, err
	}
	return &entity.Proxy{Name: u.Name, Space: u.Space, CreatedAt: entity.Millis(tx.Now)}, nil
}

// oldest is the revision that gives way to a new one; nil if none must.
func (d *Deployments) oldest(tx *registry.Tx, u Upload, p *entity.Proxy) (*entity.Revision, error) {
	if len(p.Revisions) < entity.MaxRevisions {
		return nil, nil
	}
	deployed, err := deployedRevisions(tx, u.Kind, u.Name)
	if err != nil {
		return nil, err
	}
	for _, n := range p.Revisions {
		if !slices.Contains(deployed, strconv.Itoa(n)) {
			return d.reg.Revisions.In(tx, u.Organization, string(u.Kind), u.Name, strconv.Itoa(n))
		}
	}
	return nil, entity.Errorf(entity.ResourceExhausted, "%s %q has %d revisions, more are not allowed", u.Kind, u.Name, entity.MaxRevisions)
}

// deployedRevisions are the revisions of a proxy or shared flow that are deployed
// somewhere.
func deployedRevisions(tx *registry.Tx, kind entity.Kind, name string) ([]string, error) {
	docs, err := tx.Query(store.Query{
		Collection: "deployments", Where: map[string]string{"org": tx.Organization, "kind": string(kind), "name": name},
	})
	if err != nil {
		return nil, err
	}
	var revisions []string
	for _, doc := range docs {
		dep, err := registry.Decode[entity.Deployment](doc)
		if err != nil {
			return nil, err
		}
		revisions = append(revisions, dep.Revision)
	}
	return revisions, nil
}

// removeRevision removes a revision from p and the store; nil is none.
func (d *Deployments) removeRevision(tx *registry.Tx, p *entity.Proxy, rev *entity.Revision) error {
	if rev == nil {
		return nil
	}
	p.Revisions = slices.DeleteFunc(p.Revisions, func(n int) bool { return strconv.Itoa(n) == rev.Revision })
	if err := tx.Delete(entity.RevisionKey(tx.Organization, rev.Kind, rev.Name, rev.Revision)); err != nil {
		return err
	}
	return tx.Discard(rev.Archive)
}

// putBoth writes the proxy and one of its revisions.
func (d *Deployments) putBoth(tx *registry.Tx, u Upload, p *entity.Proxy, rev *entity.Revision) error {
	doc, err := d.reg.Revisions.Doc(tx.Now, rev, u.Organization, string(u.Kind), u.Name, rev.Revision)
	if err != nil {
		return err
	}
	if err := tx.Put(doc); err != nil {
		return err
	}
	return d.putProxy(tx, u.Kind, p)
}

func (d *Deployments) putProxy(tx *registry.Tx, kind entity.Kind, p *entity.Proxy) error {
	doc, err := d.proxies(kind).Doc(tx.Now, p, tx.Organization, p.Name)
	if err != nil {
		return err
	}
	return tx.Put(doc)
}

// Replace stores another bundle as a revision that has never been deployed; one
// that has been is immutable.
func (d *Deployments) Replace(ctx context.Context, u Upload, revision string) (*entity.Revision, error) {
	rev, err := d.prepare(&u)
	if err != nil {
		return nil, err
	}
	var discarded entity.Archive
	err = d.reg.Upload(ctx, u.Organization, u.Zip, func(tx *registry.Tx, a entity.Archive) error {
		p, old, err := d.revision(tx, u.Kind, u.Name, revision)
		if err != nil {
			return err
		}
		if old.Deployed {
			return entity.Errorf(entity.FailedPrecondition, "revision %s of %s %q has been deployed and cannot be changed", revision, u.Kind, u.Name)
		}
		n, _ := strconv.Atoi(revision)
		p.ModifiedAt = entity.Millis(tx.Now)
		rev.Archive, discarded = a, old.Archive
		rev.number(u.Organization, n, p.ModifiedAt)
		rev.created(old)
		if err := tx.Discard(old.Archive); err != nil {
			return err
		}
		return d.putBoth(tx, u, p, &rev.Revision)
	})
	if err != nil {
		return nil, err
	}
	d.reg.Discarded(ctx, u.Organization, discarded)
	return &rev.Revision, nil
}

// revision reads a revision and its proxy.
func (d *Deployments) revision(tx *registry.Tx, kind entity.Kind, name, revision string) (*entity.Proxy, *entity.Revision, error) {
	p, err := d.proxies(kind).In(tx, tx.Organization, name)
	if err != nil {
		return nil, nil, err
	}
	rev, err := d.reg.Revisions.In(tx, tx.Organization, string(kind), name, revision)
	if entity.IsNotFound(err) {
		err = entity.Errorf(entity.NotFound, "revision %s of %s %q not found", revision, kind, name)
	}
	return p, rev, err
}

// Create makes a proxy or shared flow without revisions.
func (d *Deployments) Create(ctx context.Context, org string, kind entity.Kind, name, space string) (*entity.Proxy, error) {
	u := Upload{Organization: org, Kind: kind, Name: name, Space: space}
	rule := entity.ProxyName
	if kind == entity.SharedFlow {
		rule = entity.SharedFlowName
	}
	if err := rule.Check(name); err != nil {
		return nil, err
	}
	if err := d.reg.FinishBefore(ctx, org, "proxy", target(kind, name)); err != nil {
		return nil, err
	}
	var p *entity.Proxy
	err := d.reg.Update(ctx, org, func(tx *registry.Tx) (err error) {
		if _, err := tx.Stamp(); err != nil {
			return err
		}
		if p, err = d.proxy(tx, u); err != nil {
			return err
		}
		if p.ModifiedAt != 0 {
			return entity.Errorf(entity.AlreadyExists, "%s %q already exists", kind, name)
		}
		p.ModifiedAt = p.CreatedAt
		return d.putProxy(tx, kind, p)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Revision returns what is recorded of a revision.
func (d *Deployments) Revision(ctx context.Context, org string, kind entity.Kind, name, revision string) (*entity.Revision, error) {
	rev, err := d.reg.Revisions.Get(ctx, org, string(kind), name, revision)
	if entity.IsNotFound(err) {
		return nil, entity.Errorf(entity.NotFound, "revision %s of %s %q not found", revision, kind, name)
	}
	return rev, err
}

// Bundle returns the zip of a revision as it was uploaded.
func (d *Deployments) Bundle(ctx context.Context, org string, kind entity.Kind, name, revision string) ([]byte, error) {
	rev, err := d.Revision(ctx, org, kind, name, revision)
	if err != nil {
		return nil, err
	}
	data, err := d.reg.Archives().Load(ctx, rev.Archive)
	if err != nil {
		return nil, err
	}
	return data[0], nil
}

// DeleteRevision removes a revision that is not deployed, and returns it. The
// proxy stays even without revisions.
func (d *Deployments) DeleteRevision(ctx context.Context, org string, kind entity.Kind, name, revision string) (*entity.Revision, error) {
	var gone *entity.Revision
	err := d.reg.Update(ctx, org, func(tx *registry.Tx) error {
		p, rev, err := d.revision(tx, kind, name, revision)
		if err != nil {
			return err
		}
		deployed, err := deployedRevisions(tx, kind, name)
		if err != nil {
			return err
		}
		if slices.Contains(deployed, revision) {
			return entity.Errorf(entity.FailedPrecondition, "revision %s of %s %q is deployed: undeploy it first", revision, kind, name)
		}
		gone = rev
		p.ModifiedAt = entity.Millis(tx.Now)
		if err := d.removeRevision(tx, p, rev); err != nil {
			return err
		}
		return d.putProxy(tx, kind, p)
	})
	if err != nil {
		return nil, err
	}
	d.reg.Discarded(ctx, org, gone.Archive)
	return gone, nil
}

// Delete removes a proxy or shared flow of which nothing is deployed, with its
// revisions and key value maps, and returns it.
func (d *Deployments) Delete(ctx context.Context, org string, kind entity.Kind, name string) (*entity.Proxy, error) {
	var gone *entity.Proxy
	err := d.reg.Update(ctx, org, func(tx *registry.Tx) (err error) {
		if gone, err = d.proxies(kind).In(tx, org, name); err != nil {
			return err
		}
		deployed, err := deployedRevisions(tx, kind, name)
		if err != nil {
			return err
		}
		if len(deployed) > 0 {
			return entity.Errorf(entity.FailedPrecondition, "%s %q is deployed: undeploy it first", kind, name)
		}
		if err := tx.Delete(entity.ProxyKey(org, kind, name)); err != nil {
			return err
		}
		return tx.AddJob("proxy", target(kind, name), nil)
	})
	if err != nil {
		return nil, err
	}
	d.reg.TryJob(ctx, org, "proxy", target(kind, name))
	return gone, nil
}

// target is what a job that removes a proxy is about.
func target(kind entity.Kind, name string) string { return entity.ID(string(kind), name) }

// clearProxy removes what a deleted proxy or shared flow had: revisions, their
// archives, the key value maps of the proxy.
func (d *Deployments) clearProxy(ctx context.Context, org, target string, _ []byte) error {
	kind, name, _ := strings.Cut(target, "/")
	for item, err := range d.reg.Revisions.List(ctx, registry.Page{}, org, kind, name) {
		if err != nil {
			return err
		}
		if err := d.reg.Archives().Delete(ctx, item.Value.Archive.ID); err != nil {
			return err
		}
	}
	prefixes := map[string]string{"revisions": entity.ID(org, kind, name)}
	if kind == string(entity.API) {
		scope := entity.ID(entity.MapScope{Proxy: name}.Parts(org)...)
		prefixes["keyvaluemaps"], prefixes["kvmEntries"] = scope, scope
	}
	for c, prefix := range prefixes {
		if _, err := d.reg.Store().DeleteAll(ctx, store.Query{Collection: c, Prefix: prefix + "/"}); err != nil {
			return err
		}
	}
	return nil
}
