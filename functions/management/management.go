// Package management is the control plane as a function: the Management API
// as an http.Handler that is built from the environment on first use.
package management

import (
	"net/http"

	"github.com/perigee-gateway/perigee/shared/boot"
)

// Handler returns the Management API configured by environment variables.
// Nothing is opened before the first request.
func Handler() http.Handler { return boot.Lazy(boot.Management) }
