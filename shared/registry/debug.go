package registry

import (
	"strings"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// Bounds of debug sessions. Those of Count and Tracesize are Apigee's.
const (
	// debugLife is how long a session and its transactions can be read.
	debugLife = 24 * time.Hour
	// debugTimeout is how many seconds a session lasts that does not say.
	debugTimeout = 600
	// maxDebugTimeout is how many seconds any may last.
	maxDebugTimeout = 3600
	// maxDebugSessions is how many may run in an environment at a time.
	maxDebugSessions = 50
)

// debugSessions are in the environment's Config as long as they run, so that
// data planes learn of them with the version stamp.
func (r *Registry) debugSessions() {
	r.DebugSessions = NewKind(r, Spec[apigee.GoogleCloudApigeeV1DebugSession]{
		Noun: "debug session", Collection: "debugSessions", Environment: true, Life: debugLife,
		Fields: func(id []string, _ *apigee.GoogleCloudApigeeV1DebugSession) map[string]string {
			return map[string]string{"org": id[0], "environment": id[1], "api": id[2], "revision": id[3]}
		},
		Prepare: func(id []string, old, v *apigee.GoogleCloudApigeeV1DebugSession, now int64) error {
			v.Name = id[4]
			if old == nil {
				v.CreateTime = time.UnixMilli(now).UTC().Format(time.RFC3339Nano)
			}
			return checkDebugSession(v)
		},
		Commit: func(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1DebugSession) error {
			c, err := tx.EditConfig(id[1])
			if err != nil {
				return err
			}
			now := entity.Millis(tx.Now)
			for name, s := range c.DebugSessions {
				if s.Ends <= now {
					delete(c.DebugSessions, name)
				}
			}
			if v == nil {
				delete(c.DebugSessions, id[4])
				return nil
			}
			if len(c.DebugSessions) >= maxDebugSessions {
				return entity.Errorf(entity.ResourceExhausted, "environment %q has %d debug sessions, more are not allowed", id[1], maxDebugSessions)
			}
			put(&c.DebugSessions, id[4], entity.DebugSession{
				API: id[2], Revision: id[3], Filter: v.Filter, Count: v.Count, Tracesize: v.Tracesize, Ends: now + v.Timeout*1000,
			})
			return nil
		},
	})
	r.Transactions = NewKind(r, Spec[apigee.GoogleCloudApigeeV1DebugSessionTransaction]{
		Noun: "transaction", Collection: "debugTransactions", Life: debugLife,
		Fields: func(id []string, _ *apigee.GoogleCloudApigeeV1DebugSessionTransaction) map[string]string {
			return map[string]string{"session": strings.Join(id[:5], "/")}
		},
	})
}

func checkDebugSession(v *apigee.GoogleCloudApigeeV1DebugSession) error {
	for _, f := range []struct {
		name                  string
		value                 *int64
		least, most, standard int64
	}{
		{"count", &v.Count, 1, 15, 10},
		{"tracesize", &v.Tracesize, 0, 5120, 5120},
		{"validity", &v.Validity, 1, 15, 10},
		{"timeout", &v.Timeout, 1, maxDebugTimeout, debugTimeout},
	} {
		if *f.value == 0 {
			*f.value = f.standard
		}
		if *f.value < f.least || *f.value > f.most {
			return entity.Errorf(entity.InvalidArgument, "%s of a debug session is %d, want %d to %d", f.name, *f.value, f.least, f.most)
		}
	}
	return nil
}
