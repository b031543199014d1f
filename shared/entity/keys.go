package entity

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/store"
)

// ID joins the parts of a document's id. Only the last may contain a slash.
func ID(parts ...string) string { return strings.Join(parts, "/") }

// Key names a document of a collection by the parts of its id.
func Key(collection string, parts ...string) store.Key {
	return store.Key{Collection: collection, ID: ID(parts...)}
}

// StampKey names the version stamp of an organization.
func StampKey(org string) store.Key { return Key("stamps", org) }

// ConfigKey names part n, from 0, of the Config of an environment; "" is the
// organization's.
func ConfigKey(org, env string, n int) store.Key {
	return Key("runtimeConfigs", org, env, strconv.Itoa(n))
}

// NodeKey names a node of the routing index of an environment: path are its
// segments, "" is the root.
func NodeKey(org, env, path string) store.Key { return Key("routes", org, env, path) }

// ProxyKey names the document of an API proxy or shared flow.
func ProxyKey(org string, kind Kind, name string) store.Key {
	return Key(kind.Plural(), org, name)
}

// RevisionKey names the document of a revision.
func RevisionKey(org string, kind Kind, name, revision string) store.Key {
	return Key("revisions", org, string(kind), name, revision)
}

// DeploymentKey names the document of what is deployed of an API proxy or shared
// flow in an environment.
func DeploymentKey(org, env string, kind Kind, name string) store.Key {
	return Key("deployments", org, env, string(kind), name)
}

// MapScope says whose key value map is meant: the organization's when both are
// empty, an environment's, or an API proxy's.
type MapScope struct{ Environment, Proxy string }

// Level is the scope as policies name it.
func (s MapScope) Level() string {
	switch {
	case s.Proxy != "":
		return "apiproxy"
	case s.Environment != "":
		return "environment"
	}
	return "organization"
}

// Parts are the parts of the id of what is in the scope.
func (s MapScope) Parts(org string) []string {
	switch {
	case s.Proxy != "":
		return []string{org, "apis", s.Proxy}
	case s.Environment != "":
		return []string{org, "environments", s.Environment}
	}
	return []string{org, "organization"}
}

// MapID is the id of a key value map.
func MapID(org string, s MapScope, name string) string {
	return ID(append(s.Parts(org), name)...)
}

// maxEntryID bounds the id of an entry whose name is part of it. Names may be
// longer than ids.
const maxEntryID = 1000

// EntryKey names an entry of a key value map. The names of long entries are
// replaced by their digest.
func EntryKey(mapID, name string) store.Key {
	if len(mapID)+1+len(name) > maxEntryID {
		sum := sha256.Sum256([]byte(name))
		name = "sha256:" + hex.EncodeToString(sum[:])
	}
	return Key("kvmEntries", mapID, name)
}
