package counter

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/store"
)

const (
	collection = "counters"
	// margin is how long a document outlives its window, for clocks that are
	// slow.
	margin = time.Minute
	// maxSpans bounds the spans of a rolling window: what is closer together
	// than the window's 120th counts as one, at the time of the later.
	maxSpans = 120
)

// document is a counter in the store.
type document struct {
	// Used counts what was used and what is leased, but for rolling windows.
	Used int64 `json:"used,omitempty"`
	// End is when a flexi window ends, in ms: its length after the first use.
	End int64 `json:"end,omitempty"`
	// Spans are the uses in a rolling window, by time.
	Spans []span `json:"spans,omitempty"`
	// Leases are the last transactions of instances that were here lately.
	Leases map[string]lease `json:"leases,omitempty"`
}

// span is a number of uses at a time.
type span struct {
	From int64 `json:"f"` // ms; of the first of them
	At   int64 `json:"a"` // ms; of the last: they leave the window together
	N    int64 `json:"n"`
}

// lease is the last transaction of an instance on a counter.
type lease struct {
	Seq     int64 `json:"s"` // its number: the instance sees that it was committed
	Granted int64 `json:"g"`
	Until   int64 `json:"u"` // ms; from then on the instance is not counted as one that shares
}

func (q *Quotas) group(c policy.Counter) string {
	return q.org + "/" + q.env + "/" + c.Proxy + "/" + c.Name
}

// docKey is the document of a counter. Class and identifier are hashed: they come
// from callers, may be long, and may be secrets.
func (q *Quotas) docKey(k key) store.Key {
	sum := sha256.Sum256([]byte(k.Class + "\x00" + k.Identifier))
	interval := strconv.FormatInt(k.interval, 10) + k.unit
	switch k.kind {
	case policy.FixedWindow:
		interval += "/" + strconv.FormatInt(k.start, 10)
	case policy.FlexiWindow:
		interval += "/flexi"
	case policy.RollingWindow:
		interval += "/rolling"
	}
	return store.Key{Collection: collection, ID: q.group(k.Counter) + "/" + hex.EncodeToString(sum[:16]) + "/" + interval}
}

// load reads a document as of now: what is over is gone.
func load(doc store.Doc, err error, w *policy.Window, now time.Time) (*document, error) {
	d := &document{}
	switch {
	case store.IsNotFound(err):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(doc.Data, d); err != nil {
			return nil, fmt.Errorf("counter %s: %w", doc.Key.ID, err)
		}
	}
	switch w.Kind {
	case policy.FlexiWindow:
		if d.End != 0 && now.UnixMilli() >= d.End {
			*d = document{}
		}
	case policy.RollingWindow:
		gone := now.Add(-w.End.Sub(w.Start)).UnixMilli()
		d.Spans = slices.DeleteFunc(d.Spans, func(s span) bool { return s.At <= gone })
	}
	return d, nil
}

// used is the count.
func (d *document) used() int64 {
	n := d.Used
	for _, s := range d.Spans {
		n += s.N
	}
	return n
}

// add counts n uses that are made at the time at, or until then.
func (d *document) add(n int64, w *policy.Window, at time.Time) {
	if n == 0 {
		return
	}
	switch w.Kind {
	case policy.RollingWindow:
		d.addSpan(n, at.UnixMilli(), w.End.Sub(w.Start).Milliseconds()/maxSpans)
		return
	case policy.FlexiWindow:
		if d.End == 0 {
			d.End = at.Add(w.End.Sub(w.Start)).UnixMilli()
		}
	}
	d.Used += n
}

func (d *document) addSpan(n, at, width int64) {
	i := len(d.Spans)
	for i > 0 && d.Spans[i-1].At > at {
		i--
	}
	if i > 0 {
		last := &d.Spans[i-1]
		if last.At == at || len(d.Spans) >= maxSpans/2 && at-last.From < width {
			last.At, last.N = at, last.N+n
			return
		}
	}
	d.Spans = slices.Insert(d.Spans, i, span{From: at, At: at, N: n})
}

// sub takes n uses back. In a rolling window those go that would leave it first:
// so what was booked later stays, and never too little is counted.
func (d *document) sub(n int64) {
	k := min(n, d.Used)
	d.Used, n = d.Used-k, n-k
	for i := range d.Spans {
		k := min(n, d.Spans[i].N)
		d.Spans[i].N, n = d.Spans[i].N-k, n-k
	}
	d.Spans = slices.DeleteFunc(d.Spans, func(s span) bool { return s.N == 0 })
}

// sharing is how many instances lease from the counter, the given one included.
func (d *document) sharing(instance string, now time.Time) int {
	n := 1
	for id, l := range d.Leases {
		if id != instance && now.UnixMilli() < l.Until {
			n++
		}
	}
	return n
}

// sign notes a transaction of an instance and forgets instances that have not
// been here for long.
func (d *document) sign(instance string, l lease, now time.Time) {
	for id, old := range d.Leases {
		if now.UnixMilli() >= old.Until {
			delete(d.Leases, id)
		}
	}
	if d.Leases == nil {
		d.Leases = map[string]lease{}
	}
	d.Leases[instance] = l
}

// end is when the window ends that d is about.
func (d *document) end(w *policy.Window, now time.Time) time.Time {
	length := w.End.Sub(w.Start)
	switch w.Kind {
	case policy.FlexiWindow:
		if d.End != 0 {
			return time.UnixMilli(d.End).UTC()
		}
		return now.Add(length)
	case policy.RollingWindow:
		return now.Add(length)
	}
	return w.End
}

// firstGone is when the first uses leave a rolling window.
func (d *document) firstGone(w *policy.Window) time.Time {
	if len(d.Spans) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(d.Spans[0].At).Add(w.End.Sub(w.Start))
}

func (d *document) doc(id store.Key, group string, w *policy.Window, now time.Time) (store.Doc, error) {
	data, err := json.Marshal(d)
	if err != nil {
		return store.Doc{}, err
	}
	expire := d.end(w, now)
	if n := len(d.Spans); n > 0 { // leased ahead
		if last := time.UnixMilli(d.Spans[n-1].At).Add(w.End.Sub(w.Start)); last.After(expire) {
			expire = last
		}
	}
	return store.Doc{Key: id, Fields: map[string]string{"counter": group}, Data: data, ExpireAt: expire.Add(margin)}, nil
}
