package pipeline

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// FuzzEvents: a stream of events passes an EventFlow without steps as it is, but for
// the blank lines at the ends of events.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{"", "data: a\n\n", "data: a\r\n\r\ndata: b", ": comment\n\n\n\ndata:x\ndata: y\n\n", "\n\n\n", "event: e\nid: 1\nretry: 5\ndata: {}\n\n", "data: a\n\r\ndata: b\n\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		fc := flow.New(&flow.Proxy{}, time.Now)
		m := message.NewResponse()
		m.SetStream(io.NopCloser(strings.NewReader(in)), -1)
		streamEvents(t.Context(), fc, m, nil)
		_, stream, _, err := m.Body()
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(stream)
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		bare := strings.NewReplacer("\r", "", "\n", "")
		if bare.Replace(string(out)) != bare.Replace(in) {
			t.Fatalf("%q became %q", in, out)
		}
	})
}
