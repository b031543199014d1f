package management

import (
	"strconv"

	"github.com/google/uuid"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// site is a portal: that there are documents under its name.
type site struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// apiDoc is an API document of a portal and its documentation.
type apiDoc struct {
	Doc           *apigee.GoogleCloudApigeeV1ApiDoc              `json:"doc"`
	Documentation *apigee.GoogleCloudApigeeV1ApiDocDocumentation `json:"documentation,omitempty"`
}

// storedKinds are the resources the API keeps for its clients and perigee does
// nothing with.
type storedKinds struct {
	reports    *registry.Kind[apigee.GoogleCloudApigeeV1CustomReport] // org, "reports", name
	sites      *registry.Kind[site]                                   // org, site
	apidocs    *registry.Kind[apiDoc]                                 // org, site, id
	categories *registry.Kind[apigee.GoogleCloudApigeeV1ApiCategory]  // org, "apicategories", site, id
	overrides  *registry.Kind[traceOverride]                          // org, "traceOverrides", environment, id
	spaces     *registry.Kind[space]                                  // org, "spaces", name
}

type traceOverride = apigee.GoogleCloudApigeeV1TraceConfigOverride

func newStoredKinds(r *registry.Registry) storedKinds {
	return storedKinds{
		reports:    storedKind[apigee.GoogleCloudApigeeV1CustomReport](r, "report"),
		categories: storedKind[apigee.GoogleCloudApigeeV1ApiCategory](r, "API category"),
		overrides:  storedKind[traceOverride](r, "trace configuration override"),
		spaces:     storedKind[space](r, "space"),
		sites: registry.NewKind(r, registry.Spec[site]{
			Noun: "site", Collection: "consoleSites",
			Fields: func(id []string, _ *site) map[string]string { return map[string]string{"org": id[0]} },
		}),
		apidocs: registry.NewKind(r, registry.Spec[apiDoc]{
			Noun: "API document", Collection: "apidocs",
			Fields: func(id []string, _ *apiDoc) map[string]string { return map[string]string{"org": id[0], "site": id[1]} },
		}),
	}
}

// storedKind keeps documents with the id org, kind, ... in one collection.
func storedKind[T any](r *registry.Registry, noun string) *registry.Kind[T] {
	return registry.NewKind(r, registry.Spec[T]{
		Noun: noun, Collection: "storedResources",
		Fields: func(id []string, _ *T) map[string]string { return map[string]string{"org": id[0], "kind": id[1]} },
	})
}

type report = apigee.GoogleCloudApigeeV1CustomReport

const reportKind = "reports"

// listReports gives names only without expand=true.
func listReports(c *call) (any, error) {
	expand, err := c.flag("expand")
	if err != nil {
		return nil, err
	}
	all, err := c.stored.reports.All(c.ctx(), c.param("org"), reportKind)
	list := &apigee.GoogleCloudApigeeV1ListCustomReportsResponse{Qualifier: all}
	if !expand {
		for i, r := range all {
			all[i] = &report{Name: r.Name}
		}
	}
	return list, err
}

func createReport(c *call) (any, error) {
	r := new(report)
	if err := c.decode(r); err != nil {
		return nil, err
	}
	if r.DisplayName == "" && r.Name == "" {
		return nil, invalid("displayName of the report is missing")
	}
	now := entity.Millis(c.Now())
	r.Name, r.Organization, r.CreatedAt, r.LastModifiedAt = uuid.NewString(), c.param("org"), now, now
	c.made = r.Name
	return r, c.stored.reports.Create(c.ctx(), r, c.param("org"), reportKind, r.Name)
}

func getReport(c *call) (any, error) {
	return c.stored.reports.Get(c.ctx(), c.param("org"), reportKind, c.param("report"))
}

func updateReport(c *call) (any, error) {
	r := new(report)
	if err := c.decode(r); err != nil {
		return nil, err
	}
	if err := sameName("report", r.Name, c.param("report")); err != nil {
		return nil, err
	}
	return c.stored.reports.Update(c.ctx(), func(old *report) error {
		next := *r
		next.Name, next.Organization, next.CreatedAt, next.LastModifiedAt = old.Name, old.Organization, old.CreatedAt, entity.Millis(c.Now())
		*old = next
		return nil
	}, c.param("org"), reportKind, c.param("report"))
}

func deleteReport(c *call) (any, error) {
	r, err := c.stored.reports.Delete(c.ctx(), c.param("org"), reportKind, c.param("report"))
	if err != nil {
		return nil, err
	}
	return &apigee.GoogleCloudApigeeV1DeleteCustomReportResponse{Message: "Report " + r.Name + " deleted"}, nil
}

const overrideKind = "traceOverrides"

func (c *call) overrideID() []string {
	return []string{c.param("org"), overrideKind, c.param("env"), c.param("override")}
}

func listTraceOverrides(c *call) (any, error) {
	list, next, err := pageOf(c, c.stored.overrides, 25, 1000, c.param("org"), overrideKind, c.param("env"))
	return listed("traceConfigOverrides", list, next), err
}

func createTraceOverride(c *call) (any, error) {
	o := new(traceOverride)
	if err := c.decode(o); err != nil {
		return nil, err
	}
	if o.ApiProxy == "" {
		return nil, invalid("apiProxy of the trace configuration override is missing")
	}
	o.Name = uuid.NewString()
	c.made = o.Name
	return o, c.stored.overrides.Create(c.ctx(), o, c.param("org"), overrideKind, c.param("env"), o.Name)
}

func getTraceOverride(c *call) (any, error) {
	return c.stored.overrides.Get(c.ctx(), c.overrideID()...)
}

func patchTraceOverride(c *call) (any, error) {
	p, err := c.patch(new(traceOverride), "name")
	if err != nil {
		return nil, err
	}
	return c.stored.overrides.Update(c.ctx(), func(o *traceOverride) error { return p.apply(o) }, c.overrideID()...)
}

func deleteTraceOverride(c *call) (any, error) {
	_, err := c.stored.overrides.Delete(c.ctx(), c.overrideID()...)
	return nil, err
}

// number is a new id of an API document: they are numbers.
func number() int64 {
	id := uuid.New()
	n := int64(0)
	for _, b := range id[:6] {
		n = n<<8 | int64(b)
	}
	return n + 1
}

func numeral(n int64) string { return strconv.FormatInt(n, 10) }
