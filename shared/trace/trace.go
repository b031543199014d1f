// Package trace records calls for debug sessions: what ran, which variables were
// read and written, and the messages in between. A session is part of its
// environment's configuration, so that data planes learn of it with the version
// stamp; while there is none, a call costs the look at an empty map.
//
// What a debug mask names, private variables and credentials are not recorded,
// and neither is the value of one of them wherever else it turns up: masked
// values are replaced in all that was recorded of a call before it is stored.
//
// Payloads are recorded as far as they are in memory: recording never makes a
// stream a buffer.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/debug/trace
package trace

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/condition"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// storeTimeout bounds what a call waits for its record to be stored: 2 s.
const storeTimeout = 2 * time.Second

// Options are what a Tracer works with. Registry is required.
type Options struct {
	Registry *registry.Registry
	Log      *slog.Logger
}

// Tracer decides which calls are recorded.
type Tracer struct {
	opts Options
	envs sync.Map // environment -> *compiled
}

// New returns a Tracer.
func New(o Options) *Tracer {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Tracer{opts: o}
}

// compiled are the sessions and the mask of one configuration.
type compiled struct {
	of       *entity.Config
	mask     *mask
	sessions []*session
}

// session is a session as this process knows it.
type session struct {
	entity.DebugSession
	id       string
	filter   *condition.Condition
	recorded atomic.Int64 // by this process
	full     atomic.Bool  // everybody has recorded as many as wanted
}

// Observe returns what records the call, nil if no session wants it. A call is
// recorded for one session at a time.
func (t *Tracer) Observe(fc *flow.Context, config *entity.Config) flow.Observer {
	c := t.compiled(fc.Proxy.Environment, config)
	for _, s := range c.sessions {
		if s.wants(fc) {
			return newRecorder(t, s, c.mask, fc)
		}
	}
	return nil
}

func (t *Tracer) compiled(env string, config *entity.Config) *compiled {
	var old *compiled
	if v, ok := t.envs.Load(env); ok {
		if old = v.(*compiled); old.of == config {
			return old
		}
	}
	c := &compiled{of: config, mask: compileMask(config.DebugMask)}
	for id, s := range config.DebugSessions {
		c.sessions = append(c.sessions, old.session(id, s))
	}
	slices.SortFunc(c.sessions, func(a, b *session) int { return int(a.Ends - b.Ends) })
	t.envs.Store(env, c)
	return c
}

// session takes a session over from the configuration before.
func (c *compiled) session(id string, s entity.DebugSession) *session {
	if c != nil {
		for _, known := range c.sessions {
			if known.id == id {
				return known
			}
		}
	}
	out := &session{DebugSession: s, id: id}
	if s.Filter != "" {
		var err error
		if out.filter, err = condition.Compile(s.Filter); err != nil {
			out.full.Store(true) // was checked when it was created
		}
	}
	return out
}

func (s *session) wants(fc *flow.Context) bool {
	switch {
	case s.API != fc.Proxy.Name || s.Revision != fc.Proxy.Revision,
		s.full.Load() || s.Ends <= fc.Now().UnixMilli():
		return false
	case s.filter != nil && !s.filter.True(fc):
		return false
	}
	return s.recorded.Add(1) <= s.Count
}

// save stores a transaction under the first number that is free: of all
// processes together no more than the session's count are stored.
func (t *Tracer) save(ctx context.Context, fc *flow.Context, s *session, tx *apigee.GoogleCloudApigeeV1DebugSessionTransaction) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	p := fc.Proxy
	for n := int64(1); n <= s.Count; n++ {
		err := t.opts.Registry.Transactions.Create(ctx, tx, p.Organization, p.Environment, p.Name, p.Revision, s.id, strconv.FormatInt(n, 10))
		if err == nil {
			return
		}
		if !entity.IsAlreadyExists(err) {
			t.opts.Log.WarnContext(ctx, "debug session: a call is not recorded", "proxy", p.Name, "session", s.id, "error", err)
			return
		}
	}
	s.full.Store(true)
}
