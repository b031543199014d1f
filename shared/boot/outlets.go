package boot

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/cloudlogging"
	"github.com/perigee-gateway/perigee/shared/googletoken"
	"github.com/perigee-gateway/perigee/shared/logfile"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/pubsub"
	"github.com/perigee-gateway/perigee/shared/syslog"
	"github.com/perigee-gateway/perigee/shared/target"
)

// outlets are where policies send messages that are no calls: logs and topics.
// All environments of a process share them. Nothing is opened before it is used.
type outlets struct {
	logs  *cloudlogging.Writer
	topic *pubsub.Publisher
	files *logfile.Dir // nil: this host has no directory for them
}

func newOutlets(c Config, tokens *googletoken.Source, log *slog.Logger) outlets {
	o := outlets{
		logs:  cloudlogging.New(cloudlogging.Options{Tokens: tokens, Log: log, Local: c.Local, Endpoint: c.LoggingEndpoint}),
		topic: pubsub.New(pubsub.Options{Tokens: tokens, Emulator: c.PubSubEmulator}),
	}
	if c.LogDir != "" {
		o.files = logfile.New(c.LogDir, time.Now)
	}
	return o
}

// offer puts the outlets into an environment's services. Syslog servers are
// reached with its keystores.
func (o *outlets) offer(s *policy.Services, pool *target.Pool, log *slog.Logger) {
	s.Logs, s.Publisher, s.Syslog = o.logs, o.topic, syslogOver(pool, log)
	if o.files != nil {
		s.LogFiles = o.files
	}
}

func syslogOver(pool *target.Pool, log *slog.Logger) *syslog.Network {
	return syslog.New(syslog.Options{
		Log:  log,
		Link: func(s *bundle.SSLInfo, env *policy.Env) syslog.Link { return pool.Link(s, env, false) },
	})
}

func (o *outlets) close() error {
	err := errors.Join(o.logs.Close(context.Background()), o.topic.Close())
	if o.files != nil {
		err = errors.Join(err, o.files.Close())
	}
	return err
}
