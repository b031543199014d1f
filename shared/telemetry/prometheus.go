package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/proto"
)

// Handler answers with the metrics in Prometheus' text format.
func (t *Telemetry) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
		if err := t.WritePrometheus(r.Context(), w); err != nil {
			t.log.WarnContext(r.Context(), "metrics cannot be written", "error", err)
		}
	})
}

// WritePrometheus writes the metrics in Prometheus' text format. The library that
// usually does that, client_golang, looks at the process when a program starts,
// which costs every cold start several times what all the rest of this package
// does; so only its format is used.
// Sources: https://prometheus.io/docs/instrumenting/exposition_formats/,
// https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
func (t *Telemetry) WritePrometheus(ctx context.Context, w io.Writer) error {
	var data metricdata.ResourceMetrics
	if err := t.metrics.prometheus.Collect(ctx, &data); err != nil {
		return err
	}
	for _, s := range data.ScopeMetrics {
		for _, m := range s.Metrics {
			f, err := family(m)
			if err != nil {
				return err
			}
			if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func family(m metricdata.Metrics) (*dto.MetricFamily, error) {
	f := &dto.MetricFamily{Name: new(strings.ReplaceAll(m.Name, ".", "_")), Help: &m.Description}
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		f.Type, *f.Name = dto.MetricType_COUNTER.Enum(), *f.Name+"_total"
		for _, p := range d.DataPoints {
			f.Metric = append(f.Metric, &dto.Metric{Label: pairs(p.Attributes), Counter: &dto.Counter{Value: new(float64(p.Value))}})
		}
	case metricdata.Histogram[float64]:
		f.Type, *f.Name = dto.MetricType_HISTOGRAM.Enum(), *f.Name+"_seconds"
		for _, p := range d.DataPoints {
			f.Metric = append(f.Metric, &dto.Metric{Label: pairs(p.Attributes), Histogram: histogram(p)})
		}
	default:
		return nil, fmt.Errorf("metric %s is of an unknown kind", m.Name)
	}
	slices.SortFunc(f.Metric, func(a, b *dto.Metric) int { return cmp.Compare(key(a), key(b)) })
	return f, nil
}

func key(m *dto.Metric) string {
	var b strings.Builder
	for _, l := range m.Label {
		b.WriteString(l.GetValue() + "\x00")
	}
	return b.String()
}

func pairs(set attribute.Set) []*dto.LabelPair {
	var list []*dto.LabelPair
	for _, a := range set.ToSlice() {
		name := strings.TrimPrefix(strings.ReplaceAll(string(a.Key), ".", "_"), "perigee_")
		list = append(list, &dto.LabelPair{Name: &name, Value: proto.String(a.Value.String())})
	}
	return list
}

// histogram has cumulative buckets.
func histogram(p metricdata.HistogramDataPoint[float64]) *dto.Histogram {
	h := &dto.Histogram{SampleCount: &p.Count, SampleSum: &p.Sum}
	sum := uint64(0)
	for i, bound := range p.Bounds {
		sum += p.BucketCounts[i]
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: new(bound), CumulativeCount: new(sum)})
	}
	return h
}
