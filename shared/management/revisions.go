package management

import (
	"encoding/json"
	"fmt"
	"slices"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// bundles makes the handlers of API proxies and those of shared flows; they
// differ in names only.
type bundles struct{ kind entity.Kind }

var (
	apis        = bundles{entity.API}
	sharedFlows = bundles{entity.SharedFlow}
)

// proxies is where proxies or shared flows are without their revisions.
func (b bundles) proxies(c *call) *registry.Kind[entity.Proxy] {
	if b.kind == entity.SharedFlow {
		return c.Registry.SharedFlows
	}
	return c.Registry.APIs
}

// show is a proxy or shared flow as the API answers it.
func (b bundles) show(p *entity.Proxy) any {
	if b.kind == entity.SharedFlow {
		return p.SharedFlow()
	}
	return p.APIProxy()
}

func (b bundles) find(c *call) (*entity.Proxy, error) {
	return b.proxies(c).Get(c.ctx(), c.ids("org", "api")...)
}

func (b bundles) get(c *call) (any, error) {
	p, err := b.find(c)
	if err != nil {
		return nil, err
	}
	return b.show(p), nil
}

// list has names only, unless includeRevisions and includeMetaData ask for more.
func (b bundles) list(c *call) (any, error) {
	revisions, err := c.flag("includeRevisions")
	if err != nil {
		return nil, err
	}
	metaData, err := c.flag("includeMetaData")
	if err != nil {
		return nil, err
	}
	var fields map[string]string
	if space := c.query.Get("space"); space != "" {
		fields = map[string]string{"org": c.param("org"), "space": space}
	}
	list := []any{}
	for item, err := range b.proxies(c).Where(c.ctx(), fields, registry.Page{}, c.param("org")) {
		if err != nil {
			return nil, err
		}
		list = append(list, b.brief(item.Value, revisions, metaData))
	}
	if b.kind == entity.SharedFlow {
		return object{"sharedFlows": list}, nil
	}
	return object{"proxies": list}, nil
}

func (b bundles) brief(p *entity.Proxy, revisions, metaData bool) any {
	full := p.APIProxy()
	o := object{"name": full.Name}
	if b.kind == entity.API {
		o["apiProxyType"] = full.ApiProxyType
	}
	if full.Space != "" {
		o["space"] = full.Space
	}
	if revisions {
		o["revision"] = full.Revision
		if full.LatestRevisionId != "" {
			o["latestRevisionId"] = full.LatestRevisionId
		}
	}
	if metaData {
		full.MetaData.SubType = map[entity.Kind]string{entity.API: "Proxy", entity.SharedFlow: "SharedFlow"}[b.kind]
		o["metaData"] = full.MetaData
	}
	return o
}

// create imports or validates a bundle. A JSON body, or none, makes a proxy
// without revisions.
func (b bundles) create(c *call) (any, error) {
	action, err := c.oneOf("action", "import", "validate")
	if err != nil {
		return nil, err
	}
	if c.mediaType() == "application/json" || action == "" && c.r.ContentLength == 0 {
		return b.createEmpty(c)
	}
	u, warnings, err := b.read(c)
	if err != nil {
		return nil, err
	}
	if u.Name == "" {
		u.Name = u.Bundle.Name
	}
	if action == "validate" {
		return b.validated(c, u, warnings)
	}
	c.made = u.Name
	rev, err := c.Deployments.Import(c.ctx(), *u)
	if err != nil {
		return nil, err
	}
	c.made += "/revisions/" + rev.Revision
	return withWarnings(shown(rev), warnings)
}

func (b bundles) createEmpty(c *call) (any, error) {
	body := new(apigee.GoogleCloudApigeeV1ApiProxy)
	if err := c.decode(body); err != nil {
		return nil, err
	}
	name, err := c.named(b.kind.String(), body.Name, c.query.Get("name"))
	if err != nil {
		return nil, err
	}
	space := c.query.Get("space")
	keep(&space, body.Space)
	p, err := c.Deployments.Create(c.ctx(), c.param("org"), b.kind, name, space)
	if err != nil {
		return nil, err
	}
	return b.show(p), nil
}

// read reads and validates the bundle of the request: the first file of a form,
// whatever it is called, or the body itself. All that is wrong is one error.
func (b bundles) read(c *call) (*deployment.Upload, bundle.Problems, error) {
	body, err := c.upload(bundle.MaxZipBytes)
	if err != nil {
		return nil, nil, err
	}
	u := &deployment.Upload{
		Organization: c.param("org"), Kind: b.kind, Name: c.query.Get("name"), Space: c.query.Get("space"), Zip: body.any(),
	}
	if api := c.param("api"); api != "" {
		u.Name = api
	}
	if len(u.Zip) == 0 {
		return nil, nil, invalid("the request has no bundle")
	}
	var problems bundle.Problems
	if u.Bundle, problems, err = c.validate("", b.kind, u.Zip); err != nil {
		return nil, nil, err
	}
	return u, problems.Warnings(), nil
}

// validate reads a bundle and asks the compiler. The error has all problems; the
// problems returned beside no error are warnings.
func (c *call) validate(env string, kind entity.Kind, zip []byte) (*bundle.Bundle, bundle.Problems, error) {
	b, err := bundle.LoadZip(zip, bundle.Limits{Kind: kind.Bundle()})
	if b == nil {
		return nil, nil, &badRequest{message: "bundle contains errors:\n" + err.Error()}
	}
	if (b.Kind == bundle.KindSharedFlow) != (kind == entity.SharedFlow) {
		return nil, nil, invalid("the bundle is a %s, not a bundle of an %s", b.Kind, kind)
	}
	problems := slices.Concat(b.Warnings, c.Validate(c.ctx(), c.param("org"), env, b))
	problems.Sort()
	if problems.Err() != nil {
		return nil, nil, refused(b, problems)
	}
	return b, problems, nil
}

// validated is the answer of a validation: a revision without a number.
func (b bundles) validated(c *call, u *deployment.Upload, warnings bundle.Problems) (any, error) {
	rev, err := c.Deployments.Check(*u)
	if err != nil {
		return nil, err
	}
	return withWarnings(shown(rev), warnings)
}

// shown is a revision as the API answers it.
func shown(rev *entity.Revision) any {
	if rev.Flow != nil {
		return rev.Flow
	}
	return rev.Proxy
}

// withWarnings adds the field warnings to an answer that has any: a list of
// file:line: message. Clients of Google's API ignore a field they do not know.
func withWarnings(v any, warnings bundle.Problems) (any, error) {
	if len(warnings) == 0 {
		return v, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, err
	}
	lines := make([]string, len(warnings))
	for i, w := range warnings {
		w.Warning = false
		lines[i] = w.String()
	}
	o["warnings"] = lines
	return o, nil
}

// patch changes labels and space.
func (b bundles) patch(c *call) (any, error) {
	type settings struct {
		Labels map[string]string `json:"labels,omitempty"`
		Space  string            `json:"space,omitempty"`
	}
	p, err := c.patch(new(settings), "name", "revision", "latestRevisionId", "metaData", "apiProxyType", "readOnly")
	if err != nil {
		return nil, err
	}
	proxy, err := b.proxies(c).Update(c.ctx(), func(v *entity.Proxy) error {
		s := settings{v.Labels, v.Space}
		if err := p.apply(&s); err != nil {
			return err
		}
		v.Labels, v.Space, v.ModifiedAt = s.Labels, s.Space, entity.Millis(c.Now())
		return nil
	}, c.ids("org", "api")...)
	if err != nil {
		return nil, err
	}
	return b.show(proxy), nil
}

// move puts a proxy into another space; none with an empty one.
func (b bundles) move(c *call) (any, error) {
	body := new(apigee.GoogleCloudApigeeV1MoveApiProxyRequest)
	if err := c.decode(body); err != nil {
		return nil, err
	}
	space := c.query.Get("space")
	keep(&space, body.Space)
	proxy, err := b.proxies(c).Update(c.ctx(), func(v *entity.Proxy) error {
		v.Space, v.ModifiedAt = space, entity.Millis(c.Now())
		return nil
	}, c.ids("org", "api")...)
	if err != nil {
		return nil, err
	}
	return b.show(proxy), nil
}

func (b bundles) delete(c *call) (any, error) {
	p, err := c.Deployments.Delete(c.ctx(), c.param("org"), b.kind, c.param("api"))
	if err != nil {
		return nil, err
	}
	return b.show(p), nil
}

func (b bundles) listRevisions(c *call) (any, error) {
	p, err := b.find(c)
	if err != nil {
		return nil, err
	}
	return p.APIProxy().Revision, nil
}

// getRevision is what is known of a revision, or with format=bundle its zip.
func (b bundles) getRevision(c *call) (any, error) {
	format, err := c.oneOf("format", "bundle")
	if err != nil {
		return nil, err
	}
	org, name, number := c.param("org"), c.param("api"), c.param("rev")
	if format == "bundle" {
		zip, err := c.Deployments.Bundle(c.ctx(), org, b.kind, name, number)
		return file{contentType: "application/zip", name: fmt.Sprintf("%s_rev%s.zip", name, number), data: zip}, err
	}
	rev, err := c.Deployments.Revision(c.ctx(), org, b.kind, name, number)
	if err != nil {
		return nil, err
	}
	return shown(rev), nil
}

// updateRevision replaces the bundle of a revision that was never deployed.
func (b bundles) updateRevision(c *call) (any, error) {
	u, warnings, err := b.read(c)
	if err != nil {
		return nil, err
	}
	rev, err := c.Deployments.Replace(c.ctx(), *u, c.param("rev"))
	if err != nil {
		return nil, err
	}
	return withWarnings(shown(rev), warnings)
}

func (b bundles) deleteRevision(c *call) (any, error) {
	rev, err := c.Deployments.DeleteRevision(c.ctx(), c.param("org"), b.kind, c.param("api"), c.param("rev"))
	if err != nil {
		return nil, err
	}
	return shown(rev), nil
}
