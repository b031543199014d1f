// Package telemetry makes OpenTelemetry traces and metrics of the calls a gateway
// serves, and serves the metrics to Prometheus. It is off unless OpenTelemetry's
// standard environment variables ask for it; then New returns nil, nothing is
// opened, and calls cost nothing.
//
// A serverless instance may be frozen when its handler returns, so nothing is
// left to a timer: the spans of a sampled call are exported before its handler
// returns, and metrics with the first call after OTEL_METRIC_EXPORT_INTERVAL. The
// response is on its way to the client by then.
//
// Understood are OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER and
// OTEL_METRICS_EXPORTER (otlp, none), what the exporters and the SDK read
// (OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER and its argument, OTEL_SERVICE_NAME,
// OTEL_RESOURCE_ATTRIBUTES), and OTEL_EXPORTER_OTLP_PROTOCOL as http/protobuf.
// Sources: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/,
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/perigee-gateway/perigee/shared/store"
)

const (
	// scope names the instrumentation in what is exported.
	scope = "github.com/perigee-gateway/perigee"
	// flushTimeout bounds an export: 2 s. What a slow receiver misses is lost.
	flushTimeout = 2 * time.Second
	// exportInterval is OTEL_METRIC_EXPORT_INTERVAL's default.
	exportInterval = time.Minute
)

// Options configure a Telemetry beside the environment variables.
type Options struct {
	// Service is service.name unless OTEL_SERVICE_NAME gives another.
	Service string
	// Prometheus keeps metrics for WritePrometheus, whether they are exported or
	// not.
	Prometheus bool
	// Store, if set, gives what was asked of the store so far.
	Store func() store.Stats
	Log   *slog.Logger
}

// Telemetry observes calls. A nil one does nothing.
type Telemetry struct {
	log      *slog.Logger
	provider *sdktrace.TracerProvider // nil: no traces
	tracer   trace.Tracer
	metrics  *metrics // nil: no metrics
}

// New returns a Telemetry, nil if it is off. An error is one of the
// configuration; no connection is made.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	traces, terr := wanted("TRACES")
	exported, merr := wanted("METRICS")
	if err := errors.Join(terr, merr); err != nil {
		return nil, err
	}
	if !traces && !exported && !o.Prometheus {
		return nil, nil
	}
	res, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", o.Service)), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	t := &Telemetry{log: o.Log}
	if traces {
		if err := t.openTraces(ctx, res); err != nil {
			return nil, err
		}
	}
	if exported || o.Prometheus {
		if t.metrics, err = openMetrics(ctx, res, exported, o); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *Telemetry) openTraces(ctx context.Context, res *resource.Resource) error {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return fmt.Errorf("OTLP traces: %w", err)
	}
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(exporter, sdktrace.WithExportTimeout(flushTimeout)))
	t.tracer = t.provider.Tracer(scope)
	return nil
}

func openMetrics(ctx context.Context, res *resource.Resource, exported bool, o Options) (*metrics, error) {
	m := &metrics{log: o.Log, interval: interval()}
	opts := []sdkmetric.Option{sdkmetric.WithResource(res)}
	if exported {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("OTLP metrics: %w", err)
		}
		m.exporter = exporter
		m.otlp = sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(exporter.Temporality), sdkmetric.WithAggregationSelector(exporter.Aggregation))
		opts = append(opts, sdkmetric.WithReader(m.otlp))
	}
	if o.Prometheus {
		m.prometheus = sdkmetric.NewManualReader()
		opts = append(opts, sdkmetric.WithReader(m.prometheus))
	}
	return m, m.open(sdkmetric.NewMeterProvider(opts...), o.Store)
}

// wanted reports whether a signal is to be exported: an exporter is named, or an
// endpoint is.
func wanted(signal string) (bool, error) {
	if disabled, _ := strconv.ParseBool(os.Getenv("OTEL_SDK_DISABLED")); disabled {
		return false, nil
	}
	name := "OTEL_" + signal + "_EXPORTER"
	switch exporter := os.Getenv(name); exporter {
	case "none":
		return false, nil
	case "":
		if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") == "" {
			return false, nil
		}
	case "otlp":
	default:
		return false, fmt.Errorf("%s is %q, want otlp or none", name, exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if p := os.Getenv(name); p == "http/protobuf" {
			break
		} else if p != "" {
			return false, fmt.Errorf("%s is %q, want http/protobuf", name, p)
		}
	}
	return true, nil
}

// interval is OTEL_METRIC_EXPORT_INTERVAL, in milliseconds; a minute without it.
func interval() time.Duration {
	if n, err := strconv.Atoi(strings.TrimSpace(os.Getenv("OTEL_METRIC_EXPORT_INTERVAL"))); err == nil && n > 0 {
		return time.Duration(n) * time.Millisecond
	}
	return exportInterval
}

// Close exports what is left.
func (t *Telemetry) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	var errs []error
	if t.metrics != nil {
		errs = append(errs, t.metrics.close(ctx))
	}
	if t.provider != nil {
		errs = append(errs, t.provider.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
