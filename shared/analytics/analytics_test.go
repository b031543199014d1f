package analytics

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
)

// lab is a recorder over an empty store, and a clock.
type lab struct {
	t     testing.TB
	now   time.Time
	store *store.Store
	rec   *Recorder
	log   bytes.Buffer
}

func newLab(t testing.TB, change ...func(*Options)) *lab {
	t.Helper()
	driver, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { driver.Close() })
	l := &lab{t: t, now: time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return l.now }
	l.store = store.New(driver, store.WithClock(clock))
	opts := Options{Store: l.store, Organization: "org", Instance: "i1", Interval: time.Second, Retention: 24 * time.Hour, Log: slog.New(slog.NewTextHandler(&l.log, nil)), Now: clock}
	for _, f := range change {
		f(&opts)
	}
	l.rec = New(opts)
	return l
}

// call records a call that took 40 ms, of which the target 25.
func (l *lab) call(proxy string, status int, change ...func(*flow.Context)) {
	fc := flow.New(&flow.Proxy{Organization: "org", Environment: "test", Name: proxy, Revision: "3", BasePath: "/v1"}, func() time.Time { return l.now })
	fc.Request.Verb, fc.PathSuffix, fc.Virtual = "GET", "/pets", "api.example.com"
	fc.Target = flow.Target{
		Name: "default", Host: "backend", Called: true, Status: status,
		SentStart: l.now.Add(10 * time.Millisecond), ReceivedStart: l.now.Add(30 * time.Millisecond), ReceivedEnd: l.now.Add(35 * time.Millisecond),
	}
	fc.SentEnd, fc.SentBytes = l.now.Add(40*time.Millisecond), 100
	for _, f := range change {
		f(fc)
	}
	m := message.NewResponse()
	m.Status = status
	l.rec.Call(fc, m)
	fc.Drain(context.Background())
	fc.Release()
}

func (l *lab) ask(p Parameters) string {
	l.t.Helper()
	if p.TimeRange == "" {
		p.TimeRange = "04/01/2026 00:00~04/02/2026 00:00"
	}
	q, err := Parse(p)
	if err != nil {
		return err.Error()
	}
	answer, err := NewStats(l.store).Environment(l.t.Context(), "org", "test", q)
	if err != nil {
		return err.Error()
	}
	b, err := json.Marshal(answer.Environments[0])
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

// traffic is a quarter of an hour of calls.
func (l *lab) traffic() {
	app := func(name string) func(*flow.Context) {
		return func(fc *flow.Context) {
			fc.Caller = &flow.Caller{App: name, Product: "gold", Developer: "d-1", Email: "d@example.com", ClientID: "SECRET"}
		}
	}
	for range 3 {
		l.call("pets", 200, app("one"))
		l.now = l.now.Add(100 * time.Millisecond)
	}
	l.call("pets", 404, app("two"), func(fc *flow.Context) {
		fc.Fault = &fault.Fault{Code: "messaging.adaptors.http.flow.ErrorResponseCode", Status: 404, Target: true}
		fc.InError = true
	})
	l.now = l.now.Add(10 * time.Minute)
	l.call("orders", 429, func(fc *flow.Context) {
		fc.Target = flow.Target{}
		fc.Fault = &fault.Fault{Code: "policies.ratelimit.QuotaViolation", Status: 429, Policy: "Q-1"}
		l.rec.Record(fc, "dc_tokens", int64(7))
		l.rec.Record(fc, "dc_region", "eu")
		l.rec.Record(fc, "dc_vip", true)
	})
	l.now = l.now.Add(2 * time.Second)
	l.call("orders", 200, func(fc *flow.Context) {
		l.rec.Record(fc, "dc_tokens", 5.0)
		l.rec.Record(fc, "dc_region", "us")
		l.rec.Record(fc, "dc_region", "as") // the last one counts
		fc.Request.SetContent([]byte("12345"))
	})
	l.rec.Close(l.t.Context())
}

func TestStats(t *testing.T) {
	l := newLab(t)
	l.traffic()
	for _, c := range []struct {
		name string
		p    Parameters
		want string
	}{
		{"all", Parameters{Select: "sum(message_count)"}, `{"metrics":[{"name":"sum(message_count)","values":["6.0"]}],"name":"test"}`},
		{"by proxy", Parameters{Dimensions: "apiproxy", Select: "sum(message_count),avg(total_response_time)"},
			`{"dimensions":[{"metrics":[{"name":"sum(message_count)","values":["2.0"]},{"name":"avg(total_response_time)","values":["40.0"]}],"name":"orders"},` +
				`{"metrics":[{"name":"sum(message_count)","values":["4.0"]},{"name":"avg(total_response_time)","values":["40.0"]}],"name":"pets"}],"name":"test"}`},
		{"two dimensions", Parameters{Dimensions: "apiproxy,response_status_code", Select: "count(message_count)", Filter: "(apiproxy eq 'pets')"},
			`{"dimensions":[{"individualNames":["pets","200"],"metrics":[{"name":"count(message_count)","values":["3.0"]}],"name":"pets,200"},` +
				`{"individualNames":["pets","404"],"metrics":[{"name":"count(message_count)","values":["1.0"]}],"name":"pets,404"}],"name":"test"}`},
		{"latencies", Parameters{Select: "min(target_response_time), max(request_processing_latency),sum(response_processing_latency),count(target_response_time)", Filter: "apiproxy eq orders"},
			`{"metrics":[{"name":"min(target_response_time)","values":["25.0"]},{"name":"max(request_processing_latency)","values":["40.0"]},` +
				`{"name":"sum(response_processing_latency)","values":["5.0"]},{"name":"count(target_response_time)","values":["1.0"]}],"name":"test"}`},
		{"errors", Parameters{Dimensions: "ax_fault_code,ax_execution_fault_policy_name", Select: "sum(is_error),sum(policy_error),sum(target_error)", Filter: "is_error eq 1 and fault_code is not null"},
			`{"dimensions":[{"individualNames":["messaging.adaptors.http.flow.ErrorResponseCode","(not set)"],"metrics":[{"name":"sum(is_error)","values":["1.0"]},{"name":"sum(policy_error)","values":["0.0"]},{"name":"sum(target_error)","values":["1.0"]}],"name":"messaging.adaptors.http.flow.ErrorResponseCode,(not set)"},` +
				`{"individualNames":["policies.ratelimit.QuotaViolation","Q-1"],"metrics":[{"name":"sum(is_error)","values":["1.0"]},{"name":"sum(policy_error)","values":["1.0"]},{"name":"sum(target_error)","values":["0.0"]}],"name":"policies.ratelimit.QuotaViolation,Q-1"}],"name":"test"}`},
		{"sizes", Parameters{Select: "sum(request_size),avg(response_size)"},
			`{"metrics":[{"name":"sum(request_size)","values":["5.0"]},{"name":"avg(response_size)","values":["100.0"]}],"name":"test"}`},
		{"app, product, developer", Parameters{Dimensions: "developer_app,api_product,developer_email,devs", Select: "sum(message_count)", SortBy: "sum(message_count)", TopK: "2"},
			`{"dimensions":[{"individualNames":["one","gold","d@example.com","d-1"],"metrics":[{"name":"sum(message_count)","values":["3.0"]}],"name":"one,gold,d@example.com,d-1"},` +
				`{"individualNames":["(not set)","(not set)","(not set)","(not set)"],"metrics":[{"name":"sum(message_count)","values":["2.0"]}],"name":"(not set),(not set),(not set),(not set)"}],"name":"test"}`},
		{"collected", Parameters{Dimensions: "dc_region,dc_vip", Select: "sum(dc_tokens),avg(dc_tokens)", Filter: "dc_region ne '(not set)'", SortBy: "sum(dc_tokens)", Sort: "ASC"},
			`{"dimensions":[{"individualNames":["as","(not set)"],"metrics":[{"name":"sum(dc_tokens)","values":["5.0"]},{"name":"avg(dc_tokens)","values":["5.0"]}],"name":"as,(not set)"},` +
				`{"individualNames":["eu","true"],"metrics":[{"name":"sum(dc_tokens)","values":["7.0"]},{"name":"avg(dc_tokens)","values":["7.0"]}],"name":"eu,true"}],"name":"test"}`},
		{"by minute", Parameters{Select: "sum(message_count)", TimeUnit: "minute"},
			`{"metrics":[{"name":"sum(message_count)","values":[{"timestamp":1775045400000,"value":"2.0"},{"timestamp":1775044800000,"value":"4.0"}]}],"name":"test"}`},
		{"by hour, oldest first", Parameters{Select: "tps", TimeUnit: "hour", Ascending: "true"},
			`{"metrics":[{"name":"tps","values":[{"timestamp":1775044800000,"value":"0.0016666666666666668"}]}],"name":"test"}`},
		{"by day elsewhere", Parameters{Select: "sum(message_count)", TimeUnit: "day", TZO: "-780"},
			`{"metrics":[{"name":"sum(message_count)","values":[{"timestamp":1774962000000,"value":"6.0"}]}],"name":"test"}`},
		{"arithmetic", Parameters{Select: "sum(message_count)/3.0, sum(message_count)%4"},
			`{"metrics":[{"name":"sum(message_count)/3.0","values":["2.0"]},{"name":"sum(message_count)%4","values":["2.0"]}],"name":"test"}`},
		{"a part of the time", Parameters{Select: "sum(message_count)", TimeRange: "04/01/2026 12:01~04/01/2026 12:11"},
			`{"metrics":[{"name":"sum(message_count)","values":["2.0"]}],"name":"test"}`},
		{"nothing", Parameters{Dimensions: "apis", Select: "sum(message_count)", TimeRange: "03/01/2026 12:01~03/01/2026 12:11"}, `{"name":"test"}`},
		{"page", Parameters{Dimensions: "apiproxy", Select: "sum(message_count)", Limit: "1", Offset: "1"},
			`{"dimensions":[{"metrics":[{"name":"sum(message_count)","values":["4.0"]}],"name":"pets"}],"name":"test"}`},
		{"of time", Parameters{Dimensions: "ax_hour_of_day,ax_day_of_week,environment,organization", Select: "sum(message_count)"},
			`{"dimensions":[{"individualNames":["12","4","test","org"],"metrics":[{"name":"sum(message_count)","values":["6.0"]}],"name":"12,4,test,org"}],"name":"test"}`},
	} {
		if got := l.ask(c.p); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
	if strings.Contains(l.log.String(), "WARN") {
		t.Error(l.log.String())
	}
	for doc, err := range l.store.Query(t.Context(), store.Query{Collection: "analytics"}) {
		if err != nil {
			t.Fatal(err)
		}
		if err := decode(doc.Data, "test", func(k *key, _ *row) {
			if strings.Contains(fmt.Sprint(*k), "SECRET") {
				t.Error("a consumer key is stored")
			}
		}); err != nil {
			t.Error(err)
		}
	}
}

func TestFilters(t *testing.T) {
	values := map[string]string{"apiproxy": "pets", "response_status_code": "404", "request_verb": "GET", "dc_n": "9"}
	value := func(name string) string {
		if v, ok := values[name]; ok {
			return v
		}
		return NotSet
	}
	for src, want := range map[string]bool{
		"":                                  true,
		"apiproxy eq 'pets'":                true,
		"(apiproxy EQ 'pets')":              true,
		"apiproxy ne 'pets'":                false,
		"apiproxy in 'a','pets'":            true,
		"(apiproxy in ('a','pets'))":        true,
		"apiproxy notin 'a','pets'":         false,
		"apiproxy not in 'a'":               true,
		"response_status_code ge 400":       true,
		"response_status_code lt 1000":      true, // as numbers
		"response_status_code gt 404":       false,
		"response_status_code le 404":       true,
		"dc_n lt 10":                        true,
		"apiproxy like 'p%'":                true,
		"apiproxy like 'p_ts'":              true,
		"apiproxy not like '%x%'":           true,
		"apiproxy like 'p.*'":               false,
		"apiproxy similar to '(pets|dogs)'": true,
		"apiproxy not similar to '%(x|y)%'": true,
		"developer_app is null":             true,
		"developer_app is not null":         false,
		"apiproxy eq 'x' or request_verb eq 'GET' and response_status_code eq 404": true,
		"(apiproxy eq 'x' or request_verb eq 'GET') and response_status_code eq 1": false,
		"apiproxy eq 'it''s'": false,
	} {
		f, err := parseFilter(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := f == nil || f(value); got != want {
			t.Errorf("%s: %t, want %t", src, got, want)
		}
	}
}

// apigeecli writes a range without leading zeros.
func TestTimeRange(t *testing.T) {
	for _, r := range []string{"04/01/2026 00:00~04/30/2026 23:59", "4/01/2026 00:00~4/30/2026 23:59", "4/1/2026 0:00~4/30/2026 23:59"} {
		q, err := Parse(Parameters{Select: "sum(message_count)", TimeRange: r})
		if err != nil {
			t.Errorf("%s: %v", r, err)
			continue
		}
		if q.From != time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC) || q.To != time.Date(2026, 4, 30, 23, 59, 0, 0, time.UTC) {
			t.Errorf("%s: %v to %v", r, q.From, q.To)
		}
	}
}

func TestRefused(t *testing.T) {
	l := newLab(t)
	base := Parameters{Select: "sum(message_count)"}
	for _, c := range []struct {
		change func(*Parameters)
		want   string
	}{
		{func(p *Parameters) { p.Select = "" }, "select is missing"},
		{func(p *Parameters) { p.Select = "percentile(total_response_time)" }, `Invalid function "percentile"`},
		{func(p *Parameters) { p.Select = "sum(total response)" }, ""},
		{func(p *Parameters) { p.Select = "sum(apiproxy)" }, `Invalid metric "apiproxy"`},
		{func(p *Parameters) { p.Select = "sum(a;b)" }, `Invalid metric "a;b"`},
		{func(p *Parameters) { p.Select = "sum(message_count)/x" }, "want a number behind /"},
		{func(p *Parameters) { p.Dimensions = "total_response_time" }, `Invalid dimension "total_response_time"`},
		{func(p *Parameters) { p.Dimensions = "a b" }, `Invalid dimension "a b"`},
		{func(p *Parameters) { p.TimeRange = "yesterday" }, "timeRange is"},
		{func(p *Parameters) { p.TimeRange = "x~04/01/2026 00:00" }, "timeRange begins with"},
		{func(p *Parameters) { p.TimeRange = "04/01/2026 00:00~13/01/2026 00:00" }, "timeRange ends with"},
		{func(p *Parameters) { p.TimeRange = "04/02/2026 00:00~04/01/2026 00:00" }, "ends before it begins"},
		{func(p *Parameters) { p.TimeUnit = "fortnight" }, "timeUnit is"},
		{func(p *Parameters) { p.TZO = "CET" }, "tzo is"},
		{func(p *Parameters) { p.Limit = "-1" }, "limit is"},
		{func(p *Parameters) { p.Sort = "up" }, "sort is"},
		{func(p *Parameters) { p.SortBy = "sum(is_error)" }, "is not selected"},
		{func(p *Parameters) { p.Filter = "apiproxy eq" }, "ends too early"},
		{func(p *Parameters) { p.Filter = "apiproxy eq 'x" }, "a quote is not closed"},
		{func(p *Parameters) { p.Filter = "(apiproxy eq 'x'" }, "ends too early"},
		{func(p *Parameters) { p.Filter = "apiproxy eq 'x')" }, `unexpected ")"`},
		{func(p *Parameters) { p.Filter = "apiproxy is 'x'" }, `unexpected "x"`},
		{func(p *Parameters) { p.Filter = "apiproxy similar to '('" }, "is invalid"},
		{func(p *Parameters) { p.Filter = strings.Repeat("(", 30) }, "parentheses"},
	} {
		if c.want == "" {
			continue
		}
		p := base
		c.change(&p)
		if got := l.ask(p); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s, want %s", p, got, c.want)
		}
	}
}

// TestWrites costs a write a second, whatever the traffic, and loses nothing
// that was recorded before Close.
func TestWrites(t *testing.T) {
	l := newLab(t)
	for range 100 {
		l.call("pets", 200)
		l.now = l.now.Add(50 * time.Millisecond)
	}
	if n := l.store.Counts().Writes; n != 5 {
		t.Errorf("%d writes for five seconds of calls", n)
	}
	l.rec.Close(t.Context())
	if got := l.ask(Parameters{Select: "sum(message_count)"}); !strings.Contains(got, `"100.0"`) {
		t.Error(got)
	}
	if n := len(l.rec.windows); n != 1 {
		t.Errorf("%d windows are held", n)
	}
	l.now = l.now.Add(time.Minute)
	l.call("pets", 200)
	if n := len(l.rec.windows); n != 1 {
		t.Errorf("%d windows are held after the minute", n)
	}
}

// TestConcurrent loses no call to another that writes.
func TestConcurrent(t *testing.T) {
	l := newLab(t, func(o *Options) { o.Interval = 0 })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				l.call("pets", 200)
			}
		})
	}
	wg.Wait()
	if got := l.ask(Parameters{Select: "sum(message_count)"}); !strings.Contains(got, `"400.0"`) {
		t.Error(got)
	}
}

// TestInstances adds up what several processes wrote.
func TestInstances(t *testing.T) {
	l := newLab(t)
	l.call("pets", 200)
	opts := l.rec.opts
	opts.Instance = "i2"
	l.rec = New(opts)
	l.call("pets", 200)
	if got := l.ask(Parameters{Select: "sum(message_count)"}); !strings.Contains(got, `"2.0"`) {
		t.Error(got)
	}
}

// TestExpiry forgets what is over its time.
func TestExpiry(t *testing.T) {
	l := newLab(t)
	l.call("pets", 200)
	l.now = l.now.Add(24 * time.Hour)
	if got := l.ask(Parameters{Select: "sum(message_count)"}); !strings.Contains(got, `"0.0"`) {
		t.Error(got)
	}
}

// TestStoreDown keeps sums until they can be written, and gives them up at last.
func TestStoreDown(t *testing.T) {
	driver, err := embedded.Memory()
	if err != nil {
		t.Fatal(err)
	}
	down := &failing{Driver: driver, err: errors.New("no disk")}
	l := newLab(t)
	l.rec.opts.Store = store.New(down, store.WithClock(func() time.Time { return l.now }))
	l.call("pets", 200)
	l.now = l.now.Add(2 * time.Minute)
	l.call("pets", 200)
	if text := l.log.String(); !strings.Contains(text, "analytics not written yet") || strings.Contains(text, "analytics lost") {
		t.Errorf("log: %s", text)
	}
	l.now = l.now.Add(9 * time.Minute)
	l.call("pets", 200)
	if text := l.log.String(); !strings.Contains(text, "analytics lost") || !strings.Contains(text, "calls=1") {
		t.Errorf("log: %s", text)
	}
	down.err = nil
	l.now = l.now.Add(time.Second)
	l.call("pets", 200)
	l.store = l.rec.opts.Store
	if got := l.ask(Parameters{Select: "sum(message_count)"}); !strings.Contains(got, `"3.0"`) {
		t.Error(got)
	}
}

type failing struct {
	store.Driver
	err error
}

func (f *failing) UseClock(now func() time.Time) { f.Driver.(store.ClockUser).UseClock(now) }

func (f *failing) Update(ctx context.Context, fn func(store.Tx) error) error {
	if f.err != nil {
		return f.err
	}
	return f.Driver.Update(ctx, fn)
}

// TestCardinality bounds rows and still counts every call.
func TestCardinality(t *testing.T) {
	l := newLab(t)
	for i := range 3 * maxRows {
		l.call("pets", 200, func(fc *flow.Context) {
			fc.PathSuffix = fmt.Sprint("/", i)
			l.rec.Record(fc, "dc_id", fmt.Sprint(i))
		})
	}
	l.rec.Close(t.Context())
	if got := l.ask(Parameters{Select: "sum(message_count)", Filter: "apiproxy eq 'pets'"}); !strings.Contains(got, fmt.Sprintf(`"%d.0"`, 3*maxRows)) {
		t.Error(got)
	}
	if got := l.ask(Parameters{Dimensions: "proxy_pathsuffix", Select: "sum(message_count)", SortBy: "sum(message_count)", TopK: "1"}); !strings.Contains(got, `"name":"(not set)"`) {
		t.Error(got)
	}
}

// TestLargeRows spreads rows over documents.
func TestLargeRows(t *testing.T) {
	l := newLab(t)
	for i := range 60 {
		l.call("pets", 200, func(fc *flow.Context) {
			for j := range 100 {
				l.rec.Record(fc, fmt.Sprintf("dc_%d", j), strings.Repeat(string(rune('a'+(i+j)%26)), 390)+fmt.Sprint(i, j))
			}
		})
	}
	l.rec.Close(t.Context())
	docs, err := store.Collect(l.store.Query(t.Context(), store.Query{Collection: "analytics"}))
	if err != nil || len(docs) < 2 {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	if got := l.ask(Parameters{Select: "sum(message_count)"}); !strings.Contains(got, `"60.0"`) {
		t.Error(got)
	}
	if docs[0].ExpireAt.IsZero() || docs[0].Fields["environment"] != "test" {
		t.Errorf("document %+v", docs[0].Key)
	}
}

func TestHost(t *testing.T) {
	l := newLab(t)
	l.call("pets", 200)
	l.call("pets", 200, func(fc *flow.Context) { fc.Virtual = "other.example.com" })
	q, err := Parse(Parameters{Select: "sum(message_count)", TimeRange: "04/01/2026 00:00~04/02/2026 00:00"})
	if err != nil {
		t.Fatal(err)
	}
	l.rec.Close(t.Context())
	answer, err := NewStats(l.store).Host(t.Context(), "org", []string{"test", "prod"}, "API.example.com", q)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(answer)
	if want := `{"hosts":[{"metrics":[{"name":"sum(message_count)","values":["1.0"]}],"name":"API.example.com"}],"metaData":{"errors":[],"notices":["Source: perigee"]}}`; string(b) != want {
		t.Errorf("got %s", b)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("apiproxy", "sum(message_count)/3,tps", "(apiproxy in 'a','b') and not", "04/01/2026 00:00~04/02/2026 00:00")
	f.Add("a,b", "avg(dc_x)", "a like '%x_' or b is not null", "")
	f.Fuzz(func(t *testing.T, dims, sel, filter, r string) {
		q, err := Parse(Parameters{Dimensions: dims, Select: sel, Filter: filter, TimeRange: r})
		if err != nil {
			if entity.CodeOf(err) != entity.InvalidArgument {
				t.Errorf("%v is not the caller's error", err)
			}
			return
		}
		if q.Filter != nil {
			q.Filter(func(string) string { return "x" })
		}
	})
}

func BenchmarkCall(b *testing.B) {
	l := newLab(b, func(o *Options) { o.Interval = time.Hour })
	fc := flow.New(&flow.Proxy{Environment: "test", Name: "pets", Revision: "3", BasePath: "/v1"}, time.Now)
	fc.Request.Verb, fc.PathSuffix = "GET", "/pets"
	m := message.NewResponse()
	b.ReportAllocs()
	for b.Loop() {
		l.rec.Call(fc, m)
	}
}

func BenchmarkWrite(b *testing.B) {
	l := newLab(b, func(o *Options) { o.Interval = time.Hour })
	for i := range 1000 {
		l.call(fmt.Sprint("p", i), 200)
	}
	b.ReportAllocs()
	for b.Loop() {
		l.call("p1", 200)
		l.rec.Close(b.Context())
	}
}
