package management

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// call is one request.
type call struct {
	*server
	w      http.ResponseWriter
	r      *http.Request
	query  url.Values
	route  *route
	params map[string]string
	who    Principal
	stamp  *entity.Stamp // of the organization in the path
	made   string        // name of what the call creates in the path's collection
}

func (c *call) ctx() context.Context { return c.r.Context() }

// param is the value of a parameter of the route's pattern, "" if it has none.
func (c *call) param(name string) string { return c.params[name] }

// ids are the values of several parameters, as the id of a document.
func (c *call) ids(names ...string) []string {
	ids := make([]string, len(names))
	for i, n := range names {
		ids[i] = c.params[n]
	}
	return ids
}

// arg is a query parameter under the first of its names that is given: clients
// write pageSize and page_size.
func (c *call) arg(names ...string) string {
	for _, n := range names {
		if v := c.query.Get(n); v != "" {
			return v
		}
	}
	return ""
}

// flag is a query parameter that is true or false; false if it is not given.
func (c *call) flag(name string) (bool, error) {
	v := c.query.Get(name)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(strings.ToLower(v))
	if err != nil {
		return false, invalid("Invalid value at '%s' (TYPE_BOOL), %q", name, v)
	}
	return b, nil
}

// changes reports whether the call is one that changes something.
func (c *call) changes() bool { return c.route != nil && c.route.changes() }

func (r *route) changes() bool { return r.method != http.MethodGet && !r.reads }

// resource is what the call is about, for people: the path without the version.
// Consumer keys are credentials and cut short.
func (c *call) resource() string {
	path := c.route.pattern
	for _, name := range c.route.parameters() {
		v := c.params[name]
		if name == "consumerKey" && len(v) > 4 {
			v = v[:4] + "..."
		}
		path = strings.NewReplacer("{"+name+"...}", v, "{"+name+"}", v).Replace(path)
	}
	return path
}

// audit writes a line for each change and each attempt at one. The query is left
// out, as passwords come in it.
func (c *call) audit(err error) {
	if !c.changes() {
		return
	}
	attrs := []slog.Attr{
		slog.String("caller", c.who.Name), slog.String("permission", c.route.permission),
		slog.String("method", c.r.Method), slog.String("resource", c.resource()), slog.String("remote", c.r.RemoteAddr),
	}
	if c.made != "" {
		attrs = append(attrs, slog.String("name", c.made))
	}
	if err != nil {
		code := codeOf(err)
		c.Log.LogAttrs(c.ctx(), slog.LevelWarn, "change refused", append(attrs, slog.String("code", string(code)))...)
		return
	}
	c.Log.LogAttrs(c.ctx(), slog.LevelInfo, "changed", attrs...)
	c.keepAudit()
}

// keepAudit keeps the change in the organization's audit log.
func (c *call) keepAudit() {
	org := c.param("org")
	if org == "" {
		org = c.made // an organization
	}
	if org == "" {
		org = Everywhere
	}
	if c.Audit == nil {
		return
	}
	err := c.Audit(context.WithoutCancel(c.ctx()), org, &entity.AuditEntry{
		Actor: c.who.Name, Permission: "apigee." + c.route.permission, Method: c.r.Method,
		Resource: c.resource(), Name: c.made, Remote: c.r.RemoteAddr,
	})
	if err != nil {
		c.Log.LogAttrs(c.ctx(), slog.LevelError, "audit log cannot be written", slog.Any("error", err))
	}
}

// oneOf is a query parameter that must be one of the values, or absent.
func (c *call) oneOf(name string, values ...string) (string, error) {
	v := c.query.Get(name)
	if v != "" && !slices.Contains(values, v) {
		return "", invalid("%s is %q, want %s", name, v, strings.Join(values, ", "))
	}
	return v, nil
}
