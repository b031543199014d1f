// Package management is the Management API: REST over HTTP, compatible with v1 of
// Apigee's, so that its command line, Terraform provider and Maven plugins work
// unchanged.
//
// routes.go holds every route in one table; each resource has a file of its own
// with its handlers. A handler gets a call, which knows the caller and what the
// path says, and returns what is to be answered as JSON, or an error.
//
// The package decides nothing about what is stored: registry, deployment and
// keystore do. It does no HTTP beyond requests and answers: listeners, time-outs
// and TLS are the host's. The handler must be mounted as it is, not behind an
// http.ServeMux, which rewrites paths with empty segments; names of key value
// entries may have them.
//
// Source: https://cloud.google.com/apigee/docs/reference/apis/apigee/rest
package management

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/perigee-gateway/perigee/shared/analytics"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/deployment"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// Options are what the Management API works with. Registry and Deployments are
// required.
type Options struct {
	Registry    *registry.Registry
	Deployments *deployment.Deployments
	// Keystore keeps the aliases of keystores; without one they are refused.
	Keystore *keystore.Store
	// Validate finds what would keep a bundle from running: the compiler. env is
	// "" when the bundle is imported, and the environment when it is deployed.
	// Nil accepts what can be read.
	Validate func(ctx context.Context, org, env string, b *bundle.Bundle) bundle.Problems
	// ClearCache removes an entry of a cache, or with prefix every one whose key
	// begins so; nil where there are no caches.
	ClearCache func(ctx context.Context, org, env, cache, key string, prefix bool) error
	// Stats answers questions about calls; nil counts none.
	Stats *analytics.Stats
	// Auth says who calls. Nil answers everybody and is for listeners on the
	// loopback interface only.
	Auth Authenticator
	// Audit keeps what was changed in the organization, for those who ask later; nil
	// keeps nothing. An error is logged: the change is made by then.
	Audit func(ctx context.Context, org string, e *entity.AuditEntry) error
	// Log gets a line for each change and for each failure that is not the
	// caller's; the default is slog.Default.
	Log *slog.Logger
	// Now is the clock; the default is time.Now.
	Now func() time.Time
	// Changed is called after every change, before it is answered, so that a
	// gateway in the same process can look at it at once.
	Changed func()
}

// server is the state all calls share.
type server struct {
	Options
	routes tree
	stored storedKinds
}

// New returns the handler of the Management API. It reads nothing.
func New(opts Options) http.Handler {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Changed == nil {
		opts.Changed = func() {}
	}
	if opts.Validate == nil {
		opts.Validate = func(context.Context, string, string, *bundle.Bundle) bundle.Problems { return nil }
	}
	s := &server{Options: opts, stored: newStoredKinds(opts.Registry)}
	for i := range routes {
		s.routes.add(&routes[i])
	}
	return s.protect(s)
}

// ServeHTTP answers one call.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		health(w, r)
		return
	}
	c := &call{server: s, w: w, r: r, query: r.URL.Query()}
	answer, err := c.safely()
	if err == nil && c.changes() {
		s.Changed()
	}
	c.audit(err)
	if err != nil {
		c.fail(err)
		return
	}
	c.answer(answer)
}

func health(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	_, _ = w.Write([]byte("ok\n"))
}

// safely is run, with a panic for an error.
func (c *call) safely() (answer any, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.run()
}

// run finds the route, checks the caller and calls the handler.
func (c *call) run() (any, error) {
	segments, err := split(c.r.URL.EscapedPath())
	if err != nil {
		return nil, err
	}
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if c.route, c.params = c.routes.find(method, segments); c.route == nil {
		return nil, errNoRoute(c.r)
	}
	if err := c.authorize(); err != nil {
		return nil, err
	}
	if err := c.place(); err != nil {
		return nil, err
	}
	return c.route.handle(c)
}

// place reads the organization's stamp and checks that organization and
// environment of the path exist.
func (c *call) place() error {
	org := c.param("org")
	if org == "" {
		return nil
	}
	var err error
	if c.stamp, err = c.Registry.Stamp(c.ctx(), org); err != nil {
		return err
	}
	if env := c.param("env"); env != "" && !c.stamp.HasEnvironment(env) {
		return notFound("environment %q not found", env)
	}
	return nil
}
