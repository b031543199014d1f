// Package caching is what the cache policies share: the elements <CacheKey>,
// <Scope>, <CacheResource> and <ExpirySettings>, the values of entries, and one
// call filling what many miss.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/cache/cache-keys
package caching

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Settings are the elements that all cache policies have. Embed it in a Config.
type Settings struct {
	// CacheResource names a cache of the environment. Absent is the cache that
	// all share. As in Apigee X a cache comes into being by use.
	CacheResource string `xml:"CacheResource,once"`
	// Scope gives the prefix of keys that have no <Prefix>.
	Scope string `xml:"Scope,once" default:"Exclusive" enum:"Exclusive,Global,Application,Proxy,Target"`
	// CacheKey is the prefix and the fragments of the key.
	CacheKey KeyConfig `xml:"CacheKey,once,required"`
}

// KeyConfig is the <CacheKey>: fragments joined by "__".
type KeyConfig struct {
	bundle.Pos
	// Prefix goes before the fragments instead of the scope's.
	Prefix string `xml:"Prefix,once"`
	// Fragments are the parts of the key.
	Fragments []Fragment `xml:"KeyFragment"`
}

// Fragment is a part of a key: the variable in ref, else the text. A variable
// that is not set is an empty part.
type Fragment struct {
	bundle.Pos
	Ref string `xml:"ref,attr"`
	// Type is of no effect.
	Type string `xml:"type,attr"`
	Text string `xml:",chardata"`
}

const separator = "__"

// Key makes the key of a call.
type Key struct {
	// Cache is the name of the cache resource.
	Cache string

	scope  string
	prefix string // of <Prefix>, with separator
	parts  []part
}

type part struct {
	ref  flow.Var
	text string
}

// Key compiles the settings.
func (s *Settings) Key(env *policy.Env) *Key {
	k := &Key{Cache: s.CacheResource, scope: s.Scope}
	if s.CacheKey.Prefix != "" {
		k.prefix = s.CacheKey.Prefix
	}
	for _, f := range s.CacheKey.Fragments {
		p := part{text: f.Text}
		if ref := strings.TrimSpace(f.Ref); ref != "" {
			p.ref = env.Var(ref)
		}
		k.parts = append(k.parts, p)
	}
	return k
}

// Name is the cache's name as variables tell it.
func (k *Key) Name() string {
	if k.Cache == "" {
		return "default"
	}
	return k.Cache
}

// Of is the key of this call.
func (k *Key) Of(fc *flow.Context) policy.CacheKey {
	return policy.CacheKey{Cache: k.Cache, Key: k.text(fc, k.prefix)}
}

// OfContext is the key of a call to another proxy or endpoint, which
// <CacheContext> of InvalidateCache names; what it leaves empty is this call's.
func (k *Key) OfContext(fc *flow.Context, proxy, endpoint, target string) policy.CacheKey {
	prefix := k.prefix
	if prefix == "" {
		prefix = scopePrefix(fc, k.scope, proxy, endpoint, target)
	}
	return policy.CacheKey{Cache: k.Cache, Key: k.text(fc, prefix)}
}

func (k *Key) text(fc *flow.Context, prefix string) string {
	if prefix == "" {
		prefix = scopePrefix(fc, k.scope, "", "", "")
	}
	b := make([]byte, 0, 128)
	b = append(b, prefix...)
	for _, p := range k.parts {
		b = append(b, separator...)
		if p.ref.IsZero() {
			b = append(b, p.text...)
			continue
		}
		b = append(b, p.ref.Get(fc).String()...)
	}
	return string(b)
}

// scopePrefix is org__env, and further down proxy, revision and endpoint, as far
// as the scope goes. Exclusive is the endpoint whose flow is running.
func scopePrefix(fc *flow.Context, scope, proxy, endpoint, target string) string {
	p := fc.Proxy
	b := p.Organization + separator + p.Environment
	if scope == "Global" {
		return b
	}
	b += separator + or(proxy, p.Name)
	if scope == "Application" {
		return b
	}
	return b + separator + p.Revision + separator + endpointOf(fc, scope, endpoint, target)
}

func endpointOf(fc *flow.Context, scope, endpoint, target string) string {
	atTarget := fc.Phase == flow.TargetRequest || fc.Phase == flow.TargetResponse
	if endpoint != "" || target != "" {
		atTarget = endpoint == ""
	}
	if scope == "Target" || scope != "Proxy" && atTarget {
		return or(target, fc.Target.Name)
	}
	return or(endpoint, fc.Proxy.Endpoint)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
