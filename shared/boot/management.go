package boot

import (
	"context"
	"net/http"

	"github.com/perigee-gateway/perigee/shared/auth"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/management"
)

// ManagementHandler is the control plane. An error is one of the configuration.
func (h *Host) ManagementHandler() (http.Handler, error) {
	opts := management.Options{
		Registry: h.Registry, Deployments: h.Deployments, Keystore: h.Keystore,
		Validate: func(_ context.Context, _, env string, b *bundle.Bundle) bundle.Problems { return h.Validate(b, env) },
		Log:      h.Log,
		Changed:  func() { h.gateway().Invalidate() },
	}
	if !h.Config.InsecureManagement {
		google, err := h.authenticator()
		if err != nil {
			return nil, err
		}
		opts.Auth, opts.Audit = google, h.Registry.Audit
	}
	return h.withMetrics(management.New(opts)), nil
}

func (h *Host) authenticator() (*auth.Google, error) {
	return auth.New(auth.Options{
		Audiences: h.Config.Audiences, Clients: h.Config.OAuthClients, Admins: h.Config.Admins,
		Roles: h.Registry.RolesOf,
	})
}
