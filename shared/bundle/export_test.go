package bundle

import (
	"maps"
	"slices"
)

// KnownProperties are the properties of both kinds of connection, for the table
// of docs/ENDPOINTS.md.
func KnownProperties() (proxy, target, edge []string) {
	edge = slices.Sorted(maps.Keys(edgeProperties))
	return slices.Sorted(maps.Keys(proxyProperties)), slices.Sorted(maps.Keys(targetProperties)), append(edge, "allow.http.method.*")
}
