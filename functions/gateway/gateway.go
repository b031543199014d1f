// Package gateway is the data plane as a function: an http.Handler that is
// built from the environment on first use.
package gateway

import (
	"net/http"

	"github.com/perigee-gateway/perigee/shared/boot"
)

// Handler returns the gateway configured by environment variables. Nothing is
// opened before the first request.
func Handler() http.Handler { return boot.Lazy(boot.Gateway) }
