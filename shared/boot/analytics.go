package boot

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"github.com/perigee-gateway/perigee/shared/analytics"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// newRecorder makes what counts this process's calls; nil where none are to be.
func newRecorder(h *Host) *analytics.Recorder {
	if h.Config.NoAnalytics {
		return nil
	}
	return analytics.New(analytics.Options{
		Store: h.Store, Organization: h.Config.Organization, Instance: uuid.NewString(),
		Interval: max(0, cmp.Or(h.Config.AnalyticsInterval, DefaultInterval)), Retention: cmp.Or(h.Config.AnalyticsRetention, DefaultRetention),
		Log: h.Log,
	})
}

// record is the gateway's Record; nil where calls are not counted.
func (h *Host) record() func(context.Context, *flow.Context, *message.Message) {
	if h.recorder == nil {
		return nil
	}
	return func(_ context.Context, fc *flow.Context, m *message.Message) { h.recorder.Call(fc, m) }
}

// collectors are an organization's data collectors, as far as they are known.
type collectors map[string]string

// Collector implements policy.Collectors.
func (c collectors) Collector(name string) (typ string, ok bool) {
	typ, ok = c[name]
	return typ, ok
}
