package deployment

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// draft is a revision that has no number yet.
type draft struct{ entity.Revision }

// describe records of a bundle what can be known without compiling it.
func describe(u *Upload) (*draft, error) {
	d := &draft{Revision: entity.Revision{Kind: u.Kind, Name: u.Name}}
	seen := map[string]string{}
	for _, p := range u.Bundle.Proxies {
		path := "/"
		if p.Connection != nil {
			path = entity.BasePath(p.Connection.BasePath)
		}
		if err := entity.CheckBasePath(path); err != nil {
			return nil, err
		}
		if other, ok := seen[path]; ok {
			return nil, entity.Errorf(entity.InvalidArgument, "ProxyEndpoints %q and %q have the same base path %s", other, p.Name, path)
		}
		seen[path] = p.Name
		d.Endpoints = append(d.Endpoints, entity.Endpoint{Name: p.Name, BasePath: path})
	}
	d.Uses = usesOf(u.Bundle)
	d.Extensible = u.Kind == entity.API && extensible(u.Bundle)
	d.NeedsServiceAccount = needsServiceAccount(u.Bundle)
	if u.Kind == entity.SharedFlow {
		d.Flow = flowRevision(u.Name, u.Bundle)
	} else {
		d.Proxy = proxyRevision(u.Name, u.Bundle, d)
	}
	return d, nil
}

// number makes a draft the revision of that number. now is in milliseconds since
// 1970.
func (d *draft) number(org string, n int, now int64) {
	d.Revision.Revision = strconv.Itoa(n)
	if f := d.Flow; f != nil {
		f.Revision, f.CreatedAt, f.LastModifiedAt = d.Revision.Revision, now, now
		f.ContextInfo = fmt.Sprintf("Revision %d of application %s, in organization %s", n, d.Name, org)
		f.EntityMetaDataAsProperties = metadata("SharedFlowBundle", "SharedFlow", now)
		return
	}
	p := d.Proxy
	p.Revision, p.CreatedAt, p.LastModifiedAt = d.Revision.Revision, now, now
	p.ContextInfo = fmt.Sprintf("Revision %d of application %s, in organization %s", n, d.Name, org)
	p.EntityMetaDataAsProperties = metadata("zip", "Proxy", now)
}

func metadata(bundleType, subType string, now int64) map[string]string {
	at := strconv.FormatInt(now, 10)
	return map[string]string{"bundle_type": bundleType, "subType": subType, "createdAt": at, "lastModifiedAt": at}
}

// created keeps the creation time of the revision this one replaces.
func (d *draft) created(old *entity.Revision) {
	switch {
	case d.Flow != nil && old.Flow != nil:
		d.Flow.CreatedAt = old.Flow.CreatedAt
		d.Flow.EntityMetaDataAsProperties["createdAt"] = strconv.FormatInt(old.Flow.CreatedAt, 10)
	case d.Proxy != nil && old.Proxy != nil:
		d.Proxy.CreatedAt = old.Proxy.CreatedAt
		d.Proxy.EntityMetaDataAsProperties["createdAt"] = strconv.FormatInt(old.Proxy.CreatedAt, 10)
	}
}

func configVersion(b *bundle.Bundle) *apigee.GoogleCloudApigeeV1ConfigVersion {
	v := &apigee.GoogleCloudApigeeV1ConfigVersion{MajorVersion: 4}
	if b.Descriptor != nil {
		v.MajorVersion = int64(b.Descriptor.ConfigurationVersion.Major)
		v.MinorVersion = int64(b.Descriptor.ConfigurationVersion.Minor)
	}
	v.ForceSendFields = []string{"MajorVersion", "MinorVersion"}
	return v
}

func proxyRevision(name string, b *bundle.Bundle, d *draft) *apigee.GoogleCloudApigeeV1ApiProxyRevision {
	r := &apigee.GoogleCloudApigeeV1ApiProxyRevision{
		Name: name, Type: "Application", DisplayName: b.DisplayName, Description: b.Description,
		ConfigurationVersion: configVersion(b), HasExtensiblePolicy: d.Extensible,
		Policies: policyNames(b), Resources: resourceURLs(b), ResourceFiles: resourceFiles(b),
		SharedFlows: d.Uses.SharedFlows,
	}
	for _, e := range d.Endpoints {
		r.ProxyEndpoints, r.Basepaths = append(r.ProxyEndpoints, e.Name), append(r.Basepaths, e.BasePath)
	}
	r.Proxies = r.ProxyEndpoints
	for _, t := range b.Targets {
		r.TargetEndpoints = append(r.TargetEndpoints, t.Name)
		if t.HTTP != nil && t.HTTP.LoadBalancer != nil {
			for _, s := range t.HTTP.LoadBalancer.Servers {
				r.TargetServers = append(r.TargetServers, s.Name)
			}
		}
	}
	r.TargetServers = unique(r.TargetServers)
	r.Targets = r.TargetEndpoints
	for _, i := range b.Integrations {
		r.IntegrationEndpoints = append(r.IntegrationEndpoints, i.Name)
	}
	if b.Descriptor != nil {
		r.Spec = b.Descriptor.Spec
	}
	return r
}

func flowRevision(name string, b *bundle.Bundle) *apigee.GoogleCloudApigeeV1SharedFlowRevision {
	r := &apigee.GoogleCloudApigeeV1SharedFlowRevision{
		Name: name, Type: "Application", DisplayName: b.DisplayName, Description: b.Description,
		ConfigurationVersion: configVersion(b),
		Policies:             policyNames(b), Resources: resourceURLs(b), ResourceFiles: resourceFiles(b),
	}
	for _, f := range b.SharedFlows {
		r.SharedFlows = append(r.SharedFlows, f.Name)
	}
	return r
}

func policyNames(b *bundle.Bundle) []string {
	var names []string
	for _, p := range b.Policies {
		names = append(names, p.Name)
	}
	return names
}

func resourceURLs(b *bundle.Bundle) []string {
	var urls []string
	for _, r := range b.Resources {
		urls = append(urls, r.URL())
	}
	return urls
}

func resourceFiles(b *bundle.Bundle) *apigee.GoogleCloudApigeeV1ResourceFiles {
	files := new(apigee.GoogleCloudApigeeV1ResourceFiles)
	for _, r := range b.Resources {
		files.ResourceFile = append(files.ResourceFile, &apigee.GoogleCloudApigeeV1ResourceFile{Name: r.Name, Type: r.Type})
	}
	return files
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// usesOf finds what a bundle needs from outside.
func usesOf(b *bundle.Bundle) entity.Uses {
	var u entity.Uses
	for _, p := range b.Policies {
		if p.Kind == "FlowCallout" {
			if c := p.Root.Child("SharedFlowBundle"); c != nil && literal(c.TrimText()) {
				u.SharedFlows = append(u.SharedFlows, c.TrimText())
			}
		}
		each(p.Root, func(e *bundle.Element) {
			if typ, name, ok := resourceURL(e.TrimText()); ok && b.Resource(typ, name) == nil {
				u.Resources = append(u.Resources, typ+"://"+name)
			}
		})
	}
	for _, t := range b.Targets {
		if t.Local != nil && literal(t.Local.APIProxy) {
			u.Proxies = append(u.Proxies, strings.TrimSpace(t.Local.APIProxy))
		}
	}
	u.SharedFlows, u.Resources, u.Proxies = unique(u.SharedFlows), unique(u.Resources), unique(u.Proxies)
	return u
}

func literal(s string) bool {
	s = strings.TrimSpace(s)
	return s != "" && !strings.Contains(s, "{")
}

// resourceURL takes type://name apart; ok is false if it is nothing like that.
func resourceURL(s string) (typ, name string, ok bool) {
	typ, name, ok = strings.Cut(s, "://")
	ok = ok && typ != "properties" && slices.Contains(registry.ResourceTypes, typ) && entity.ResourceFileName.Check(name) == nil
	return typ, name, ok
}

// each visits an element and all beneath it.
func each(e *bundle.Element, visit func(*bundle.Element)) {
	visit(e)
	for _, c := range e.Children {
		each(c, visit)
	}
}

// standardPolicies do not make a deployment one of type EXTENSIBLE.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/reference-overview-policy
var standardPolicies = []string{
	"AccessControl", "AssertCondition", "CORS", "DecodeJWT", "ExternalCallout", "GraphQL", "HMAC", "HTTPModifier",
	"JSONToXML", "MessageValidation", "OASValidation", "PublishMessage", "RaiseFault", "ReadPropertySet", "SpikeArrest",
	"VerifyAPIKey", "VerifyIAM", "VerifyJWT", "XMLToJSON",
}

func extensible(b *bundle.Bundle) bool {
	return slices.ContainsFunc(b.Policies, func(p *bundle.Policy) bool { return !slices.Contains(standardPolicies, p.Kind) })
}

// needsServiceAccount reports whether a bundle calls Google as someone.
// Source: https://cloud.google.com/apigee/docs/api-platform/security/google-auth/overview
func needsServiceAccount(b *bundle.Bundle) bool {
	for _, t := range b.Targets {
		if t.HTTP != nil && t.HTTP.Authentication != nil {
			return true
		}
	}
	if len(b.Integrations) > 0 {
		return true
	}
	return slices.ContainsFunc(b.Policies, func(p *bundle.Policy) bool {
		if !p.Enabled {
			return false
		}
		switch p.Kind {
		case "PublishMessage", "IntegrationCallout", "SetIntegrationRequest",
			"SanitizeUserPrompt", "SanitizeModelResponse", "SemanticCacheLookup", "SemanticCachePopulate":
			return true
		case "MessageLogging":
			return p.Root.Child("CloudLogging") != nil
		case "ServiceCallout", "ExternalCallout":
			return has(p.Root, "Authentication")
		}
		return false
	})
}

func has(e *bundle.Element, name string) bool {
	found := false
	each(e, func(c *bundle.Element) { found = found || c.Name == name })
	return found
}
