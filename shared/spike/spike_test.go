package spike

import (
	"fmt"
	"testing"
	"time"
)

var start = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)

func TestRateText(t *testing.T) {
	for text, want := range map[string]string{
		"300pm": "MessageRate{messagesPerPeriod=300, periodInMicroseconds=60000000, maxBurstMessageCount=30.0}",
		"5pm":   "MessageRate{messagesPerPeriod=5, periodInMicroseconds=60000000, maxBurstMessageCount=1.0}",
		"15ps":  "MessageRate{messagesPerPeriod=15, periodInMicroseconds=1000000, maxBurstMessageCount=1.5}",
		" 1ps ": "MessageRate{messagesPerPeriod=1, periodInMicroseconds=1000000, maxBurstMessageCount=1.0}",
		"0ps":   "", "-1pm": "", "ps": "", "": "", "1.5ps": "", "10": "", "10ph": "", "10 p s": "", "99999999999ps": "",
	} {
		r, ok := ParseRate(text)
		if ok != (want != "") || ok && r.String() != want {
			t.Errorf("%q: %v %v", text, r, ok)
		}
	}
}

// TestBounded fills the limiter with identifiers that callers make up.
func TestBounded(t *testing.T) {
	l := New(false)
	hour := Rate{1, time.Hour}
	for i := range 3 * shards * maxPerShard {
		l.Take(fmt.Sprint("id", i), hour, 1, start.Add(time.Duration(i)))
	}
	for i := range l.shard {
		if n := len(l.shard[i].buckets); n > maxPerShard {
			t.Errorf("shard %d holds %d identifiers", i, n)
		}
	}
	for i := range 10000 { // all idle by now: they make room for these
		l.Take(fmt.Sprint("new", i), hour, 1, start.Add(2*time.Hour))
	}
	total := 0
	for i := range l.shard {
		total += len(l.shard[i].buckets)
	}
	if total > shards*maxPerShard {
		t.Errorf("%d identifiers are held", total)
	}
}
