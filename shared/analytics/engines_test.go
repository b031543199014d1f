package analytics

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
)

// TestEngines counts with three instances, one of which writes its documents
// again and again, on every engine: each call is counted once.
func TestEngines(t *testing.T) {
	enginestest.Run(t, func(t *testing.T, d store.Driver) {
		s := store.New(d)
		defer s.Close()
		for _, instance := range []string{"a", "b", "c"} {
			r := New(Options{Store: s, Organization: "org", Instance: instance, Retention: time.Hour, Log: slog.New(slog.DiscardHandler)})
			for range 5 {
				fc := flow.New(&flow.Proxy{Organization: "org", Environment: "test", Name: "pets"}, time.Now)
				r.Record(fc, "dc_n", int64(2))
				m := message.NewResponse()
				m.Status = 200
				r.Call(fc, m)
				fc.Drain(context.Background())
				fc.Release()
			}
			r.Close(t.Context())
		}
		now := time.Now().UTC()
		q, err := Parse(Parameters{
			Dimensions: "apiproxy", Select: "sum(message_count),sum(dc_n)",
			TimeRange: now.Add(-time.Hour).Format(timeLayout) + "~" + now.Add(time.Hour).Format(timeLayout),
		})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := NewStats(s).Environment(t.Context(), "org", "test", q)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(answer.Environments[0].Dimensions)
		if want := `[{"metrics":[{"name":"sum(message_count)","values":["15.0"]},{"name":"sum(dc_n)","values":["30.0"]}],"name":"pets"}]`; string(b) != want {
			t.Errorf("got %s, want %s", b, want)
		}
	})
}
