package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// isEventStream reports whether a response is a stream of server-sent events.
func isEventStream(m *message.Message) bool {
	ct, _, _ := strings.Cut(m.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(ct), "text/event-stream")
}

// streamEvents makes the response's stream pass through the EventFlow: the
// steps run once for each event, as it arrives.
func streamEvents(ctx context.Context, fc *flow.Context, m *message.Message, steps []step) {
	_, stream, _, err := m.Body()
	if err != nil || stream == nil {
		return
	}
	m.SetStream(&eventReader{ctx: ctx, fc: fc, steps: steps, src: stream, in: bufio.NewReader(stream)}, -1)
	m.Header.Del("Content-Length")
}

// maxEvent bounds one event: 1 MiB.
const maxEvent = 1 << 20

type eventReader struct {
	ctx   context.Context
	fc    *flow.Context
	steps []step
	src   io.Closer
	in    *bufio.Reader
	out   bytes.Buffer
	count int64
	err   error
}

func (r *eventReader) Close() error { return r.src.Close() }

func (r *eventReader) Read(p []byte) (int, error) {
	for r.out.Len() == 0 && r.err == nil {
		r.next()
	}
	if r.out.Len() > 0 {
		return r.out.Read(p)
	}
	return 0, r.err
}

// next reads one event, up to its blank line, and runs the steps over it.
func (r *eventReader) next() {
	var event []byte
	for {
		line, err := r.in.ReadSlice('\n')
		event = append(event, line...)
		if err == bufio.ErrBufferFull {
			err = nil
		}
		if err != nil {
			r.err = err
			break
		}
		if len(event) > maxEvent {
			r.err = message.ErrTooBig
			return
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 && line[len(line)-1] == '\n' && len(bytes.TrimSpace(event)) > 0 {
			break
		}
	}
	if len(bytes.TrimSpace(event)) == 0 {
		r.out.Write(event)
		return
	}
	r.run(event)
}

func (r *eventReader) run(event []byte) {
	r.count++
	text := string(event)
	fc := r.fc
	fc.PutText("response.event.current.content", text)
	fc.PutText("response.event.current.data", eventData(text))
	fc.Put("response.event.current.count", flow.IntValue(r.count))
	if err := runSteps(r.ctx, fc, r.steps); err != nil {
		f := asFault(r.ctx, err)
		r.out.WriteString("event: error\ndata: ")
		r.out.Write(f.JSON())
		r.out.WriteString("\n\n")
		r.err = io.EOF
		return
	}
	out := fc.Get("response.event.current.content").String()
	if out == "" {
		return
	}
	r.out.WriteString(out)
	if !strings.HasSuffix(out, "\n\n") && !strings.HasSuffix(out, "\r\n\r\n") {
		r.out.WriteString("\n\n")
	}
}

// eventData joins the event's data lines (WHATWG HTML, section 9.2.6).
func eventData(event string) string {
	var parts []string
	for line := range strings.Lines(event) {
		line = strings.TrimRight(line, "\r\n")
		if v, ok := strings.CutPrefix(line, "data:"); ok {
			parts = append(parts, strings.TrimPrefix(v, " "))
		}
	}
	return strings.Join(parts, "\n")
}
