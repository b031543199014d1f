package credentials

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// profile is a rendered entity of AccessEntity; nil data is none.
type profile struct {
	data                []byte
	read                time.Time
	generation, version int64
}

func (s *Service) freshProfile(p profile) bool {
	age := s.r.Now().Sub(p.read)
	if p.data == nil {
		return p.version == s.version.Load() && age < unknownAge
	}
	return p.generation == s.generation.Load() && age < MaxAge
}

// Entity implements policy.Entities. Profiles are kept as long as Clients are.
// Authorization codes are not among the entities here: what knows them answers
// for them before.
func (s *Service) Entity(ctx context.Context, q policy.EntityQuery) ([]byte, bool, error) {
	if p, ok := s.profiles.GetIfPresent(q); ok && s.freshProfile(p) {
		return p.data, p.data != nil, nil
	}
	q.Primary.Value, q.Secondary.Value = strings.Clone(q.Primary.Value), strings.Clone(q.Secondary.Value)
	p := profile{read: s.r.Now(), generation: s.generation.Load(), version: s.version.Load()}
	e, err := s.find(ctx, q)
	if code := entity.CodeOf(err); code == entity.NotFound || code == entity.InvalidArgument {
		e, err = nil, nil // InvalidArgument: no id could be like this
	}
	if err == nil && e != nil {
		p.data, err = e.render(q.JSON)
	}
	if err != nil {
		return nil, false, Unavailable(err)
	}
	s.profiles.Set(q, p)
	return p.data, p.data != nil, nil
}

// found is an entity in both of its forms.
type found struct {
	xml  func() node
	json any
}

func (e *found) render(asJSON bool) ([]byte, error) {
	if asJSON {
		return json.Marshal(e.json)
	}
	return e.xml().document(), nil
}

// find reads the entity a query names; nil if there is none.
// Source: policies reference, "AccessEntity"
func (s *Service) find(ctx context.Context, q policy.EntityQuery) (*found, error) {
	switch q.Kind {
	case "app":
		a, err := s.app(ctx, q)
		if a == nil || err != nil {
			return nil, err
		}
		return s.appProfile(ctx, a)
	case "consumerkey", "consumerkey_scope":
		return s.keyProfile(ctx, q)
	case "developer":
		return s.developerProfile(ctx, q)
	case "appgroupname", "company":
		return s.groupProfile(ctx, q)
	case "apiproduct":
		p, err := s.product(ctx, q)
		if p == nil || err != nil {
			return nil, err
		}
		return &found{json: p, xml: func() node { return productNode(p) }}, nil
	}
	return nil, nil
}

// app is the app a query names by its key, its id, or its name and owner.
func (s *Service) app(ctx context.Context, q policy.EntityQuery) (*entity.App, error) {
	switch q.Primary.Type {
	case "consumerkey":
		return s.r.AppOfKey(ctx, s.org, q.Primary.Value)
	case "appid":
		return s.r.Apps.Get(ctx, s.org, q.Primary.Value)
	case "appname":
		return s.appNamed(ctx, q)
	}
	return nil, nil
}

// appNamed finds an app by name. Without an owner the name must be the only one.
func (s *Service) appNamed(ctx context.Context, q policy.EntityQuery) (*entity.App, error) {
	name, by := q.Primary.Value, q.Secondary
	switch by.Type {
	case "developeremail", "developerid":
		id, err := s.r.DeveloperID(ctx, s.org, by.Value)
		if err != nil {
			return nil, err
		}
		return s.r.App(ctx, s.org, registry.Owner{Developer: id}, name)
	case "appgroupname", "companyname":
		return s.r.App(ctx, s.org, registry.Owner{Group: by.Value}, name)
	}
	var only *entity.App
	for a, err := range s.r.AppsNamed(ctx, s.org, name) {
		if err != nil || only != nil {
			return nil, err
		}
		only = a
	}
	return only, nil
}

func (s *Service) appProfile(ctx context.Context, a *entity.App) (*found, error) {
	shown := *a.Profile
	for _, c := range a.Credentials {
		pair, err := s.r.OpenCredential(ctx, s.org, c)
		if err != nil {
			return nil, err
		}
		public := *c.Public
		public.ConsumerKey, public.ConsumerSecret = pair.Key, pair.Secret
		shown.Credentials = append(shown.Credentials, &public)
	}
	return &found{json: &shown, xml: func() node { return appNode(&shown, a.AppFamily) }}, nil
}

func (s *Service) keyProfile(ctx context.Context, q policy.EntityQuery) (*found, error) {
	h, err := s.r.Holder(ctx, s.org, q.Primary.Value, func(string) bool { return true })
	if h == nil || err != nil {
		return nil, err
	}
	public := *h.Credential.Public
	if q.Kind == "consumerkey_scope" {
		return &found{json: map[string][]string{"scopes": entity.Scopes(public.Scopes)}, xml: func() node { return list("Scopes", "Scope", public.Scopes) }}, nil
	}
	public.ConsumerKey, public.ConsumerSecret = h.Pair.Key, h.Pair.Secret
	return &found{json: &public, xml: func() node { return credentialNode(&public) }}, nil
}

func (s *Service) developerProfile(ctx context.Context, q policy.EntityQuery) (*found, error) {
	id := q.Primary.Value
	if t := q.Primary.Type; t == "appid" || t == "consumerkey" {
		a, err := s.app(ctx, q)
		if a == nil || err != nil || a.Profile.DeveloperId == "" {
			return nil, err
		}
		id = a.Profile.DeveloperId
	}
	// Variables have it behind the organization's name.
	id = strings.TrimPrefix(id, OwnerID(s.org, ""))
	d, err := s.r.Developer(ctx, s.org, id)
	if err != nil {
		return nil, err
	}
	return &found{json: d, xml: func() node { return developerNode(d) }}, nil
}

func (s *Service) groupProfile(ctx context.Context, q policy.EntityQuery) (*found, error) {
	name := q.Primary.Value
	if t := q.Primary.Type; t == "appid" || t == "consumerkey" {
		a, err := s.app(ctx, q)
		if a == nil || err != nil || a.Profile.AppGroup == "" {
			return nil, err
		}
		name = a.Profile.AppGroup
	}
	g, err := s.r.AppGroups.Get(ctx, s.org, name)
	if err != nil {
		return nil, err
	}
	element := "AppGroup"
	if q.Kind == "company" {
		element = "Company"
	}
	return &found{json: g, xml: func() node { return groupNode(element, g) }}, nil
}

// product is the product of that name, or the first one of an app or key; with a
// resource, the first that has it.
func (s *Service) product(ctx context.Context, q policy.EntityQuery) (*apigee.GoogleCloudApigeeV1ApiProduct, error) {
	if q.Primary.Type == "apiproductname" {
		return s.r.Products.Get(ctx, s.org, q.Primary.Value)
	}
	a, err := s.app(ctx, q)
	if a == nil || err != nil {
		return nil, err
	}
	keys := a.Credentials
	if q.Primary.Type == "consumerkey" {
		keys = []*entity.Credential{a.Credential(entity.KeyID(q.Primary.Value))}
	}
	for _, k := range keys {
		if k == nil {
			continue // removed meanwhile
		}
		for _, name := range k.Products() {
			p, err := s.r.Products.Get(ctx, s.org, name)
			if entity.IsNotFound(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if q.Secondary.Type != "apiresource" || hasResource(p, q.Secondary.Value) {
				return p, nil
			}
		}
	}
	return nil, nil
}

// hasResource reports whether a product lists a resource, or stands for a path.
func hasResource(p *apigee.GoogleCloudApigeeV1ApiProduct, resource string) bool {
	resources := slices.Clone(p.ApiResources)
	if g := p.OperationGroup; g != nil {
		for _, c := range g.OperationConfigs {
			for _, o := range c.Operations {
				resources = append(resources, o.Resource)
			}
		}
	}
	suffix := splitPath(resource, nil)
	return slices.ContainsFunc(resources, func(text string) bool {
		r := compileResource(text)
		return text == resource || r.matches(&suffix)
	})
}
