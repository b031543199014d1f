package target

import (
	"context"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
)

// direct sends to the URL of the connection, or the one assigned to it.
func (x *exchange) direct(ctx context.Context) error {
	addr, err := x.address()
	if err != nil {
		return err
	}
	ssl, err := x.ssl(addr.scheme)
	if err != nil {
		return err
	}
	return x.attempt(ctx, &addr, ssl, false)
}

// ssl is the TLS configuration for a URL: its scheme alone decides whether TLS
// is used, and <SSLInfo> counts only where it is enabled.
func (x *exchange) ssl(scheme string) (*sslInfo, error) {
	if scheme == "http" || x.c.ssl == x.c.pool.plain {
		return x.c.pool.plain, nil
	}
	on, err := x.c.ssl.on(x.fc)
	if err != nil {
		return nil, unresolved(err)
	}
	if !on {
		return x.c.pool.plain, nil
	}
	return x.c.ssl, nil
}

// address evaluates where the request goes: what a policy assigned to
// target.url, verbatim; else the connection's URL and the path suffix.
func (x *exchange) address() (address, error) {
	a, verbatim, err := x.configured()
	if err != nil {
		return address{}, err
	}
	if !verbatim && x.suffix != "" && x.copies("target.copy.pathsuffix") {
		a.path = joinPath(a.path, x.suffix)
	}
	return a, x.complete(&a)
}

func (x *exchange) configured() (a address, verbatim bool, err error) {
	if assigned := x.assigned(); assigned != "" {
		a, err := parseAddress(assigned)
		if err != nil {
			return address{}, false, badPath(err)
		}
		return a, true, nil
	}
	if x.c.fixed != nil {
		return *x.c.fixed, false, nil
	}
	s, err := x.c.url.value(x.fc)
	if err != nil {
		return address{}, false, unresolved(err)
	}
	if a, err = parseAddress(s); err != nil {
		return address{}, false, badPath(err)
	}
	x.target.BasePath = a.path
	return a, false, nil
}

// assigned is the URL that a policy chose, "" for none.
func (x *exchange) assigned() string {
	if x.url != "" || x.callout || x.fc == nil {
		return x.url
	}
	for _, name := range [...]string{"target.url", "target.evaluated.url"} {
		if v := x.fc.Override(name); !v.IsNull() {
			if s := strings.TrimSpace(v.String()); s != "" {
				return s
			}
		}
	}
	return ""
}

// copies reads target.copy.pathsuffix and target.copy.queryparams: booleans,
// or the text "false".
func (x *exchange) copies(variable string) bool {
	if x.callout || x.fc == nil {
		return true
	}
	v := x.fc.Override(variable)
	return v.IsNull() || v.Truth() || !isFalse(v)
}

func isFalse(v flow.Value) bool {
	b, ok := bundle.ParseBool(v.String())
	return ok && !b
}

// complete adds the call's query to the address and makes it fit to send.
func (x *exchange) complete(a *address) error {
	if err := checkPath(a.path); err != nil {
		return badPath(err)
	}
	if a.path == "" {
		a.path = "/"
	} else if a.path[0] != '/' {
		a.path = "/" + a.path
	}
	a.path = encodeUnsafe(a.path)
	if x.copies("target.copy.queryparams") {
		a.query = joinQuery(a.query, x.query())
	}
	a.query = encodeUnsafe(a.query)
	return nil
}

// query returns the parameters of the request that are passed on.
func (x *exchange) query() string {
	keep := x.c.set.query
	if keep == nil {
		return x.req.Query.Encode()
	}
	q := x.req.Query.Clone()
	for _, name := range q.Names() {
		if !keep.keeps(name) {
			q.Del(name)
		}
	}
	return q.Encode()
}

func (x *exchange) expectedName() string {
	if x.fc == nil || x.expectedCN == "" {
		return ""
	}
	return x.fc.Override(x.expectedCN).String()
}

// identity says which connections serve the request.
func (x *exchange) identity(addr *address, http2 bool) identity {
	id := x.c.base
	id.http2 = http2
	if x.c.pool.proxy != nil && x.c.set.useProxy {
		id.proxy = tunnelled
		if addr.scheme == "http" && !x.c.set.tunnel {
			id.proxy = forwarded
		}
	}
	return id
}

// host is the Host header: the target's, unless target.header.host or a
// forward proxy says otherwise.
func (x *exchange) host(addr *address) string {
	if x.fc != nil && !x.callout {
		if v := x.fc.Override("target.header.host"); !v.IsNull() {
			if s := strings.TrimSpace(v.String()); s != "" {
				return s
			}
		}
	}
	if x.c.pool.proxy != nil && x.c.set.useProxy && !x.c.set.targetHost && !x.c.set.tunnel && addr.scheme == "http" {
		return x.c.pool.proxy.addr
	}
	return addr.host
}
