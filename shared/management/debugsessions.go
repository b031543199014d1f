package management

import (
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/condition"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

type debugSession = apigee.GoogleCloudApigeeV1DebugSession

// createDebugSession starts a session for a revision that is deployed. Its name
// is made here; a timeout in the body counts before the query parameter.
func createDebugSession(c *call) (any, error) {
	s := new(debugSession)
	if err := c.decode(s, "name", "createTime"); err != nil {
		return nil, err
	}
	if s.Timeout == 0 {
		n, err := c.size(0, 0, "timeout")
		if err != nil {
			return nil, err
		}
		s.Timeout = int64(n)
	}
	if s.Filter != "" {
		if _, err := condition.Compile(s.Filter); err != nil {
			return nil, invalid("filter of a debug session: %v", err)
		}
	}
	d, err := c.Registry.Deployments.Get(c.ctx(), c.param("org"), c.param("env"), string(entity.API), c.param("api"))
	if err != nil && !entity.IsNotFound(err) {
		return nil, err
	}
	if err != nil || d.Revision != c.param("rev") {
		return nil, entity.Errorf(entity.FailedPrecondition, "revision %s of API proxy %q is not deployed in environment %q", c.param("rev"), c.param("api"), c.param("env"))
	}
	return s, c.Registry.DebugSessions.Create(c.ctx(), s, append(c.ids("org", "env", "api", "rev"), uuid.NewString())...)
}

func getDebugSession(c *call) (any, error) {
	return c.Registry.DebugSessions.Get(c.ctx(), c.ids("org", "env", "api", "rev", "session")...)
}

func listDebugSessions(c *call) (any, error) {
	p, err := c.page(25, 25)
	if err != nil {
		return nil, err
	}
	items, next, err := take(p, func(p registry.Page) iter.Seq2[registry.Item[debugSession], error] {
		return c.Registry.DebugSessions.List(c.ctx(), p, c.ids("org", "env", "api", "rev")...)
	}, func(i registry.Item[debugSession]) string { return i.Name })
	list := &apigee.GoogleCloudApigeeV1ListDebugSessionsResponse{NextPageToken: next}
	for _, i := range items {
		list.Sessions = append(list.Sessions, &apigee.GoogleCloudApigeeV1Session{Id: i.Name, TimestampMs: created(i.Value)})
	}
	return list, err
}

func created(s *debugSession) int64 {
	t, err := time.Parse(time.RFC3339, s.CreateTime)
	if err != nil {
		return 0
	}
	return t.UnixMilli()
}

// listAPIDebugSessions are those of all environments and revisions.
func listAPIDebugSessions(c *call) (any, error) {
	p, err := c.page(25, 25)
	if err != nil {
		return nil, err
	}
	items, next, err := take(p, func(p registry.Page) iter.Seq2[registry.Item[debugSession], error] {
		return c.Registry.DebugSessions.Where(c.ctx(), map[string]string{"org": c.param("org"), "api": c.param("api")}, p, c.param("org"))
	}, func(i registry.Item[debugSession]) string { return i.Name })
	list := &apigee.GoogleCloudApigeeV1ListApiDebugSessionsResponse{NextPageToken: next}
	for _, i := range items {
		id := strings.Split(i.Name, "/") // environment, api, revision, session
		if len(id) != 4 {
			continue
		}
		list.Sessions = append(list.Sessions, &apigee.GoogleCloudApigeeV1ApiDebugSession{
			ApiProxyRevisionId: id[2], CreateTime: i.Value.CreateTime, EnvironmentId: id[0], Id: id[3],
		})
	}
	return list, err
}

// listTransactions are the ids of what was recorded so far.
func listTransactions(c *call) (any, error) {
	if _, err := getDebugSession(c); err != nil {
		return nil, err
	}
	names, err := c.Registry.Transactions.Names(c.ctx(), registry.Page{}, c.ids("org", "env", "api", "rev", "session")...)
	if names == nil {
		names = []string{}
	}
	return names, err
}

func getTransaction(c *call) (any, error) {
	return c.Registry.Transactions.Get(c.ctx(), c.ids("org", "env", "api", "rev", "session", "tx")...)
}

// deleteTransactions removes what was recorded and ends the session: what is
// deleted must not be there again.
func deleteTransactions(c *call) (any, error) {
	id := c.ids("org", "env", "api", "rev", "session")
	if _, err := c.Registry.DebugSessions.Delete(c.ctx(), id...); err != nil {
		return nil, err
	}
	names, err := c.Registry.Transactions.Names(c.ctx(), registry.Page{}, id...)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := c.Registry.Transactions.Delete(c.ctx(), append(id, name)...); err != nil && !entity.IsNotFound(err) {
			return nil, err
		}
	}
	return struct{}{}, nil
}
