package boot

import "net/http"

// ManagementHandler is the control plane.
func (h *Host) ManagementHandler() http.Handler { return http.NotFoundHandler() }
