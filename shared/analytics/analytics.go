// Package analytics counts the calls of API proxies and answers questions about
// them: what the stats resource of the Management API asks.
//
// Every finished call becomes a row: its dimensions (proxy, status, app ...) and
// metrics (latencies, sizes), and what DataCapture and StatisticsCollector
// collected. Rows of one minute with the same dimensions are added up in memory.
//
// A Recorder writes its sums to the store when a call ends and the last write is
// an interval ago (a second by default): one document for each environment and
// minute, replaced until the minute is over. No call waits for it, and nothing is
// left to a goroutine that a frozen instance would not run. An instance that is
// killed therefore loses the calls since its last write, at most those of one
// interval; one that is asked to end, or goes on to serve, loses none.
//
// Cardinality is bounded: beyond maxRows rows a minute the dimensions that take
// any value, and then all that policies collect, become "(not set)".
package analytics

import (
	"math"
	"strings"
)

// NotSet is the value of a dimension that a call has none for.
const NotSet = "(not set)"

// dimension is the place of a dimension in a row.
type dimension int

// The dimensions that every call has. Their order is that of stored rows: new
// ones go to the end.
const (
	dimProxy dimension = iota
	dimRevision
	dimBasePath
	dimPathSuffix
	dimVerb
	dimStatus
	dimTarget
	dimTargetHost
	dimTargetBasePath
	dimTargetStatus
	dimProduct
	dimApp
	dimDeveloper
	dimEmail
	dimFaultCode
	dimFaultPolicy
	dimHost
	dimensions
)

// dimensionNames are the names that queries use.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/analytics/analytics-reference
var dimensionNames = [dimensions]string{
	dimProxy: "apiproxy", dimRevision: "apiproxy_revision", dimBasePath: "proxy_basepath", dimPathSuffix: "proxy_pathsuffix",
	dimVerb: "request_verb", dimStatus: "response_status_code",
	dimTarget: "target", dimTargetHost: "target_host", dimTargetBasePath: "target_basepath", dimTargetStatus: "target_response_code",
	dimProduct: "api_product", dimApp: "developer_app", dimDeveloper: "developer", dimEmail: "developer_email",
	dimFaultCode: "ax_edge_execution_fault_code", dimFaultPolicy: "ax_execution_fault_policy_name", dimHost: "envgroup_hostname",
}

// aliases are other names of dimensions: Edge's resources, and short ones.
var aliases = map[string]dimension{
	"apis": dimProxy, "apiproducts": dimProduct, "apps": dimApp, "devs": dimDeveloper,
	"ax_fault_code": dimFaultCode, "fault_code": dimFaultCode, "flow_resource": dimPathSuffix, "responsecode": dimStatus,
}

// metric is the place of a metric in a row.
type metric int

// The metrics that every call has. Their order is that of stored rows.
const (
	metricTotal metric = iota
	metricTarget
	metricRequestLatency
	metricResponseLatency
	metricRequestSize
	metricResponseSize
	metricIsError
	metricPolicyError
	metricTargetError
	metricCacheHit
	metrics
)

var metricNames = map[string]metric{
	"total_response_time": metricTotal, "target_response_time": metricTarget,
	"request_processing_latency": metricRequestLatency, "response_processing_latency": metricResponseLatency,
	"request_size": metricRequestSize, "response_size": metricResponseSize,
	"is_error": metricIsError, "error_count": metricIsError, "policy_error": metricPolicyError, "target_error": metricTargetError,
	"cache_hit": metricCacheHit,
}

// sum adds up the values of a metric.
type sum struct {
	n             int64
	sum, min, max float64
}

func (s *sum) add(v float64) { s.merge(sum{1, v, v, v}) }

func (s *sum) merge(o sum) {
	switch {
	case o.n == 0:
	case s.n == 0:
		*s = o
	default:
		s.n, s.sum = s.n+o.n, s.sum+o.sum
		s.min, s.max = math.Min(s.min, o.min), math.Max(s.max, o.max)
	}
}

// key is what tells rows apart.
type key struct {
	environment string
	minute      int64 // Unix time / 60
	dims        [dimensions]string
	// custom are the dimensions that policies collected, as encodeCustom has
	// them.
	custom string
}

// row is what is known of all calls with one key.
type row struct {
	calls   int64
	metrics [metrics]sum
	custom  map[string]sum
}

func (r *row) merge(o *row) {
	r.calls += o.calls
	for i := range r.metrics {
		r.metrics[i].merge(o.metrics[i])
	}
	for name, s := range o.custom {
		if r.custom == nil {
			r.custom = make(map[string]sum, len(o.custom))
		}
		have := r.custom[name]
		have.merge(s)
		r.custom[name] = have
	}
}

// rows are rows by key.
type rows map[key]*row

// add merges r into the row of k.
func (rs rows) add(k key, r *row) {
	if have := rs[k]; have != nil {
		have.merge(r)
		return
	}
	rs[k] = r
}

// encodeCustom joins collected dimensions, sorted by name, into one text.
// Neither names nor values hold the bytes that separate them.
func encodeCustom(pairs []pair) string {
	if len(pairs) == 0 {
		return ""
	}
	var b strings.Builder
	for _, p := range pairs {
		b.WriteString(clean(p.name))
		b.WriteByte(0)
		b.WriteString(clean(p.value))
		b.WriteByte(1)
	}
	return b.String()
}

type pair struct{ name, value string }

func clean(s string) string {
	if !strings.ContainsAny(s, "\x00\x01") {
		return s
	}
	return strings.NewReplacer("\x00", "", "\x01", "").Replace(s)
}

// customValue is the value of a collected dimension in an encoded text.
func customValue(encoded, name string) (string, bool) {
	for encoded != "" {
		var item string
		item, encoded, _ = strings.Cut(encoded, "\x01")
		if n, v, _ := strings.Cut(item, "\x00"); n == name {
			return v, true
		}
	}
	return "", false
}
