package boot

import (
	"context"
	"net/http"

	"github.com/perigee-gateway/perigee/shared/analytics"
	"github.com/perigee-gateway/perigee/shared/auth"
	"github.com/perigee-gateway/perigee/shared/cache"
	"github.com/perigee-gateway/perigee/shared/management"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// ManagementHandler is the control plane. An error is one of the configuration.
func (h *Host) ManagementHandler() (http.Handler, error) {
	opts := management.Options{
		Registry: h.Registry, Deployments: h.Deployments, Keystore: h.Keystore,
		Validate: h.Validate,
		ClearCache: func(ctx context.Context, org, env, name, key string, prefix bool) error {
			o := cache.Options{Store: h.Store, Organization: org, Environment: env, Log: h.Log}
			return cache.Clear(ctx, o, policy.CacheKey{Cache: name, Key: key}, prefix)
		},
		Stats:   analytics.NewStats(h.Store),
		Log:     h.Log,
		Changed: func() { h.gateway().Invalidate() },
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
