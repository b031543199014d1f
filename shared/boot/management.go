package boot

import (
	"context"
	"errors"
	"net/http"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/management"
)

// ManagementHandler is the control plane.
func (h *Host) ManagementHandler() http.Handler {
	return management.New(management.Options{
		Registry: h.Registry, Deployments: h.Deployments, Keystore: h.Keystore,
		Validate: func(_ context.Context, _, env string, b *bundle.Bundle) bundle.Problems { return h.Validate(b, env) },
		Auth:     h.authenticator(),
		Log:      h.Log,
		Changed:  func() { h.gateway().Invalidate() },
	})
}

// authenticator is nil for a listener on the loopback interface that asks for no
// credentials.
func (h *Host) authenticator() management.Authenticator {
	if h.Config.InsecureManagement {
		return nil
	}
	return nobody{}
}

// nobody lets no one in.
type nobody struct{}

// Authenticate implements management.Authenticator.
func (nobody) Authenticate(*http.Request) (management.Principal, error) {
	return management.Principal{}, errors.New("authentication is not configured")
}
