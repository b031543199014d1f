package management

// route is one method on one path.
type route struct {
	// method is the HTTP method, pattern the path behind /v1/.
	method, pattern string
	// permission is what Apigee calls the right to this, without "apigee.".
	// Source: https://cloud.google.com/apigee/docs/api-platform/system-administration/permissions
	permission string
	// role is the least role in the organization that may; without one nobody.
	role   Role
	handle handler
	// reads says that a method other than GET changes nothing.
	reads bool
	// filtered says that the handler answers what the caller may see, and
	// nothing else, so that no role is needed to ask.
	filtered bool
}

// Route is a method on a path of the API and who may call it, for documentation
// and for tests of authenticators.
type Route struct {
	// Method is the HTTP method, Pattern the path behind /v1/ with parameters in
	// braces, the last of which may end in "...".
	Method, Pattern string
	// Permission is what Apigee calls the right to this.
	Permission string
	// Role is the least role that may.
	Role Role
	// Filtered says that anyone known may ask and sees what the caller may see.
	Filtered bool
}

// Routes is every route there is, in the order of the documentation.
func Routes() []Route {
	list := make([]Route, len(routes))
	for i, r := range routes {
		list[i] = Route{r.method, r.pattern, "apigee." + r.permission, r.role, r.filtered}
	}
	return list
}

// Beginnings of patterns.
const (
	orgPath         = "organizations/{org}"
	envPath         = orgPath + "/environments/{env}"
	groupPath       = orgPath + "/envgroups/{group}"
	instancePath    = orgPath + "/instances/{instance}"
	apiPath         = orgPath + "/apis/{api}"
	flowPath        = orgPath + "/sharedflows/{api}"
	debugPath       = "/apis/{api}/revisions/{rev}/debugsessions"
	keystorePath    = envPath + "/keystores/{keystore}"
	aliasPath       = keystorePath + "/aliases/{alias}"
	sitePath        = orgPath + "/sites/{site}"
	deploymentsPath = "/revisions/{rev}/deployments"

	productPath      = orgPath + "/apiproducts/{product}"
	developerPath    = orgPath + "/developers/{dev}"
	developerAppPath = developerPath + "/apps/{app}"
	appGroupPath     = orgPath + "/appgroups/{appgroup}"
	groupAppPath     = appGroupPath + "/apps/{app}"
	keyPath          = "/keys/{consumerKey}"
)

// routes is every route there is. A test walks it.
var routes = []route{
	// Organizations.
	{method: "GET", pattern: "organizations", permission: "organizations.list", role: Viewer, handle: listOrganizations, filtered: true},
	{method: "POST", pattern: "organizations", permission: "organizations.create", role: Admin, handle: createOrganization},
	{method: "GET", pattern: orgPath, permission: "organizations.get", role: Viewer, handle: getOrganization},
	{method: "PUT", pattern: orgPath, permission: "organizations.update", role: Admin, handle: updateOrganization},
	{method: "DELETE", pattern: orgPath, permission: "organizations.delete", role: Admin, handle: deleteOrganization},
	{method: "GET", pattern: orgPath + ":getProjectMapping", permission: "projectorganizations.get", role: Viewer, handle: getProjectMapping},
	{method: "POST", pattern: orgPath + ":setAddons", permission: "organizations.update", role: Admin, handle: setAddons},
	{method: "GET", pattern: orgPath + "/deployedIngressConfig", permission: "ingressconfigs.get", role: Viewer, handle: deployedIngress},
	{method: "GET", pattern: orgPath + "/deployments", permission: "deployments.list", role: Viewer, handle: listDeployments},
	{method: "GET", pattern: orgPath + "/operations", permission: "operations.list", role: Viewer, handle: listOperations},
	{method: "GET", pattern: orgPath + "/operations/{operation}", permission: "operations.get", role: Viewer, handle: getOperation},

	// Who may do what (outside of an organization: in every one), and who did.
	{method: "GET", pattern: "members", permission: "members.list", role: Admin, handle: listMembers},
	{method: "GET", pattern: "members/{member}", permission: "members.get", role: Admin, handle: getMember},
	{method: "PUT", pattern: "members/{member}", permission: "members.update", role: Admin, handle: grantRole},
	{method: "DELETE", pattern: "members/{member}", permission: "members.delete", role: Admin, handle: revokeRole},
	{method: "GET", pattern: orgPath + "/members", permission: "members.list", role: Admin, handle: listMembers},
	{method: "GET", pattern: orgPath + "/members/{member}", permission: "members.get", role: Admin, handle: getMember},
	{method: "PUT", pattern: orgPath + "/members/{member}", permission: "members.update", role: Admin, handle: grantRole},
	{method: "DELETE", pattern: orgPath + "/members/{member}", permission: "members.delete", role: Admin, handle: revokeRole},
	{method: "GET", pattern: orgPath + "/auditlog", permission: "auditlog.list", role: Admin, handle: listAuditLog},

	// Environments.
	{method: "GET", pattern: orgPath + "/environments", permission: "environments.list", role: Viewer, handle: listEnvironments},
	{method: "POST", pattern: orgPath + "/environments", permission: "environments.create", role: Admin, handle: createEnvironment},
	{method: "GET", pattern: envPath, permission: "environments.get", role: Viewer, handle: getEnvironment},
	{method: "PUT", pattern: envPath, permission: "environments.update", role: Admin, handle: updateEnvironment},
	{method: "POST", pattern: envPath, permission: "environments.update", role: Admin, handle: updateEnvironment},
	{method: "PATCH", pattern: envPath, permission: "environments.update", role: Admin, handle: patchEnvironment},
	{method: "DELETE", pattern: envPath, permission: "environments.delete", role: Admin, handle: deleteEnvironment},
	{method: "GET", pattern: envPath + "/deployments", permission: "deployments.list", role: Viewer, handle: listEnvironmentDeployments},
	{method: "GET", pattern: envPath + "/deployedConfig", permission: "environments.getRuntimeConfig", role: Viewer, handle: deployedConfig},
	{method: "GET", pattern: envPath + "/debugmask", permission: "maskconfigs.get", role: Viewer, handle: getDebugMask},
	{method: "PATCH", pattern: envPath + "/debugmask", permission: "maskconfigs.update", role: Admin, handle: patchDebugMask},
	{method: "GET", pattern: envPath + debugPath, permission: "tracesessions.list", role: Developer, handle: listDebugSessions},
	{method: "POST", pattern: envPath + debugPath, permission: "tracesessions.create", role: Developer, handle: createDebugSession},
	{method: "GET", pattern: envPath + debugPath + "/{session}", permission: "tracesessions.get", role: Developer, handle: getDebugSession},
	{method: "GET", pattern: envPath + debugPath + "/{session}/data", permission: "tracesessions.get", role: Developer, handle: listTransactions},
	{method: "GET", pattern: envPath + debugPath + "/{session}/data/{tx}", permission: "tracesessions.get", role: Developer, handle: getTransaction},
	{method: "DELETE", pattern: envPath + debugPath + "/{session}/data", permission: "tracesessions.delete", role: Developer, handle: deleteTransactions},
	{method: "GET", pattern: apiPath + "/debugsessions", permission: "tracesessions.list", role: Developer, handle: listAPIDebugSessions},
	{method: "GET", pattern: envPath + "/traceConfig", permission: "traceconfig.get", role: Viewer, handle: getTraceConfig},
	{method: "PATCH", pattern: envPath + "/traceConfig", permission: "traceconfig.update", role: Admin, handle: patchTraceConfig},
	{method: "GET", pattern: envPath + "/traceConfig/overrides", permission: "traceconfigoverrides.list", role: Viewer, handle: listTraceOverrides},
	{method: "POST", pattern: envPath + "/traceConfig/overrides", permission: "traceconfigoverrides.create", role: Admin, handle: createTraceOverride},
	{method: "GET", pattern: envPath + "/traceConfig/overrides/{override}", permission: "traceconfigoverrides.get", role: Viewer, handle: getTraceOverride},
	{method: "PATCH", pattern: envPath + "/traceConfig/overrides/{override}", permission: "traceconfigoverrides.update", role: Admin, handle: patchTraceOverride},
	{method: "DELETE", pattern: envPath + "/traceConfig/overrides/{override}", permission: "traceconfigoverrides.delete", role: Admin, handle: deleteTraceOverride},
	{method: "GET", pattern: envPath + "/addonsConfig", permission: "addonsconfig.get", role: Viewer, handle: getAddonsConfig},
	{method: "POST", pattern: envPath + "/addonsConfig:setAddonEnablement", permission: "addonsconfig.update", role: Admin, handle: setAddonEnablement},

	// Environment groups and instances.
	{method: "GET", pattern: orgPath + "/envgroups", permission: "envgroups.list", role: Viewer, handle: listGroups},
	{method: "POST", pattern: orgPath + "/envgroups", permission: "envgroups.create", role: Admin, handle: createGroup},
	{method: "GET", pattern: groupPath, permission: "envgroups.get", role: Viewer, handle: getGroup},
	{method: "PATCH", pattern: groupPath, permission: "envgroups.update", role: Admin, handle: patchGroup},
	{method: "DELETE", pattern: groupPath, permission: "envgroups.delete", role: Admin, handle: deleteGroup},
	{method: "GET", pattern: groupPath + "/deployedIngressConfig", permission: "ingressconfigs.get", role: Viewer, handle: groupIngress},
	{method: "GET", pattern: groupPath + "/attachments", permission: "envgroupattachments.list", role: Viewer, handle: listAttachments},
	{method: "POST", pattern: groupPath + "/attachments", permission: "envgroupattachments.create", role: Admin, handle: attach},
	{method: "GET", pattern: groupPath + "/attachments/{attachment}", permission: "envgroupattachments.get", role: Viewer, handle: getAttachment},
	{method: "DELETE", pattern: groupPath + "/attachments/{attachment}", permission: "envgroupattachments.delete", role: Admin, handle: detach},
	{method: "GET", pattern: orgPath + "/instances", permission: "instances.list", role: Viewer, handle: listInstances},
	{method: "POST", pattern: orgPath + "/instances", permission: "instances.create", role: Admin, handle: createInstance},
	{method: "GET", pattern: instancePath, permission: "instances.get", role: Viewer, handle: getInstance},
	{method: "PATCH", pattern: instancePath, permission: "instances.update", role: Admin, handle: patchInstance},
	{method: "DELETE", pattern: instancePath, permission: "instances.delete", role: Admin, handle: deleteInstance},
	{method: "GET", pattern: instancePath + "/attachments", permission: "instanceattachments.list", role: Viewer, handle: listInstanceAttachments},
	{method: "POST", pattern: instancePath + "/attachments", permission: "instanceattachments.create", role: Admin, handle: attachInstance},
	{method: "GET", pattern: instancePath + "/attachments/{attachment}", permission: "instanceattachments.get", role: Viewer, handle: getInstanceAttachment},
	{method: "DELETE", pattern: instancePath + "/attachments/{attachment}", permission: "instanceattachments.delete", role: Admin, handle: detachInstance},

	// API proxies.
	{method: "GET", pattern: orgPath + "/apis", permission: "proxies.list", role: Viewer, handle: apis.list},
	{method: "POST", pattern: orgPath + "/apis", permission: "proxies.create", role: Developer, handle: apis.create},
	{method: "GET", pattern: apiPath, permission: "proxies.get", role: Viewer, handle: apis.get},
	{method: "PATCH", pattern: apiPath, permission: "proxies.update", role: Developer, handle: apis.patch},
	{method: "DELETE", pattern: apiPath, permission: "proxies.delete", role: Developer, handle: apis.delete},
	{method: "POST", pattern: apiPath + ":move", permission: "proxies.update", role: Developer, handle: apis.move},
	{method: "POST", pattern: apiPath + "/:move", permission: "proxies.update", role: Developer, handle: apis.move}, // as apigeecli writes it
	{method: "GET", pattern: apiPath + "/revisions", permission: "proxyrevisions.list", role: Viewer, handle: apis.listRevisions},
	{method: "GET", pattern: apiPath + "/revisions/{rev}", permission: "proxyrevisions.get", role: Viewer, handle: apis.getRevision},
	{method: "POST", pattern: apiPath + "/revisions/{rev}", permission: "proxyrevisions.update", role: Developer, handle: apis.updateRevision},
	{method: "DELETE", pattern: apiPath + "/revisions/{rev}", permission: "proxyrevisions.delete", role: Developer, handle: apis.deleteRevision},
	{method: "GET", pattern: apiPath + "/deployments", permission: "deployments.list", role: Viewer, handle: apis.listDeployments},
	{method: "GET", pattern: apiPath + deploymentsPath, permission: "deployments.list", role: Viewer, handle: apis.listDeployments},
	{method: "GET", pattern: envPath + "/apis/{api}/deployments", permission: "deployments.list", role: Viewer, handle: apis.listDeployments},
	{method: "GET", pattern: envPath + "/apis/{api}" + deploymentsPath, permission: "deployments.get", role: Viewer, handle: apis.getDeployment},
	{method: "POST", pattern: envPath + "/apis/{api}" + deploymentsPath, permission: "deployments.create", role: Developer, handle: apis.deploy},
	{method: "DELETE", pattern: envPath + "/apis/{api}" + deploymentsPath, permission: "deployments.delete", role: Developer, handle: apis.undeploy},
	{method: "POST", pattern: envPath + "/apis/{api}" + deploymentsPath + ":generateDeployChangeReport", permission: "deployments.create", role: Developer, handle: apis.deployReport, reads: true},
	{method: "POST", pattern: envPath + "/apis/{api}" + deploymentsPath + ":generateUndeployChangeReport", permission: "deployments.delete", role: Developer, handle: apis.undeployReport, reads: true},

	// Shared flows.
	{method: "GET", pattern: orgPath + "/sharedflows", permission: "sharedflows.list", role: Viewer, handle: sharedFlows.list},
	{method: "POST", pattern: orgPath + "/sharedflows", permission: "sharedflows.create", role: Developer, handle: sharedFlows.create},
	{method: "GET", pattern: flowPath, permission: "sharedflows.get", role: Viewer, handle: sharedFlows.get},
	{method: "DELETE", pattern: flowPath, permission: "sharedflows.delete", role: Developer, handle: sharedFlows.delete},
	{method: "POST", pattern: flowPath + ":move", permission: "sharedflows.update", role: Developer, handle: sharedFlows.move},
	{method: "POST", pattern: flowPath + "/:move", permission: "sharedflows.update", role: Developer, handle: sharedFlows.move},
	{method: "GET", pattern: flowPath + "/revisions", permission: "sharedflowrevisions.list", role: Viewer, handle: sharedFlows.listRevisions},
	{method: "GET", pattern: flowPath + "/revisions/{rev}", permission: "sharedflowrevisions.get", role: Viewer, handle: sharedFlows.getRevision},
	{method: "POST", pattern: flowPath + "/revisions/{rev}", permission: "sharedflowrevisions.update", role: Developer, handle: sharedFlows.updateRevision},
	{method: "DELETE", pattern: flowPath + "/revisions/{rev}", permission: "sharedflowrevisions.delete", role: Developer, handle: sharedFlows.deleteRevision},
	{method: "GET", pattern: flowPath + "/deployments", permission: "deployments.list", role: Viewer, handle: sharedFlows.listDeployments},
	{method: "GET", pattern: flowPath + deploymentsPath, permission: "deployments.list", role: Viewer, handle: sharedFlows.listDeployments},
	{method: "GET", pattern: envPath + "/sharedflows/{api}/deployments", permission: "deployments.list", role: Viewer, handle: sharedFlows.listDeployments},
	{method: "GET", pattern: envPath + "/sharedflows/{api}" + deploymentsPath, permission: "deployments.get", role: Viewer, handle: sharedFlows.getDeployment},
	{method: "POST", pattern: envPath + "/sharedflows/{api}" + deploymentsPath, permission: "deployments.create", role: Developer, handle: sharedFlows.deploy},
	{method: "DELETE", pattern: envPath + "/sharedflows/{api}" + deploymentsPath, permission: "deployments.delete", role: Developer, handle: sharedFlows.undeploy},

	// Target servers.
	{method: "GET", pattern: envPath + "/targetservers", permission: "targetservers.list", role: Viewer, handle: targetServers.names},
	{method: "POST", pattern: envPath + "/targetservers", permission: "targetservers.create", role: Developer, handle: targetServers.create},
	{method: "GET", pattern: envPath + "/targetservers/{targetserver}", permission: "targetservers.get", role: Viewer, handle: targetServers.get},
	{method: "PUT", pattern: envPath + "/targetservers/{targetserver}", permission: "targetservers.update", role: Developer, handle: targetServers.replace},
	{method: "DELETE", pattern: envPath + "/targetservers/{targetserver}", permission: "targetservers.delete", role: Developer, handle: targetServers.delete},

	// Keystores and references.
	{method: "GET", pattern: envPath + "/keystores", permission: "keystores.list", role: Viewer, handle: keystores.names},
	{method: "POST", pattern: envPath + "/keystores", permission: "keystores.create", role: Admin, handle: createKeystore},
	{method: "GET", pattern: keystorePath, permission: "keystores.get", role: Viewer, handle: keystores.get},
	{method: "DELETE", pattern: keystorePath, permission: "keystores.delete", role: Admin, handle: deleteKeystore},
	{method: "GET", pattern: keystorePath + "/aliases", permission: "keystorealiases.list", role: Viewer, handle: listAliases},
	{method: "POST", pattern: keystorePath + "/aliases", permission: "keystorealiases.create", role: Admin, handle: createAlias},
	{method: "GET", pattern: aliasPath, permission: "keystorealiases.get", role: Viewer, handle: getAlias},
	{method: "PUT", pattern: aliasPath, permission: "keystorealiases.update", role: Admin, handle: updateAlias},
	{method: "DELETE", pattern: aliasPath, permission: "keystorealiases.delete", role: Admin, handle: deleteAlias},
	{method: "GET", pattern: aliasPath + "/certificate", permission: "keystorealiases.exportCertificate", role: Viewer, handle: getCertificate},
	{method: "GET", pattern: aliasPath + "/csr", permission: "keystorealiases.generateCSR", role: Viewer, handle: getCSR},
	{method: "GET", pattern: envPath + "/references", permission: "references.list", role: Viewer, handle: references.names},
	{method: "POST", pattern: envPath + "/references", permission: "references.create", role: Admin, handle: createReference},
	{method: "GET", pattern: envPath + "/references/{reference}", permission: "references.get", role: Viewer, handle: references.get},
	{method: "PUT", pattern: envPath + "/references/{reference}", permission: "references.update", role: Admin, handle: updateReference},
	{method: "DELETE", pattern: envPath + "/references/{reference}", permission: "references.delete", role: Admin, handle: references.delete},

	// Key value maps of the organization, environments and API proxies.
	{method: "GET", pattern: orgPath + "/keyvaluemaps", permission: "keyvaluemaps.list", role: Viewer, handle: listMaps},
	{method: "POST", pattern: orgPath + "/keyvaluemaps", permission: "keyvaluemaps.create", role: Developer, handle: createMap},
	{method: "GET", pattern: orgPath + "/keyvaluemaps/{map}", permission: "keyvaluemaps.get", role: Viewer, handle: getMap},
	{method: "PUT", pattern: orgPath + "/keyvaluemaps/{map}", permission: "keyvaluemaps.update", role: Developer, handle: replaceMap},
	{method: "DELETE", pattern: orgPath + "/keyvaluemaps/{map}", permission: "keyvaluemaps.delete", role: Developer, handle: deleteMap},
	{method: "GET", pattern: orgPath + "/keyvaluemaps/{map}/entries", permission: "keyvaluemapentries.list", role: Developer, handle: listEntries},
	{method: "POST", pattern: orgPath + "/keyvaluemaps/{map}/entries", permission: "keyvaluemapentries.create", role: Developer, handle: createEntry},
	{method: "GET", pattern: orgPath + "/keyvaluemaps/{map}/entries/{key...}", permission: "keyvaluemapentries.get", role: Developer, handle: getEntry},
	{method: "PUT", pattern: orgPath + "/keyvaluemaps/{map}/entries/{key...}", permission: "keyvaluemapentries.update", role: Developer, handle: updateEntry},
	{method: "DELETE", pattern: orgPath + "/keyvaluemaps/{map}/entries/{key...}", permission: "keyvaluemapentries.delete", role: Developer, handle: deleteEntry},
	{method: "GET", pattern: envPath + "/keyvaluemaps", permission: "keyvaluemaps.list", role: Viewer, handle: listMaps},
	{method: "POST", pattern: envPath + "/keyvaluemaps", permission: "keyvaluemaps.create", role: Developer, handle: createMap},
	{method: "GET", pattern: envPath + "/keyvaluemaps/{map}", permission: "keyvaluemaps.get", role: Viewer, handle: getMap},
	{method: "PUT", pattern: envPath + "/keyvaluemaps/{map}", permission: "keyvaluemaps.update", role: Developer, handle: replaceMap},
	{method: "DELETE", pattern: envPath + "/keyvaluemaps/{map}", permission: "keyvaluemaps.delete", role: Developer, handle: deleteMap},
	{method: "GET", pattern: envPath + "/keyvaluemaps/{map}/entries", permission: "keyvaluemapentries.list", role: Developer, handle: listEntries},
	{method: "POST", pattern: envPath + "/keyvaluemaps/{map}/entries", permission: "keyvaluemapentries.create", role: Developer, handle: createEntry},
	{method: "GET", pattern: envPath + "/keyvaluemaps/{map}/entries/{key...}", permission: "keyvaluemapentries.get", role: Developer, handle: getEntry},
	{method: "PUT", pattern: envPath + "/keyvaluemaps/{map}/entries/{key...}", permission: "keyvaluemapentries.update", role: Developer, handle: updateEntry},
	{method: "DELETE", pattern: envPath + "/keyvaluemaps/{map}/entries/{key...}", permission: "keyvaluemapentries.delete", role: Developer, handle: deleteEntry},
	{method: "GET", pattern: apiPath + "/keyvaluemaps", permission: "keyvaluemaps.list", role: Viewer, handle: listMaps},
	{method: "POST", pattern: apiPath + "/keyvaluemaps", permission: "keyvaluemaps.create", role: Developer, handle: createMap},
	{method: "GET", pattern: apiPath + "/keyvaluemaps/{map}", permission: "keyvaluemaps.get", role: Viewer, handle: getMap},
	{method: "PUT", pattern: apiPath + "/keyvaluemaps/{map}", permission: "keyvaluemaps.update", role: Developer, handle: replaceMap},
	{method: "DELETE", pattern: apiPath + "/keyvaluemaps/{map}", permission: "keyvaluemaps.delete", role: Developer, handle: deleteMap},
	{method: "GET", pattern: apiPath + "/keyvaluemaps/{map}/entries", permission: "keyvaluemapentries.list", role: Developer, handle: listEntries},
	{method: "POST", pattern: apiPath + "/keyvaluemaps/{map}/entries", permission: "keyvaluemapentries.create", role: Developer, handle: createEntry},
	{method: "GET", pattern: apiPath + "/keyvaluemaps/{map}/entries/{key...}", permission: "keyvaluemapentries.get", role: Developer, handle: getEntry},
	{method: "PUT", pattern: apiPath + "/keyvaluemaps/{map}/entries/{key...}", permission: "keyvaluemapentries.update", role: Developer, handle: updateEntry},
	{method: "DELETE", pattern: apiPath + "/keyvaluemaps/{map}/entries/{key...}", permission: "keyvaluemapentries.delete", role: Developer, handle: deleteEntry},

	// Caches, resource files, flow hooks, data collectors.
	{method: "GET", pattern: envPath + "/caches", permission: "caches.list", role: Viewer, handle: caches.names},
	{method: "DELETE", pattern: envPath + "/caches/{cache}", permission: "caches.delete", role: Developer, handle: deleteCache},
	{method: "POST", pattern: envPath + "/caches/{cache}/entries", permission: "caches.delete", role: Developer, handle: clearCache},
	{method: "POST", pattern: envPath + "/caches/{cache}/entries/{key...}", permission: "caches.delete", role: Developer, handle: clearCacheEntry},
	{method: "GET", pattern: envPath + "/resourcefiles", permission: "resourcefiles.list", role: Viewer, handle: listResourceFiles},
	{method: "POST", pattern: envPath + "/resourcefiles", permission: "resourcefiles.create", role: Developer, handle: createResourceFile},
	{method: "GET", pattern: envPath + "/resourcefiles/{type}", permission: "resourcefiles.list", role: Viewer, handle: listResourceFilesOfType},
	{method: "GET", pattern: envPath + "/resourcefiles/{type}/{name...}", permission: "resourcefiles.get", role: Viewer, handle: getResourceFile},
	{method: "PUT", pattern: envPath + "/resourcefiles/{type}/{name...}", permission: "resourcefiles.update", role: Developer, handle: updateResourceFile},
	{method: "DELETE", pattern: envPath + "/resourcefiles/{type}/{name...}", permission: "resourcefiles.delete", role: Developer, handle: deleteResourceFile},
	{method: "GET", pattern: envPath + "/flowhooks", permission: "flowhooks.list", role: Viewer, handle: listFlowHooks},
	{method: "GET", pattern: envPath + "/flowhooks/{hook}", permission: "flowhooks.getSharedFlow", role: Viewer, handle: getFlowHook},
	{method: "PUT", pattern: envPath + "/flowhooks/{hook}", permission: "flowhooks.attachSharedFlow", role: Admin, handle: attachFlowHook},
	{method: "DELETE", pattern: envPath + "/flowhooks/{hook}", permission: "flowhooks.detachSharedFlow", role: Admin, handle: detachFlowHook},
	{method: "GET", pattern: orgPath + "/datacollectors", permission: "datacollectors.list", role: Viewer, handle: listDataCollectors},
	{method: "POST", pattern: orgPath + "/datacollectors", permission: "datacollectors.create", role: Developer, handle: createDataCollector},
	{method: "GET", pattern: orgPath + "/datacollectors/{datacollector}", permission: "datacollectors.get", role: Viewer, handle: dataCollectors.get},
	{method: "PATCH", pattern: orgPath + "/datacollectors/{datacollector}", permission: "datacollectors.update", role: Developer, handle: dataCollectors.patch},
	{method: "DELETE", pattern: orgPath + "/datacollectors/{datacollector}", permission: "datacollectors.delete", role: Developer, handle: dataCollectors.delete},

	// API products and rate plans.
	{method: "GET", pattern: orgPath + "/apiproducts", permission: "apiproducts.list", role: Viewer, handle: listProducts},
	{method: "POST", pattern: orgPath + "/apiproducts", permission: "apiproducts.create", role: Developer, handle: createProduct},
	{method: "GET", pattern: productPath, permission: "apiproducts.get", role: Viewer, handle: getProduct},
	{method: "PUT", pattern: productPath, permission: "apiproducts.update", role: Developer, handle: updateProduct},
	{method: "DELETE", pattern: productPath, permission: "apiproducts.delete", role: Developer, handle: deleteProduct},
	{method: "POST", pattern: productPath + ":move", permission: "apiproducts.update", role: Developer, handle: moveProduct},
	{method: "POST", pattern: productPath + "/:move", permission: "apiproducts.update", role: Developer, handle: moveProduct}, // as apigeecli writes it
	{method: "GET", pattern: productPath + "/attributes", permission: "apiproductattributes.list", role: Viewer, handle: productAttributes.list},
	{method: "POST", pattern: productPath + "/attributes", permission: "apiproductattributes.updateAll", role: Developer, handle: productAttributes.replace},
	{method: "GET", pattern: productPath + "/attributes/{attribute}", permission: "apiproductattributes.get", role: Viewer, handle: productAttributes.one},
	{method: "POST", pattern: productPath + "/attributes/{attribute}", permission: "apiproductattributes.update", role: Developer, handle: productAttributes.set},
	{method: "DELETE", pattern: productPath + "/attributes/{attribute}", permission: "apiproductattributes.delete", role: Developer, handle: productAttributes.delete},
	{method: "GET", pattern: productPath + "/rateplans", permission: "rateplans.list", role: Viewer, handle: listRatePlans},
	{method: "POST", pattern: productPath + "/rateplans", permission: "rateplans.create", role: Developer, handle: createRatePlan},
	{method: "GET", pattern: productPath + "/rateplans/{plan}", permission: "rateplans.get", role: Viewer, handle: getRatePlan},
	{method: "PUT", pattern: productPath + "/rateplans/{plan}", permission: "rateplans.update", role: Developer, handle: updateRatePlan},
	{method: "DELETE", pattern: productPath + "/rateplans/{plan}", permission: "rateplans.delete", role: Developer, handle: deleteRatePlan},

	// Developers and app groups.
	{method: "GET", pattern: orgPath + "/developers", permission: "developers.list", role: Viewer, handle: listDevelopers},
	{method: "POST", pattern: orgPath + "/developers", permission: "developers.create", role: Developer, handle: createDeveloper},
	{method: "GET", pattern: developerPath, permission: "developers.get", role: Viewer, handle: getDeveloper},
	{method: "POST", pattern: developerPath, permission: "developers.update", role: Developer, handle: setDeveloperStatus},
	{method: "PUT", pattern: developerPath, permission: "developers.update", role: Developer, handle: updateDeveloper},
	{method: "DELETE", pattern: developerPath, permission: "developers.delete", role: Developer, handle: deleteDeveloper},
	{method: "GET", pattern: developerPath + "/attributes", permission: "developerattributes.list", role: Viewer, handle: developerAttributes.list},
	{method: "POST", pattern: developerPath + "/attributes", permission: "developerattributes.updateAll", role: Developer, handle: developerAttributes.replace},
	{method: "GET", pattern: developerPath + "/attributes/{attribute}", permission: "developerattributes.get", role: Viewer, handle: developerAttributes.one},
	{method: "POST", pattern: developerPath + "/attributes/{attribute}", permission: "developerattributes.update", role: Developer, handle: developerAttributes.set},
	{method: "DELETE", pattern: developerPath + "/attributes/{attribute}", permission: "developerattributes.delete", role: Developer, handle: developerAttributes.delete},
	{method: "GET", pattern: orgPath + "/appgroups", permission: "appgroups.list", role: Viewer, handle: listAppGroups},
	{method: "POST", pattern: orgPath + "/appgroups", permission: "appgroups.create", role: Developer, handle: createAppGroup},
	{method: "GET", pattern: appGroupPath, permission: "appgroups.get", role: Viewer, handle: getAppGroup},
	{method: "PUT", pattern: appGroupPath, permission: "appgroups.update", role: Developer, handle: updateAppGroup},
	{method: "DELETE", pattern: appGroupPath, permission: "appgroups.delete", role: Developer, handle: deleteAppGroup},

	// What developers and app groups have bought.
	{method: "GET", pattern: developerPath + "/balance", permission: "developerbalances.get", role: Viewer, handle: getBalance},
	{method: "POST", pattern: developerPath + "/balance:adjust", permission: "developerbalances.adjust", role: Admin, handle: adjustBalance},
	{method: "POST", pattern: developerPath + "/balance:credit", permission: "developerbalances.update", role: Admin, handle: creditBalance},
	{method: "GET", pattern: developerPath + "/monetizationConfig", permission: "developermonetizationconfigs.get", role: Viewer, handle: getBilling},
	{method: "PUT", pattern: developerPath + "/monetizationConfig", permission: "developermonetizationconfigs.update", role: Admin, handle: updateBilling},
	{method: "GET", pattern: developerPath + "/subscriptions", permission: "developersubscriptions.list", role: Viewer, handle: listDeveloperSubscriptions},
	{method: "POST", pattern: developerPath + "/subscriptions", permission: "developersubscriptions.create", role: Developer, handle: createSubscription},
	{method: "GET", pattern: developerPath + "/subscriptions/{subscription}", permission: "developersubscriptions.get", role: Viewer, handle: getSubscription},
	{method: "POST", pattern: developerPath + "/subscriptions/{subscription}:expire", permission: "developersubscriptions.update", role: Developer, handle: expireSubscription},
	{method: "GET", pattern: appGroupPath + "/balance", permission: "appgroupbalances.get", role: Viewer, handle: getBalance},
	{method: "POST", pattern: appGroupPath + "/balance:adjust", permission: "appgroupbalances.adjust", role: Admin, handle: adjustBalance},
	{method: "POST", pattern: appGroupPath + "/balance:credit", permission: "appgroupbalances.update", role: Admin, handle: creditBalance},
	{method: "GET", pattern: appGroupPath + "/monetizationConfig", permission: "appgroupmonetizationconfigs.get", role: Viewer, handle: getBilling},
	{method: "PUT", pattern: appGroupPath + "/monetizationConfig", permission: "appgroupmonetizationconfigs.update", role: Admin, handle: updateBilling},
	{method: "GET", pattern: appGroupPath + "/subscriptions", permission: "appgroupsubscriptions.list", role: Viewer, handle: listGroupSubscriptions},
	{method: "POST", pattern: appGroupPath + "/subscriptions", permission: "appgroupsubscriptions.create", role: Developer, handle: createSubscription},
	{method: "GET", pattern: appGroupPath + "/subscriptions/{subscription}", permission: "appgroupsubscriptions.get", role: Viewer, handle: getSubscription},
	{method: "POST", pattern: appGroupPath + "/subscriptions/{subscription}:expire", permission: "appgroupsubscriptions.update", role: Developer, handle: expireSubscription},

	// Apps and their keys. They come with their secrets, so that viewers do not see
	// them.
	{method: "GET", pattern: orgPath + "/tokens:stats", permission: "tokens.list", role: Viewer, handle: tokenStats},
	{method: "GET", pattern: orgPath + "/apps", permission: "apps.list", role: Developer, handle: listApps},
	{method: "GET", pattern: orgPath + "/apps/{app}", permission: "apps.get", role: Developer, handle: getAppByID},
	{method: "GET", pattern: developerPath + "/apps", permission: "developerapps.list", role: Developer, handle: listDeveloperApps},
	{method: "POST", pattern: developerPath + "/apps", permission: "developerapps.create", role: Developer, handle: createApp},
	{method: "GET", pattern: developerAppPath, permission: "developerapps.get", role: Developer, handle: getApp},
	{method: "POST", pattern: developerAppPath, permission: "developerapps.manage", role: Developer, handle: changeApp},
	{method: "PUT", pattern: developerAppPath, permission: "developerapps.manage", role: Developer, handle: updateApp},
	{method: "DELETE", pattern: developerAppPath, permission: "developerapps.delete", role: Developer, handle: deleteApp},
	{method: "GET", pattern: developerAppPath + "/attributes", permission: "developerappattributes.list", role: Viewer, handle: appAttributes.list},
	{method: "POST", pattern: developerAppPath + "/attributes", permission: "developerappattributes.updateAll", role: Developer, handle: appAttributes.replace},
	{method: "GET", pattern: developerAppPath + "/attributes/{attribute}", permission: "developerappattributes.get", role: Viewer, handle: appAttributes.one},
	{method: "POST", pattern: developerAppPath + "/attributes/{attribute}", permission: "developerappattributes.update", role: Developer, handle: appAttributes.set},
	{method: "DELETE", pattern: developerAppPath + "/attributes/{attribute}", permission: "developerappattributes.delete", role: Developer, handle: appAttributes.delete},
	{method: "POST", pattern: developerAppPath + "/keys", permission: "appkeys.create", role: Developer, handle: createKey},
	{method: "POST", pattern: developerAppPath + "/keys/create", permission: "appkeys.create", role: Developer, handle: createKey},
	{method: "GET", pattern: developerAppPath + keyPath, permission: "appkeys.get", role: Developer, handle: getKey},
	{method: "POST", pattern: developerAppPath + keyPath, permission: "appkeys.manage", role: Developer, handle: updateKey},
	{method: "PUT", pattern: developerAppPath + keyPath, permission: "appkeys.manage", role: Developer, handle: replaceKey},
	{method: "DELETE", pattern: developerAppPath + keyPath, permission: "appkeys.delete", role: Developer, handle: deleteKey},
	{method: "POST", pattern: developerAppPath + keyPath + "/apiproducts/{product}", permission: "appkeys.manage", role: Developer, handle: setKeyProduct},
	{method: "DELETE", pattern: developerAppPath + keyPath + "/apiproducts/{product}", permission: "appkeys.manage", role: Developer, handle: deleteKeyProduct},
	{method: "GET", pattern: appGroupPath + "/apps", permission: "appgroupapps.list", role: Developer, handle: listGroupApps},
	{method: "POST", pattern: appGroupPath + "/apps", permission: "appgroupapps.create", role: Developer, handle: createApp},
	{method: "GET", pattern: groupAppPath, permission: "appgroupapps.get", role: Developer, handle: getApp},
	{method: "PUT", pattern: groupAppPath, permission: "appgroupapps.manage", role: Developer, handle: updateApp},
	{method: "DELETE", pattern: groupAppPath, permission: "appgroupapps.delete", role: Developer, handle: deleteApp},
	{method: "POST", pattern: groupAppPath + "/keys", permission: "appkeys.create", role: Developer, handle: createKey},
	{method: "GET", pattern: groupAppPath + keyPath, permission: "appkeys.get", role: Developer, handle: getKey},
	{method: "POST", pattern: groupAppPath + keyPath, permission: "appkeys.manage", role: Developer, handle: updateKey},
	{method: "DELETE", pattern: groupAppPath + keyPath, permission: "appkeys.delete", role: Developer, handle: deleteKey},
	{method: "POST", pattern: groupAppPath + keyPath + "/apiproducts/{product}", permission: "appkeys.manage", role: Developer, handle: setKeyProduct},
	{method: "DELETE", pattern: groupAppPath + keyPath + "/apiproducts/{product}", permission: "appkeys.manage", role: Developer, handle: deleteKeyProduct},

	// Statistics of calls.
	{method: "GET", pattern: envPath + "/stats/{dimensions}", permission: "environments.getStats", role: Viewer, handle: environmentStats},
	{method: "GET", pattern: envPath + "/optimizedStats/{dimensions}", permission: "environments.getStats", role: Viewer, handle: optimizedStats},
	{method: "GET", pattern: orgPath + "/hostStats/{dimensions}", permission: "hoststats.get", role: Viewer, handle: hostStats},
	{method: "GET", pattern: orgPath + "/optimizedHostStats/{dimensions}", permission: "hoststats.get", role: Viewer, handle: optimizedHostStats},

	// Kept for clients: spaces, reports, portals.
	{method: "GET", pattern: orgPath + "/spaces", permission: "spaces.list", role: Viewer, handle: listSpaces},
	{method: "POST", pattern: orgPath + "/spaces", permission: "spaces.create", role: Admin, handle: createSpace},
	{method: "GET", pattern: orgPath + "/spaces/{space}", permission: "spaces.get", role: Viewer, handle: getSpace},
	{method: "PATCH", pattern: orgPath + "/spaces/{space}", permission: "spaces.update", role: Admin, handle: patchSpace},
	{method: "DELETE", pattern: orgPath + "/spaces/{space}", permission: "spaces.delete", role: Admin, handle: deleteSpace},
	{method: "GET", pattern: orgPath + "/reports", permission: "reports.list", role: Viewer, handle: listReports},
	{method: "POST", pattern: orgPath + "/reports", permission: "reports.create", role: Developer, handle: createReport},
	{method: "GET", pattern: orgPath + "/reports/{report}", permission: "reports.get", role: Viewer, handle: getReport},
	{method: "PUT", pattern: orgPath + "/reports/{report}", permission: "reports.update", role: Developer, handle: updateReport},
	{method: "DELETE", pattern: orgPath + "/reports/{report}", permission: "reports.delete", role: Developer, handle: deleteReport},
	{method: "GET", pattern: orgPath + "/sites", permission: "portals.list", role: Viewer, handle: listSites},
	{method: "GET", pattern: sitePath + "/apidocs", permission: "apidocs.list", role: Viewer, handle: listAPIDocs},
	{method: "POST", pattern: sitePath + "/apidocs", permission: "apidocs.create", role: Developer, handle: createAPIDoc},
	{method: "GET", pattern: sitePath + "/apidocs/{apidoc}", permission: "apidocs.get", role: Viewer, handle: getAPIDoc},
	{method: "PUT", pattern: sitePath + "/apidocs/{apidoc}", permission: "apidocs.update", role: Developer, handle: updateAPIDoc},
	{method: "DELETE", pattern: sitePath + "/apidocs/{apidoc}", permission: "apidocs.delete", role: Developer, handle: deleteAPIDoc},
	{method: "GET", pattern: sitePath + "/apidocs/{apidoc}/documentation", permission: "apidocs.getDocumentation", role: Viewer, handle: getDocumentation},
	{method: "PATCH", pattern: sitePath + "/apidocs/{apidoc}/documentation", permission: "apidocs.updateDocumentation", role: Developer, handle: updateDocumentation},
	{method: "GET", pattern: sitePath + "/apicategories", permission: "apicategories.list", role: Viewer, handle: listCategories},
	{method: "POST", pattern: sitePath + "/apicategories", permission: "apicategories.create", role: Developer, handle: createCategory},
	{method: "GET", pattern: sitePath + "/apicategories/{category}", permission: "apicategories.get", role: Viewer, handle: getCategory},
	{method: "PATCH", pattern: sitePath + "/apicategories/{category}", permission: "apicategories.update", role: Developer, handle: updateCategory},
	{method: "DELETE", pattern: sitePath + "/apicategories/{category}", permission: "apicategories.delete", role: Developer, handle: deleteCategory},
}
