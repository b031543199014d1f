package boot

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	"github.com/perigee-gateway/perigee/shared/gateway"
	"github.com/perigee-gateway/perigee/shared/startup"
)

// Plane is a handler that holds something open.
type Plane interface {
	http.Handler
	io.Closer
}

// Lazy returns a handler that is built from the environment on its first
// request. A build that fails answers 503 and is tried again with the next
// request.
func Lazy(build func(context.Context, Config) (http.Handler, error)) Plane {
	return &lazy{build: build}
}

// Close closes what the handler was built on, if it was.
func (l *lazy) Close() error {
	if h := l.handler.Load(); h != nil {
		if c, ok := (*h).(io.Closer); ok {
			return c.Close()
		}
	}
	return nil
}

type lazy struct {
	build   func(context.Context, Config) (http.Handler, error)
	handler atomic.Pointer[http.Handler]
	mu      sync.Mutex
}

func (l *lazy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, err := l.open(r.Context())
	if err != nil {
		startLog().Error("cannot start", "error", err)
		gateway.Unavailable(w, r)
		return
	}
	h.ServeHTTP(w, r)
	startup.Done()
}

func (l *lazy) open(ctx context.Context) (http.Handler, error) {
	if h := l.handler.Load(); h != nil {
		return *h, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.handler.Load(); h != nil {
		return *h, nil
	}
	c, err := FromEnv()
	if err != nil {
		return nil, err
	}
	h, err := l.build(context.WithoutCancel(ctx), c)
	if err != nil {
		return nil, err
	}
	l.handler.Store(&h)
	return h, nil
}

// startLog is the logger where the configuration that names one may be what is
// wrong.
func startLog() *slog.Logger {
	log, err := NewLogger(os.Stderr, "json", "info")
	if err != nil {
		return slog.Default()
	}
	return log
}
