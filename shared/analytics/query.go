package analytics

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// Query is a question about the calls of an environment.
type Query struct {
	// Dimensions group the answer; none is one group.
	Dimensions []string
	// Select are the metrics wanted, "sum(message_count)".
	Select []Selection
	// From and To bound the time, in minutes.
	From, To time.Time
	// Unit splits the answer by time; "" does not.
	Unit string
	// Offset is that of the days, weeks and months from UTC, in minutes.
	Offset int
	// Filter selects calls; nil is all.
	Filter Filter
	// SortBy is the metric to sort groups by, and Ascending how; "" sorts by name.
	SortBy    string
	Ascending bool
	// TopK, Limit and Skip bound the groups; 0 is no bound.
	TopK, Limit, Skip int
	// TimeAscending puts the oldest value first.
	TimeAscending bool
}

// Parameters are those of the stats resource, as they are given.
type Parameters struct {
	Dimensions, Select, TimeRange, TimeUnit, Filter   string
	SortBy, Sort, TopK, Limit, Offset, TZO, Ascending string
}

// maxGroups is how many groups an answer has where no limit is given.
//
// Source: https://cloud.google.com/apigee/docs/reference/apis/apigee/rest/v1/organizations.environments.stats
const maxGroups = 14400

// Parse reads the parameters of the stats resource. Errors are *entity.Error of
// code InvalidArgument.
func Parse(p Parameters) (*Query, error) {
	q := &Query{Unit: strings.ToLower(p.TimeUnit), SortBy: strings.ReplaceAll(p.SortBy, " ", "")}
	for name := range strings.SplitSeq(p.Dimensions, ",") {
		if name = strings.TrimSpace(name); name != "" {
			q.Dimensions = append(q.Dimensions, name)
		}
	}
	for _, d := range q.Dimensions {
		if !isDimension(d) {
			return nil, invalid("Invalid dimension %q", d)
		}
	}
	if err := q.parseTime(p); err != nil {
		return nil, err
	}
	var err error
	if q.Select, err = parseSelect(p.Select); err != nil {
		return nil, err
	}
	if q.Filter, err = parseFilter(p.Filter); err != nil {
		return nil, err
	}
	return q, q.parseOrder(p)
}

func invalid(format string, args ...any) error {
	return entity.Errorf(entity.InvalidArgument, format, args...)
}

// timeLayout is how times of a range are written, in UTC; with or without leading
// zeros in month and day, which apigeecli leaves out.
const timeLayout = "1/2/2006 15:04"

func (q *Query) parseTime(p Parameters) error {
	from, to, ok := strings.Cut(p.TimeRange, "~")
	if !ok {
		return invalid("timeRange is %q, want MM/DD/YYYY HH:MM~MM/DD/YYYY HH:MM", p.TimeRange)
	}
	var err error
	if q.From, err = time.Parse(timeLayout, strings.TrimSpace(from)); err != nil {
		return invalid("timeRange begins with %q, want MM/DD/YYYY HH:MM", from)
	}
	if q.To, err = time.Parse(timeLayout, strings.TrimSpace(to)); err != nil {
		return invalid("timeRange ends with %q, want MM/DD/YYYY HH:MM", to)
	}
	if q.To.Before(q.From) {
		return invalid("timeRange ends before it begins")
	}
	switch q.Unit {
	case "", "second", "minute", "hour", "day", "week", "month":
	default:
		return invalid("timeUnit is %q, want minute, hour, day, week or month", p.TimeUnit)
	}
	if p.TZO == "" {
		return nil
	}
	if q.Offset, err = strconv.Atoi(p.TZO); err != nil || q.Offset < -24*60 || q.Offset > 24*60 {
		return invalid("tzo is %q, want minutes from UTC", p.TZO)
	}
	return nil
}

func (q *Query) parseOrder(p Parameters) error {
	for _, n := range []struct {
		name, text string
		to         *int
		otherwise  int
	}{{"topk", p.TopK, &q.TopK, 0}, {"limit", p.Limit, &q.Limit, maxGroups}, {"offset", p.Offset, &q.Skip, 0}} {
		*n.to = n.otherwise
		if n.text == "" {
			continue
		}
		v, err := strconv.Atoi(n.text)
		if err != nil || v < 0 {
			return invalid("%s is %q, want a number", n.name, n.text)
		}
		*n.to = v
	}
	switch strings.ToUpper(p.Sort) {
	case "", "DESC":
	case "ASC":
		q.Ascending = true
	default:
		return invalid("sort is %q, want ASC or DESC", p.Sort)
	}
	q.TimeAscending = strings.EqualFold(p.Ascending, "true")
	if q.SortBy == "" {
		if q.TopK > 0 || p.Sort != "" {
			q.SortBy = q.Select[0].Name
		}
		return nil
	}
	for by := range strings.SplitSeq(q.SortBy, ",") {
		q.SortBy = by
		for _, s := range q.Select {
			if s.Name == by {
				return nil
			}
		}
		return invalid("sortby is %q, which is not selected", by)
	}
	return nil
}

// Selection is one metric of an answer: a function of a metric, and a number it
// is combined with.
type Selection struct {
	// Name is as it was asked for, without blanks.
	Name     string
	function string
	metric   string
	operator byte // 0: none
	operand  float64
}

func parseSelect(s string) ([]Selection, error) {
	var out []Selection
	for item := range strings.SplitSeq(s, ",") {
		name := strings.ReplaceAll(item, " ", "")
		if name == "" {
			continue
		}
		sel, err := parseSelection(name)
		if err != nil {
			return nil, err
		}
		out = append(out, sel)
	}
	if len(out) == 0 {
		return nil, invalid("select is missing: name metrics such as sum(message_count)")
	}
	return out, nil
}

func parseSelection(name string) (Selection, error) {
	sel := Selection{Name: name}
	rest := name
	if i := strings.LastIndexAny(name, "+*/%-"); i > 0 && i > strings.LastIndexByte(name, ')') {
		n, err := strconv.ParseFloat(name[i+1:], 64)
		if err != nil {
			return sel, invalid("Invalid metric %q: want a number behind %c", name, name[i])
		}
		sel.operator, sel.operand, rest = name[i], n, name[:i]
	}
	if rest == "tps" {
		sel.function, sel.metric = "tps", "message_count"
		return sel, nil
	}
	function, metric, ok := strings.Cut(strings.TrimSuffix(rest, ")"), "(")
	if !ok { // Edge: a metric alone is its sum
		function, metric = "sum", rest
	}
	switch sel.function, sel.metric = strings.ToLower(function), metric; sel.function {
	case "sum", "avg", "min", "max", "count":
	default:
		return sel, invalid("Invalid function %q in %q: want sum, avg, min, max or count", function, name)
	}
	if !isMetric(metric) {
		return sel, invalid("Invalid metric %q", metric)
	}
	return sel, nil
}

// isDimension reports whether a name can be a dimension: one of every call, one
// of time, or one that policies may collect.
func isDimension(name string) bool {
	if _, ok := dimensionNamed(name); ok {
		return true
	}
	_, ok := timeDimensions[name]
	return ok || name == "environment" || name == "organization" || isCollected(name)
}

func isMetric(name string) bool {
	_, ok := metricNames[name]
	return ok || name == "message_count" || isCollected(name)
}

// isCollected reports whether a name can be one that DataCapture or
// StatisticsCollector gave; which there are, only the rows know.
func isCollected(name string) bool {
	if name == "" || isKnown(name) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c != '_' && c != '-' && c != '.' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// isKnown reports whether a name means something of its own.
func isKnown(name string) bool {
	_, isDim := dimensionNamed(name)
	_, isTime := timeDimensions[name]
	_, isMet := metricNames[name]
	return isDim || isTime || isMet || name == "message_count" || name == "environment" || name == "organization"
}

func dimensionNamed(name string) (dimension, bool) {
	for d, n := range dimensionNames {
		if n == name {
			return dimension(d), true
		}
	}
	d, ok := aliases[name]
	return d, ok
}

// timeDimensions are dimensions of when a call was.
var timeDimensions = map[string]func(time.Time) int{
	"ax_hour_of_day":   func(t time.Time) int { return t.Hour() },
	"ax_day_of_week":   func(t time.Time) int { return int(t.Weekday()) + 1 },
	"ax_month_of_year": func(t time.Time) int { return int(t.Month()) },
	"ax_week_of_month": func(t time.Time) int { return (t.Day()-1)/7 + 1 },
}

// value is what a row has for a dimension.
func (q *Query) value(org, name string, k *key) string {
	if d, ok := dimensionNamed(name); ok {
		return k.dims[d]
	}
	if f := timeDimensions[name]; f != nil {
		return strconv.Itoa(f(q.local(k.minute)))
	}
	switch name {
	case "environment":
		return k.environment
	case "organization":
		return org
	}
	if v, ok := customValue(k.custom, name); ok {
		return v
	}
	return NotSet
}

// local is a minute's time in the query's zone, as if that were UTC.
func (q *Query) local(minute int64) time.Time {
	return time.Unix(minute*60, 0).UTC().Add(time.Duration(q.Offset) * time.Minute)
}

// start is the beginning of the unit that a minute is in, in milliseconds.
func (q *Query) start(minute int64) int64 {
	t := q.local(minute)
	y, m, d := t.Date()
	switch q.Unit {
	case "hour":
		t = t.Truncate(time.Hour)
	case "day":
		t = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	case "week": // from Monday
		t = time.Date(y, m, d-(int(t.Weekday())+6)%7, 0, 0, 0, 0, time.UTC)
	case "month":
		t = time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
	}
	return t.Add(-time.Duration(q.Offset) * time.Minute).UnixMilli()
}

// compute is the value of a selection over a row; seconds is the time that the
// row is for.
func (s *Selection) compute(r *row, seconds float64) float64 {
	v := s.of(r, seconds)
	switch s.operator {
	case '+':
		v += s.operand
	case '-':
		v -= s.operand
	case '*':
		v *= s.operand
	case '/':
		v = divide(v, s.operand)
	case '%':
		if s.operand != 0 {
			v -= s.operand * float64(int64(v/s.operand))
		}
	}
	return v
}

func divide(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (s *Selection) of(r *row, seconds float64) float64 {
	if s.function == "tps" {
		return divide(float64(r.calls), seconds)
	}
	m := sum{r.calls, float64(r.calls), 1, 1} // message_count
	if i, ok := metricNames[s.metric]; ok {
		m = r.metrics[i]
	} else if s.metric != "message_count" {
		m = r.custom[s.metric]
	}
	switch s.function {
	case "avg":
		return divide(m.sum, float64(m.n))
	case "min":
		return m.min
	case "max":
		return m.max
	case "count":
		return float64(m.n)
	}
	return m.sum
}

// formatNumber writes a number as Apigee does: "19.0".
func formatNumber(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// String is the selection as it was asked for.
func (s Selection) String() string { return s.Name }

var _ fmt.Stringer = Selection{}
