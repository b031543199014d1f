package bundle

// Limits of the Apigee product that can be seen in a bundle.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/limits
const (
	MaxProxyEndpoints  = 10
	MaxTargetEndpoints = 1000
	MaxFlows           = 200      // conditional flows of one endpoint
	MaxZipBytes        = 15 << 20 // of a bundle
	MaxResourceBytes   = 15 << 20 // of one file of resources/
	MaxPropertySet     = 110 << 10
	MaxPropertySets    = 50
	MaxNameBytes       = 255
	MaxCallMillis      = 300_000
)
