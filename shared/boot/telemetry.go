package boot

import (
	"context"
	"net/http"
	"time"

	"github.com/perigee-gateway/perigee/shared/gateway"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/telemetry"
)

// newTelemetry is what the environment variables of OpenTelemetry ask for, nil if
// that is nothing. A mistake in them is logged and no reason not to serve.
func (h *Host) newTelemetry() *telemetry.Telemetry {
	t, err := telemetry.New(context.Background(), telemetry.Options{
		Service: "perigee-gateway", Prometheus: h.servesMetrics(), Store: h.Store.Counts, Log: h.Log,
	})
	if err != nil {
		h.Log.Error("telemetry is off", "error", err)
		return nil
	}
	h.told.Store(t)
	return t
}

// servesMetrics reports whether there is a listener for Prometheus to ask: that of
// the Management API of perigee serve, while nobody else can reach it.
func (h *Host) servesMetrics() bool { return h.Config.Local && h.Config.InsecureManagement }

// observe has a gateway tell telemetry what it asks for, and nothing else.
func (h *Host) observe(o *gateway.Options) {
	t := h.telemetry()
	if t.Traces() {
		o.Observe = t.Observe
	}
	if t.Metrics() {
		o.Count, o.Loaded = t.Count, t.Loaded
	}
}

// withMetrics puts /metrics beside the Management API.
func (h *Host) withMetrics(api http.Handler) http.Handler {
	t := h.telemetry()
	if !h.servesMetrics() || !t.Metrics() {
		return api
	}
	metrics := t.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" && r.Method == http.MethodGet {
			metrics.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// counted measures the lookups in caches, if anything is to be measured.
func (h *Host) counted(env string, c policy.Caches) policy.Caches {
	t := h.telemetry()
	if !t.Metrics() {
		return c
	}
	return countedCaches{c, t, env}
}

type countedCaches struct {
	policy.Caches
	t   *telemetry.Telemetry
	env string
}

// Get implements policy.Caches.
func (c countedCaches) Get(ctx context.Context, key policy.CacheKey, timeout time.Duration) ([]byte, bool) {
	value, ok := c.Caches.Get(ctx, key, timeout)
	c.t.Lookup(ctx, c.env, key.Cache, ok)
	return value, ok
}
