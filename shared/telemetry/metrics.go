package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/store"
)

// metrics are the instruments and where they go.
type metrics struct {
	log      *slog.Logger
	provider *sdkmetric.MeterProvider

	otlp       *sdkmetric.ManualReader // nil: not exported
	exporter   sdkmetric.Exporter
	interval   time.Duration
	exported   atomic.Int64 // when, in nanoseconds since 1970
	prometheus *sdkmetric.ManualReader

	requests, faults, lookups, loads metric.Int64Counter
	duration, target, loading        metric.Float64Histogram
	sets                             sync.Map // labels to metric.MeasurementOption
}

// buckets bound the histograms, in seconds.
var buckets = []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60}

func (m *metrics) open(p *sdkmetric.MeterProvider, counts func() store.Stats) error {
	m.provider = p
	m.exported.Store(time.Now().UnixNano())
	meter := p.Meter(scope)
	var errs []error
	counter := func(name, unit, about string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(about))
		errs = append(errs, err)
		return c
	}
	histogram := func(name, about string) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(about), metric.WithExplicitBucketBoundaries(buckets...))
		errs = append(errs, err)
		return h
	}
	m.requests = counter("perigee.requests", "{request}", "Calls that were answered, by proxy and status.")
	m.faults = counter("perigee.faults", "{fault}", "Calls that ended in a fault, by proxy and fault code.")
	m.lookups = counter("perigee.cache.lookups", "{lookup}", "Lookups in caches that policies use, by result.")
	m.loads = counter("perigee.cold.loads", "{load}", "Proxies that were loaded and compiled because of a call.")
	m.duration = histogram("perigee.request.duration", "Time from the request to the end of the answer.")
	m.target = histogram("perigee.target.duration", "Time from the request to a target to the head of its answer.")
	m.loading = histogram("perigee.cold.duration", "Time it took to load and compile a proxy.")
	if counts != nil {
		errs = append(errs, observeStore(meter, counts))
	}
	return errors.Join(errs...)
}

// observeStore asks the store for its counts when metrics are read: nothing is
// counted twice.
func observeStore(meter metric.Meter, counts func() store.Stats) error {
	var errs []error
	observable := func(name, about string) metric.Int64ObservableCounter {
		c, err := meter.Int64ObservableCounter(name, metric.WithUnit("{operation}"), metric.WithDescription(about))
		errs = append(errs, err)
		return c
	}
	reads := observable("perigee.store.reads", "Documents read.")
	writes := observable("perigee.store.writes", "Documents written or deleted.")
	trips := observable("perigee.store.round_trips", "Exchanges with the store.")
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := counts()
		o.ObserveInt64(reads, s.Reads)
		o.ObserveInt64(writes, s.Writes)
		o.ObserveInt64(trips, s.RoundTrips)
		return nil
	}, reads, writes, trips)
	return errors.Join(append(errs, err)...)
}

// labels are the attributes of a measurement; "" and 0 are left out.
type labels struct {
	environment, proxy, target, fault, cache, result string
	status                                           int
}

// with is the attributes in the form that recording takes, made once for each.
func (m *metrics) with(l labels) metric.MeasurementOption {
	if o, ok := m.sets.Load(l); ok {
		return o.(metric.MeasurementOption)
	}
	var attrs []attribute.KeyValue
	for _, a := range []struct{ key, value string }{
		{"perigee.environment", l.environment}, {"perigee.proxy", l.proxy}, {"perigee.target", l.target},
		{"perigee.fault", l.fault}, {"perigee.cache", l.cache}, {"perigee.result", l.result},
	} {
		if a.value != "" {
			attrs = append(attrs, attribute.String(a.key, a.value))
		}
	}
	if l.status != 0 {
		attrs = append(attrs, attribute.Int("http.response.status_code", l.status))
	}
	o := metric.WithAttributeSet(attribute.NewSet(attrs...))
	m.sets.Store(l, o)
	return o
}

// Metrics reports whether calls are measured.
func (t *Telemetry) Metrics() bool { return t != nil && t.metrics != nil }

// Count measures a call that was answered.
func (t *Telemetry) Count(ctx context.Context, fc *flow.Context, answer *message.Message) {
	m := t.metrics
	at := labels{environment: fc.Proxy.Environment, proxy: fc.Proxy.Name}
	m.duration.Record(ctx, fc.Now().Sub(fc.Start).Seconds(), m.with(at))
	answered := at
	answered.status = answer.Status
	m.requests.Add(ctx, 1, m.with(answered))
	if fc.Fault != nil {
		faulty := at
		faulty.fault = m.bounded(fc.Fault.Code)
		m.faults.Add(ctx, 1, m.with(faulty))
	}
	if tg := &fc.Target; tg.Called && !tg.ReceivedStart.IsZero() {
		to := at
		to.target = tg.Name
		m.target.Record(ctx, tg.ReceivedStart.Sub(tg.SentStart).Seconds(), m.with(to))
	}
	if m.due() {
		fc.After(m.export)
	}
}

// bounded is a fault's code, or "other" where it is not one of Apigee's: bundles
// make up codes, perhaps of what callers send.
func (m *metrics) bounded(code string) string {
	for i := range len(code) {
		if c := code[i]; c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "other"
		}
	}
	if len(code) > 80 {
		return "other"
	}
	return code
}

// Lookup measures a lookup in a cache.
func (t *Telemetry) Lookup(ctx context.Context, environment, cache string, hit bool) {
	result := "miss"
	if hit {
		result = "hit"
	}
	t.metrics.lookups.Add(ctx, 1, t.metrics.with(labels{environment: environment, cache: cache, result: result}))
}

// Loaded measures a proxy that was loaded and compiled.
func (t *Telemetry) Loaded(ctx context.Context, environment, proxy string, took time.Duration) {
	at := t.metrics.with(labels{environment: environment, proxy: proxy})
	t.metrics.loads.Add(ctx, 1, at)
	t.metrics.loading.Record(ctx, took.Seconds(), at)
}

// due is true for one caller in each interval.
func (m *metrics) due() bool {
	if m.otlp == nil {
		return false
	}
	last, now := m.exported.Load(), time.Now().UnixNano()
	return now-last >= int64(m.interval) && m.exported.CompareAndSwap(last, now)
}

func (m *metrics) export(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	var data metricdata.ResourceMetrics
	err := m.otlp.Collect(ctx, &data)
	if err == nil {
		err = m.exporter.Export(ctx, &data)
	}
	if err != nil {
		m.log.WarnContext(ctx, "metrics are not exported", "error", err)
	}
}

func (m *metrics) close(ctx context.Context) error {
	if m.otlp != nil {
		m.export(ctx)
		return errors.Join(m.exporter.Shutdown(ctx), m.provider.Shutdown(ctx))
	}
	return m.provider.Shutdown(ctx)
}
