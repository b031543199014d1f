package analytics

import (
	"context"
	"slices"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

// maxScanned bounds the groups and times held for one query.
const maxScanned = 200000

// Stats answers queries.
type Stats struct{ store *store.Store }

// NewStats returns a Stats over what Recorders wrote.
func NewStats(s *store.Store) *Stats { return &Stats{s} }

// Environment is the answer to a query about an environment. Errors of the
// caller's are *entity.Error.
func (s *Stats) Environment(ctx context.Context, org, env string, q *Query) (*apigee.GoogleCloudApigeeV1Stats, error) {
	a := newAnswer(org, q)
	if err := a.scan(ctx, s.store, env); err != nil {
		return nil, err
	}
	out := &apigee.GoogleCloudApigeeV1StatsEnvironmentStats{Name: env}
	out.Dimensions, out.Metrics = a.result()
	return &apigee.GoogleCloudApigeeV1Stats{
		Environments: []*apigee.GoogleCloudApigeeV1StatsEnvironmentStats{out}, MetaData: a.metadata(),
	}, nil
}

// Host is the answer to a query about the host names of an organization, over
// its environments.
func (s *Stats) Host(ctx context.Context, org string, environments []string, host string, q *Query) (*apigee.GoogleCloudApigeeV1Stats, error) {
	a := newAnswer(org, q)
	a.host = host
	for _, env := range environments {
		if err := a.scan(ctx, s.store, env); err != nil {
			return nil, err
		}
	}
	out := &apigee.GoogleCloudApigeeV1StatsHostStats{Name: host}
	out.Dimensions, out.Metrics = a.result()
	return &apigee.GoogleCloudApigeeV1Stats{Hosts: []*apigee.GoogleCloudApigeeV1StatsHostStats{out}, MetaData: a.metadata()}, nil
}

// Optimized is the answer to a query about environments, in the form that has the
// times once and not with every value. host is "" for calls to any host name.
func (s *Stats) Optimized(ctx context.Context, org string, environments []string, host string, q *Query) (*apigee.GoogleCloudApigeeV1OptimizedStats, error) {
	a := newAnswer(org, q)
	a.host = host
	for _, env := range environments {
		if err := a.scan(ctx, s.store, env); err != nil {
			return nil, err
		}
	}
	groups, found := a.sorted(), len(a.groups)
	times := a.allTimes(groups)
	data := []any{}
	for _, g := range groups {
		data = append(data, a.optimized(g, times, strings.Join(environments, ",")))
	}
	return &apigee.GoogleCloudApigeeV1OptimizedStats{Response: &apigee.GoogleCloudApigeeV1OptimizedStatsResponse{
		TimeUnit: times, MetaData: a.metadata(), ResultTruncated: len(groups) < found,
		Stats: &apigee.GoogleCloudApigeeV1OptimizedStatsNode{Data: data, ForceSendFields: []string{"Data"}},
	}}, nil
}

// allTimes are the times that any group has values for, in the order of the query.
func (a *answer) allTimes(groups []*group) []int64 {
	var times []int64
	for _, g := range groups {
		for at := range g.times {
			times = append(times, at)
		}
	}
	slices.Sort(times)
	times = slices.Compact(times)
	if !a.q.TimeAscending {
		slices.Reverse(times)
	}
	return times
}

// optimizedGroup is a group in the optimized form.
type optimizedGroup struct {
	Identifier optimizedNames    `json:"identifier"`
	Metric     []optimizedMetric `json:"metric"`
}

type optimizedNames struct {
	Names  []string `json:"names"`
	Values []string `json:"values"`
}

type optimizedMetric struct {
	Env    string    `json:"env"`
	Name   string    `json:"name"`
	Values []float64 `json:"values"`
}

func (a *answer) optimized(g *group, times []int64, env string) optimizedGroup {
	out := optimizedGroup{Identifier: optimizedNames{Names: a.q.Dimensions, Values: g.names}}
	for i := range a.q.Select {
		s := &a.q.Select[i]
		m := optimizedMetric{Env: env, Name: s.Name}
		if a.q.Unit == "" {
			m.Values = []float64{s.compute(&g.total, a.q.seconds())}
		}
		for _, at := range times {
			v := 0.0
			if r := g.times[at]; r != nil {
				v = s.compute(r, a.q.unitSeconds(at))
			}
			m.Values = append(m.Values, v)
		}
		out.Metric = append(out.Metric, m)
	}
	return out
}

// answer is a query being answered.
type answer struct {
	org, host string
	q         *Query
	groups    map[string]*group
	cells     int
	notices   []string
}

// group is what is known of one combination of dimensions.
type group struct {
	names []string
	total row
	times map[int64]*row // by the start of the unit, in milliseconds
}

func newAnswer(org string, q *Query) *answer {
	a := &answer{org: org, q: q, groups: map[string]*group{}}
	if q.Unit == "second" {
		a.notices = append(a.notices, "timeUnit second is answered by minute")
	}
	return a
}

func (a *answer) scan(ctx context.Context, s *store.Store, env string) error {
	from, to := a.q.From.Unix()/60, a.q.To.Unix()/60
	if to == from {
		to++
	}
	var tooMany error
	err := scan(ctx, s, a.org, env, from, to, func(k *key, r *row) {
		if !a.wanted(k, r) {
			return
		}
		if a.cells > maxScanned {
			tooMany = entity.Errorf(entity.InvalidArgument, "the answer would have more than %d values: ask for less time or fewer dimensions", maxScanned)
			return
		}
		a.add(k, r)
	})
	if tooMany != nil {
		return tooMany
	}
	return err
}

func (a *answer) wanted(k *key, r *row) bool {
	if a.host != "" && !strings.EqualFold(k.dims[dimHost], a.host) {
		return false
	}
	return a.q.Filter == nil || a.q.Filter(func(name string) string {
		if m, ok := flags[name]; ok {
			return flagText(r.metrics[m].max > 0)
		}
		return a.q.value(a.org, name, k)
	})
}

func flagText(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func (a *answer) add(k *key, r *row) {
	names := make([]string, len(a.q.Dimensions))
	for i, d := range a.q.Dimensions {
		names[i] = a.q.value(a.org, d, k)
	}
	id := strings.Join(names, "\x00")
	g := a.groups[id]
	if g == nil {
		g = &group{names: names, times: map[int64]*row{}}
		a.groups[id] = g
		a.cells++
	}
	g.total.merge(r)
	if a.q.Unit == "" {
		return
	}
	at := a.q.start(k.minute)
	one := g.times[at]
	if one == nil {
		one = new(row)
		g.times[at] = one
		a.cells++
	}
	one.merge(r)
}

// result is the groups, or the metrics where nothing is grouped.
func (a *answer) result() ([]*apigee.GoogleCloudApigeeV1DimensionMetric, []*apigee.GoogleCloudApigeeV1Metric) {
	groups := a.sorted()
	if len(a.q.Dimensions) == 0 {
		g := &group{}
		if len(groups) > 0 {
			g = groups[0]
		}
		return nil, a.metrics(g)
	}
	out := []*apigee.GoogleCloudApigeeV1DimensionMetric{}
	for _, g := range groups {
		d := &apigee.GoogleCloudApigeeV1DimensionMetric{Name: strings.Join(g.names, ","), Metrics: a.metrics(g)}
		if len(g.names) > 1 {
			d.IndividualNames = g.names
		}
		out = append(out, d)
	}
	return out, nil
}

// sorted are the groups of the answer in their order.
func (a *answer) sorted() []*group {
	groups := make([]*group, 0, len(a.groups))
	for _, g := range a.groups {
		groups = append(groups, g)
	}
	by := slices.IndexFunc(a.q.Select, func(s Selection) bool { return s.Name == a.q.SortBy })
	seconds := a.q.seconds()
	slices.SortFunc(groups, func(x, y *group) int {
		if by >= 0 {
			s := &a.q.Select[by]
			u, v := s.compute(&x.total, seconds), s.compute(&y.total, seconds)
			switch {
			case u < v == a.q.Ascending && u != v:
				return -1
			case u != v:
				return 1
			}
		}
		return slices.Compare(x.names, y.names)
	})
	if a.q.TopK > 0 && len(groups) > a.q.TopK {
		groups = groups[:a.q.TopK]
	}
	groups = groups[min(a.q.Skip, len(groups)):]
	if a.q.Limit > 0 && len(groups) > a.q.Limit {
		groups = groups[:a.q.Limit]
	}
	return groups
}

// seconds is the length of the query's time.
func (q *Query) seconds() float64 { return max(q.To.Sub(q.From).Seconds(), 60) }

// value is one value of a metric in time.
type value struct {
	Timestamp int64  `json:"timestamp"`
	Value     string `json:"value"`
}

func (a *answer) metrics(g *group) []*apigee.GoogleCloudApigeeV1Metric {
	times := make([]int64, 0, len(g.times))
	for at := range g.times {
		times = append(times, at)
	}
	slices.Sort(times)
	if !a.q.TimeAscending {
		slices.Reverse(times)
	}
	out := make([]*apigee.GoogleCloudApigeeV1Metric, len(a.q.Select))
	for i := range a.q.Select {
		s := &a.q.Select[i]
		m := &apigee.GoogleCloudApigeeV1Metric{Name: s.Name}
		if a.q.Unit == "" {
			m.Values = append(m.Values, formatNumber(s.compute(&g.total, a.q.seconds())))
		}
		for _, at := range times {
			m.Values = append(m.Values, value{at, formatNumber(s.compute(g.times[at], a.q.unitSeconds(at)))})
		}
		out[i] = m
	}
	return out
}

// unitSeconds is the length of the unit that begins at a time.
func (q *Query) unitSeconds(at int64) float64 {
	switch q.Unit {
	case "hour":
		return 3600
	case "day":
		return 86400
	case "week":
		return 7 * 86400
	case "month":
		t := q.local(at / 60000)
		return t.AddDate(0, 1, 0).Sub(t).Seconds()
	}
	return 60
}

func (a *answer) metadata() *apigee.GoogleCloudApigeeV1Metadata {
	return &apigee.GoogleCloudApigeeV1Metadata{Errors: []string{}, Notices: append([]string{"Source: perigee"}, a.notices...), ForceSendFields: []string{"Errors"}}
}
