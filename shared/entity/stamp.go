package entity

import (
	"slices"
	"strings"

	apigee "google.golang.org/api/apigee/v1"
)

// Stamp is the version stamp of an organization: the one document an instance
// re-reads to learn of changes. It also holds what must be known before anything
// else can be read: environments, groups, host names.
type Stamp struct {
	Organization string `json:"organization"`
	// Version changes with every write a data plane must notice. It only grows,
	// also when an organization is deleted and made again.
	Version int64 `json:"version"`
	// Changed is the Version at the last change of each environment; "" is what
	// belongs to the organization.
	Changed map[string]int64 `json:"changed,omitempty"`
	// KeyValueMaps is the Version at the last write of an entry by the
	// Management API: caches of entries are dropped when it changes.
	KeyValueMaps int64 `json:"keyValueMaps,omitempty"`
	// Revoked is the Version at the last write after which something verified
	// may no longer be valid (key, app, developer, product, token): caches of
	// credentials and tokens are dropped when it changes.
	Revoked int64 `json:"revoked,omitempty"`
	// Environments are all environments, sorted.
	Environments []string `json:"environments,omitempty"`
	// Groups are the environment groups by name.
	Groups map[string]Group `json:"groups,omitempty"`
	// Parts is the number of documents an environment's Config is in where it
	// is more than one.
	Parts map[string]int `json:"parts,omitempty"`
	// Split are the nodes of routing indexes whose children are nodes of their
	// own, as environment/segment/segment..., sorted. The root always is and is
	// not listed.
	Split []string `json:"split,omitempty"`
}

// Group is an environment group: which host names lead to which environments.
type Group struct {
	Hostnames []string `json:"hostnames,omitempty"`
	// Attachments are the attached environments by the attachment's name.
	Attachments map[string]string `json:"attachments,omitempty"`
}

// Environments are the attached environments, sorted.
func (g Group) Environments() []string {
	var envs []string
	for _, env := range g.Attachments {
		envs = append(envs, env)
	}
	slices.Sort(envs)
	return slices.Compact(envs)
}

// Hosts is the environments each host name leads to, by lower-case name.
func (s *Stamp) Hosts() map[string][]string {
	hosts := map[string][]string{}
	for _, g := range s.Groups {
		envs := g.Environments()
		for _, h := range g.Hostnames {
			h = strings.ToLower(h)
			hosts[h] = slices.Compact(slices.Sorted(slices.Values(append(hosts[h], envs...))))
		}
	}
	return hosts
}

// Neighbours are the environments that share a group with env, sorted and
// without env itself: base paths are unique among them.
func (s *Stamp) Neighbours(env string) []string {
	var all []string
	for _, g := range s.Groups {
		if envs := g.Environments(); slices.Contains(envs, env) {
			all = append(all, envs...)
		}
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(e string) bool { return e == env })
}

// HasEnvironment reports whether the organization has the environment.
func (s *Stamp) HasEnvironment(env string) bool {
	_, ok := slices.BinarySearch(s.Environments, env)
	return ok
}

// IsSplit reports whether the children of a node of env's routing index are
// nodes of their own.
func (s *Stamp) IsSplit(env, node string) bool {
	if node == "" {
		return true
	}
	_, ok := slices.BinarySearch(s.Split, env+"/"+node)
	return ok
}

// Config is what a data plane must know of an environment beside its routes, in
// one document (more when it is large). The environment "" is the organization.
type Config struct {
	// Version is Stamp.Changed of the environment when this was written.
	Version     int64                                           `json:"version"`
	Environment *apigee.GoogleCloudApigeeV1Environment          `json:"environment,omitempty"`
	DebugMask   *apigee.GoogleCloudApigeeV1DebugMask            `json:"debugMask,omitempty"`
	TraceConfig *apigee.GoogleCloudApigeeV1TraceConfig          `json:"traceConfig,omitempty"`
	Addons      *apigee.GoogleCloudApigeeV1AddonsConfig         `json:"addons,omitempty"`
	Targets     map[string]*TargetServer                        `json:"targets,omitempty"`
	References  map[string]*apigee.GoogleCloudApigeeV1Reference `json:"references,omitempty"`
	// Keystores are the versions of the aliases of each keystore, "" where the
	// version is not known: what a data plane must read.
	Keystores map[string]map[string]string `json:"keystores,omitempty"`
	// FlowHooks are the attached ones, by flow hook point.
	FlowHooks map[string]*apigee.GoogleCloudApigeeV1FlowHook `json:"flowHooks,omitempty"`
	// SharedFlows are the deployed ones by name.
	SharedFlows map[string]SharedFlowRef `json:"sharedFlows,omitempty"`
	// PropertySets are the texts of the property sets by name, without the
	// extension .properties.
	PropertySets map[string]string `json:"propertySets,omitempty"`
	// Resources are the other resource files by type://name.
	Resources map[string]Archive `json:"resources,omitempty"`
	// DataCollectors are the types of the organization's data collectors by
	// name; only the organization's Config has them.
	DataCollectors map[string]string `json:"dataCollectors,omitempty"`
	// Caches are the settings of named caches.
	Caches map[string]Cache `json:"caches,omitempty"`
	// DebugSessions are those that may still be running, by id.
	DebugSessions map[string]DebugSession `json:"debugSessions,omitempty"`
}

// DebugSession is a debug session as a data plane needs it.
type DebugSession struct {
	API      string `json:"api"`
	Revision string `json:"revision"`
	Filter   string `json:"filter,omitempty"`
	// Count is how many calls are recorded, Tracesize how many bytes of a payload.
	Count     int64 `json:"count"`
	Tracesize int64 `json:"tracesize"`
	// Ends is in milliseconds since 1970.
	Ends int64 `json:"ends"`
}

// SharedFlowRef is a deployed shared flow.
type SharedFlowRef struct {
	Revision       string  `json:"revision"`
	Archive        Archive `json:"archive"`
	ServiceAccount string  `json:"serviceAccount,omitempty"`
	Uses           Uses    `json:"uses"`
}
