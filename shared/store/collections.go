package store

// Collection describes a collection.
type Collection struct {
	// Name is the collection's id in the engine.
	Name string
	// TTL says that its documents may expire: Terraform gives the collection a
	// TTL policy on expireAt.
	TTL bool
	// Fields are the names Doc.Fields and Query.Where may use.
	Fields []string
	// Doc says what a document is and what its id is made of.
	Doc string
}

// Collections is every collection there is; a name that is not here is refused
// with code Invalid. Terraform's TTL and index resources are tested against it.
//
// Ids are joined with slashes from the outside in (organization, environment,
// name), so that Query.Prefix lists what is inside.
var Collections = []Collection{
	// Organization and environments.
	{Name: "organizations", Doc: "an organization; id: name"},
	{Name: "environments", Fields: []string{"org"}, Doc: "an environment; id: org/environment"},
	{Name: "envgroups", Fields: []string{"org"}, Doc: "an environment group with its host names; id: org/envgroup"},
	{Name: "envgroupAttachments", Fields: []string{"org", "envgroup", "environment"}, Doc: "an environment attached to a group; id: org/envgroup/attachment"},
	{Name: "instances", Fields: []string{"org"}, Doc: "a runtime instance and its attachments; id: org/instance"},
	{Name: "operations", TTL: true, Fields: []string{"org", "target"}, Doc: "a long-running operation; id: org/operation"},

	// Proxies, shared flows and what is deployed.
	{Name: "apis", Fields: []string{"org", "space"}, Doc: "an API proxy, without its revisions; id: org/api"},
	{Name: "sharedflows", Fields: []string{"org", "space"}, Doc: "a shared flow, without its revisions; id: org/sharedflow"},
	{Name: "revisions", Fields: []string{"org", "kind", "name"}, Doc: "a revision of an API proxy or shared flow (kind: api, sharedflow); id: org/kind/name/revision"},
	{Name: "archives", Fields: []string{"kind"}, Doc: "bundle zips (kind: manifest, chunk); see package archive"},
	{Name: "deployments", Fields: []string{"org", "environment", "kind", "name"}, Doc: "a deployed revision; id: org/environment/kind/name"},
	{Name: "routes", Fields: []string{"org", "environment"}, Doc: "a node of the routing index of an environment: base paths with the same first segments; id: org/environment/segments"},
	{Name: "runtimeConfigs", Fields: []string{"org"}, Doc: "what a data plane knows of one environment beside its routes; id: org/environment/part"},
	{Name: "stamps", Fields: []string{"org"}, Doc: "the version stamp that instances re-read to learn of changes; id: org"},

	// Environment-scoped configuration.
	{Name: "keyvaluemaps", Fields: []string{"org", "scope", "environment", "api"}, Doc: "a key value map (scope: organization, environment, apiproxy); id: scope path/map"},
	{Name: "kvmEntries", Fields: []string{"map"}, Doc: "an encrypted entry of a key value map; id: map id/entry"},
	{Name: "targetservers", Fields: []string{"org", "environment"}, Doc: "a TargetServer; id: org/environment/name"},
	{Name: "references", Fields: []string{"org", "environment", "refers"}, Doc: "a reference to a keystore; id: org/environment/name"},
	{Name: "keystores", Fields: []string{"org", "environment"}, Doc: "a keystore or truststore with its aliases, without private keys; id: org/environment/name"},
	{Name: "resourcefiles", Fields: []string{"org", "environment", "type"}, Doc: "a resource file of an environment; id: org/environment/type/name"},
	{Name: "propertysets", Fields: []string{"org", "environment"}, Doc: "a property set of an environment; id: org/environment/name"},
	{Name: "caches", Fields: []string{"org", "environment"}, Doc: "a named cache's settings; id: org/environment/name"},
	{Name: "flowhooks", Fields: []string{"org", "environment", "sharedflow"}, Doc: "the shared flow attached to a flow hook; id: org/environment/hook"},
	{Name: "debugmasks", Fields: []string{"org", "environment"}, Doc: "what debug sessions mask; id: org/environment"},

	// Publishing.
	{Name: "developers", Fields: []string{"org", "email", "status"}, Doc: "a developer; id: org/developerId"},
	{Name: "developerEmails", Fields: []string{"org"}, Doc: "whose an e-mail address is, one developer's at most; id: org/email"},
	{Name: "apps", Fields: []string{"org", "developer", "name", "appgroup", "status"}, Doc: "a developer's or app group's app with its keys, encrypted; id: org/appId"},
	{Name: "appgroups", Fields: []string{"org", "channel", "status"}, Doc: "an app group; id: org/appgroup"},
	{Name: "credentials", Fields: []string{"org", "app"}, Doc: "whose a consumer key is: app, developer or app group, products; id: org/SHA-256 of the key"},
	{Name: "apiproducts", Fields: []string{"org", "space"}, Doc: "an API product; id: org/name"},
	{Name: "rateplans", Fields: []string{"org", "apiproduct", "state"}, Doc: "a rate plan of an API product; id: org/apiproduct/rateplan"},
	{Name: "subscriptions", Fields: []string{"org", "apiproduct"}, Doc: "a developer's or app group's subscription to an API product; id: org/developer or appgroup/its id/subscription"},
	{Name: "accounts", Fields: []string{"org"}, Doc: "billing type and prepaid balances of a developer or app group; id: org/developer or appgroup/its id"},
	{Name: "datacollectors", Fields: []string{"org"}, Doc: "a data collector; id: org/name"},

	// OAuth.
	{Name: "tokens", TTL: true, Fields: []string{"org", "kind", "app", "client", "enduser", "refreshOf", "developer"}, Doc: "an access or refresh token (kind: access, refresh); id: org/SHA-256 of the token"},
	{Name: "tokenRevocations", Fields: []string{"org"}, Doc: "until when the tokens of an app (or -), of an end user (SHA-256, or -) or of both are revoked; id: org/app/enduser"},
	{Name: "authcodes", TTL: true, Fields: []string{"org", "app", "client"}, Doc: "an authorization code; id: org/SHA-256 of the code"},

	// Run-time state.
	{Name: "cacheEntries", TTL: true, Fields: []string{"cache"}, Doc: "an entry of a response or value cache; id: org/environment/cache/hash of the key"},
	{Name: "counters", TTL: true, Fields: []string{"counter"}, Doc: "a quota's count in one interval, with what instances leased of it; id: org/environment/counter/identifier/interval"},

	// Observation.
	{Name: "debugSessions", TTL: true, Fields: []string{"org", "environment", "api", "revision"}, Doc: "a debug session; id: org/environment/api/revision/session"},
	{Name: "debugTransactions", TTL: true, Fields: []string{"session"}, Doc: "a masked transaction of a debug session; id: session id/transaction"},
	{Name: "analytics", TTL: true, Fields: []string{"org", "environment", "api"}, Doc: "aggregated analytics of one time bucket; id: org/environment/bucket/instance"},

	// Administration.
	{Name: "jobs", Fields: []string{"org", "kind", "target"}, Doc: "a cascading change under way, finished by whoever finds it after a crash; id: org/kind/target"},
	{Name: "roles", Fields: []string{"org", "member"}, Doc: "a member's role in an organization (*: in every one); id: org/member"},
	{Name: "auditLog", TTL: true, Fields: []string{"org", "actor", "resource"}, Doc: "an audited change; id: org/time backwards/random"},
	{Name: "consoleSites", Fields: []string{"org"}, Doc: "a portal site; id: org/site"},
	{Name: "storedResources", Fields: []string{"org", "kind"}, Doc: "a resource of the Management API that is only kept (kind: reports, apicategories ...); id: org/kind/name"},
	{Name: "apidocs", Fields: []string{"org", "site"}, Doc: "a published API document of a site; id: org/site/apidoc"},
}

// byName finds a collection. A map literal would do, but the table is a slice
// so that documentation and Terraform see one order.
var byName = func() map[string]*Collection {
	m := make(map[string]*Collection, len(Collections))
	for i := range Collections {
		m[Collections[i].Name] = &Collections[i]
	}
	return m
}()

// TTLCollections returns the names of the collections whose documents expire, in
// the order of Collections.
func TTLCollections() []string {
	var names []string
	for _, c := range Collections {
		if c.TTL {
			names = append(names, c.Name)
		}
	}
	return names
}

// CollectionNamed returns the collection of that name and whether there is one.
func CollectionNamed(name string) (Collection, bool) {
	c, ok := byName[name]
	if !ok {
		return Collection{}, false
	}
	return *c, true
}
