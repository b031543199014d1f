// Package perigee registers the gateway and the Management API with the
// Functions Framework, under the names Gateway and Management. The Go buildpack
// wants a function at the root of the module, so this is all there is here.
package perigee

import (
	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"github.com/perigee-gateway/perigee/functions/gateway"
	"github.com/perigee-gateway/perigee/functions/management"
)

func init() {
	functions.HTTP("Gateway", gateway.Function())
	functions.HTTP("Management", management.Handler().ServeHTTP)
}
