package analytics

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

const (
	// maxRows bounds the rows of an environment in a minute, and what is held
	// between two writes.
	maxRows = 2000
	// maxCustom bounds the length of collected dimensions of one call, in bytes:
	// 100 values of 400 bytes, as DataCapture allows, and their names.
	maxCustom = 64 << 10
	// maxHeld bounds the length of collected dimensions held in memory, in bytes.
	maxHeld = 4 << 20
	// flushTimeout bounds one write.
	flushTimeout = 2 * time.Second
)

// Options are what a Recorder is made of.
type Options struct {
	Store        *store.Store
	Organization string
	// Instance tells the documents of processes apart.
	Instance string
	// Interval is how often sums are written while calls come; 0 writes with
	// every call.
	Interval time.Duration
	// Retention is how long they are kept.
	Retention time.Duration
	// Log is told of what was lost. Required.
	Log *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Recorder records calls. It is safe for concurrent use.
type Recorder struct {
	opts  Options
	flush func(context.Context) // write, as one value for all calls

	mu      sync.Mutex
	pending rows
	held    int // bytes of collected dimensions in pending
	last    time.Time

	wanted  atomic.Bool // something is to be written that the writer may not have seen
	writing sync.Mutex
	windows map[window]*sums // of minutes that are not over, or not written
}

// window is what one document holds.
type window struct {
	environment string
	minute      int64
}

// sums are the rows of a window.
type sums struct {
	rows  rows
	held  int
	dirty bool
	parts int // documents written so far
}

// New returns a Recorder. It writes nothing before the first call.
func New(opts Options) *Recorder {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	r := &Recorder{opts: opts, pending: rows{}, windows: map[window]*sums{}}
	r.flush = r.write
	return r
}

var _ policy.Analytics = (*Recorder)(nil)

// collected is what policies collected in a call.
type collected struct {
	dims    []pair
	metrics map[string]float64
}

type collectedKey struct{}

// Record implements policy.Analytics.
func (r *Recorder) Record(fc *flow.Context, name string, value any) {
	c, _ := fc.Session[collectedKey{}].(*collected)
	if c == nil {
		c = new(collected)
		if fc.Session == nil {
			fc.Session = map[any]any{}
		}
		fc.Session[collectedKey{}] = c
	}
	switch v := value.(type) {
	case int64:
		c.metric(name, float64(v))
	case float64:
		c.metric(name, v)
	case bool:
		c.dim(name, strconv.FormatBool(v))
	case string:
		c.dim(name, v)
	}
}

// Reserved implements policy.Analytics.
func (r *Recorder) Reserved(name string) bool { return isKnown(name) }

func (c *collected) metric(name string, v float64) {
	if c.metrics == nil {
		c.metrics = map[string]float64{}
	}
	c.metrics[name] = v
}

func (c *collected) dim(name, value string) {
	i, found := slices.BinarySearchFunc(c.dims, name, func(p pair, name string) int { return strings.Compare(p.name, name) })
	if found {
		c.dims[i].value = value
		return
	}
	c.dims = slices.Insert(c.dims, i, pair{name, value})
}

// Call records a finished call, of which m went to the client. What it writes is
// written after the response, before the host lets go of the call.
func (r *Recorder) Call(fc *flow.Context, m *message.Message) {
	now := r.opts.Now()
	k := key{environment: fc.Proxy.Environment, minute: now.Unix() / 60}
	describe(&k.dims, fc, m)
	var one row
	measure(&one, fc, m, now)
	if c, ok := fc.Session[collectedKey{}].(*collected); ok {
		if k.custom = encodeCustom(c.dims); len(k.custom) > maxCustom {
			k.custom = ""
		}
		if len(c.metrics) > 0 {
			one.custom = make(map[string]sum, len(c.metrics))
			for name, v := range c.metrics {
				one.custom[name] = sum{1, v, v, v}
			}
		}
	}
	if r.hold(k, &one, now) {
		fc.After(r.flush)
	}
}

// hold adds a row to what is to be written, and reports whether that is due.
func (r *Recorder) hold(k key, one *row, now time.Time) (due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if have := r.pending[k]; have != nil {
		have.merge(one)
	} else {
		if len(r.pending) >= maxRows || r.held >= maxHeld {
			k = k.narrow()
		}
		r.held += len(k.custom)
		kept := *one
		r.pending.add(k, &kept)
	}
	if now.Sub(r.last) < r.opts.Interval && now.Sub(r.last) >= 0 {
		return false
	}
	r.last = now
	return true
}

// narrow is the key without what callers and policies choose freely.
func (k key) narrow() key {
	k.dims[dimPathSuffix], k.dims[dimHost], k.dims[dimTargetBasePath], k.custom = NotSet, NotSet, NotSet, ""
	return k
}

// describe fills in the dimensions of a call.
func describe(d *[dimensions]string, fc *flow.Context, m *message.Message) {
	d[dimProxy], d[dimRevision] = fc.Proxy.Name, fc.Proxy.Revision
	d[dimBasePath], d[dimPathSuffix] = fc.Proxy.BasePath, fc.PathSuffix
	d[dimVerb], d[dimStatus], d[dimHost] = fc.Request.Verb, statusText(m.Status), fc.Virtual
	if t := &fc.Target; t.Name != "" {
		d[dimTarget], d[dimTargetHost], d[dimTargetBasePath] = t.Name, t.Host, t.BasePath
		d[dimTargetStatus] = statusText(t.Status)
	}
	if c := fc.Caller; c != nil {
		d[dimProduct], d[dimApp], d[dimDeveloper], d[dimEmail] = c.Product, c.App, c.Developer, c.Email
		if c.AppGroup != "" {
			d[dimDeveloper] = c.AppGroup
		}
	}
	if f := fc.Fault; f != nil {
		d[dimFaultCode], d[dimFaultPolicy] = f.Code, f.Policy
	}
	for i, v := range d {
		if v == "" {
			d[i] = NotSet
		}
	}
}

// statusTexts are the codes that are met every day; no call allocates for them.
var statusTexts = func() (t [600]string) {
	for i := range t {
		t[i] = strconv.Itoa(i)
	}
	t[0] = ""
	return t
}()

func statusText(code int) string {
	if code >= 0 && code < len(statusTexts) {
		return statusTexts[code]
	}
	return strconv.Itoa(code)
}

// measure fills in the metrics of a call. Times are in milliseconds.
func measure(r *row, fc *flow.Context, m *message.Message, now time.Time) {
	r.calls = 1
	end := now
	if !fc.SentEnd.IsZero() {
		end = fc.SentEnd
	}
	r.metrics[metricTotal].add(ms(fc.Start, end))
	if t := &fc.Target; t.Called && !t.SentStart.IsZero() {
		received := t.ReceivedEnd
		if received.IsZero() {
			received = end // the target did not answer
		}
		r.metrics[metricTarget].add(ms(t.SentStart, received))
		r.metrics[metricRequestLatency].add(ms(fc.Start, t.SentStart))
		r.metrics[metricResponseLatency].add(ms(received, end))
	} else {
		r.metrics[metricRequestLatency].add(ms(fc.Start, end))
	}
	r.metrics[metricRequestSize].add(requestSize(fc.Request))
	r.metrics[metricResponseSize].add(float64(fc.SentBytes))
	failed := m.Status >= 400 || fc.Fault != nil
	r.metrics[metricIsError].add(one(failed))
	target := fc.Fault != nil && fc.Fault.Target
	r.metrics[metricTargetError].add(one(target))
	r.metrics[metricPolicyError].add(one(fc.Fault != nil && !target))
	r.metrics[metricCacheHit].add(one(fc.Answered() == flow.AfterSegment))
}

// requestSize is the size of the body, of which a stream that was passed on has
// left nothing but the header.
func requestSize(m *message.Message) float64 {
	if n := m.Length(); n > 0 {
		return float64(n)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(m.Header.Get("Content-Length")), 10, 53)
	if err != nil {
		return 0
	}
	return float64(n)
}

func ms(from, to time.Time) float64 {
	return max(0, float64(to.Sub(from).Microseconds())/1000)
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// write writes what is pending. One call writes at a time; another that finds it
// at work leaves its own to it.
func (r *Recorder) write(ctx context.Context) {
	r.wanted.Store(true)
	for r.wanted.Load() && r.writing.TryLock() {
		r.wanted.Store(false)
		r.writeAll(ctx)
		r.writing.Unlock()
	}
}

// Close writes what is pending.
func (r *Recorder) Close(ctx context.Context) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.writeAll(ctx)
}

// writeAll merges what is pending into the windows and writes those that changed.
func (r *Recorder) writeAll(ctx context.Context) {
	r.mu.Lock()
	pending := r.pending
	r.pending, r.held = rows{}, 0
	r.mu.Unlock()
	for k, one := range pending {
		r.window(k).add(k, one)
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	current := r.opts.Now().Unix() / 60
	for w, s := range r.windows {
		if s.dirty {
			if err := r.save(ctx, w, s); err != nil {
				r.opts.Log.LogAttrs(ctx, slog.LevelWarn, "analytics not written yet", slog.String("environment", w.environment), slog.String("error", err.Error()))
				r.drop(w, s, current)
				continue
			}
			s.dirty = false
		}
		if w.minute < current {
			delete(r.windows, w)
		}
	}
}

func (r *Recorder) window(k key) *sums {
	w := window{k.environment, k.minute}
	s := r.windows[w]
	if s == nil {
		s = &sums{rows: rows{}}
		r.windows[w] = s
	}
	return s
}

func (s *sums) add(k key, one *row) {
	if s.rows[k] == nil && (len(s.rows) >= maxRows || s.held >= maxHeld) {
		k = k.narrow()
	}
	if s.rows[k] == nil {
		s.held += len(k.custom)
	}
	s.rows.add(k, one)
	s.dirty = true
}

// unwritten is how many minutes sums are kept that cannot be written.
const unwritten = 10

// drop gives up a window that could not be written for long.
func (r *Recorder) drop(w window, s *sums, current int64) {
	if current-w.minute < unwritten {
		return
	}
	var calls int64
	for _, one := range s.rows {
		calls += one.calls
	}
	r.opts.Log.LogAttrs(context.Background(), slog.LevelError, "analytics lost", slog.String("environment", w.environment), slog.Int64("calls", calls))
	delete(r.windows, w)
}
