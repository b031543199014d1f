package boot

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/perigee-gateway/perigee/shared/gateway"
	"github.com/perigee-gateway/perigee/shared/startup"
)

// Lazy returns a handler that is built from the environment on its first
// request. A build that fails answers 503 and is tried again with the next
// request.
func Lazy(build func(context.Context, Config) (http.Handler, error)) *LazyHandler {
	return &LazyHandler{build: build}
}

// Close closes what the handler was built on, if it was.
func (l *LazyHandler) Close() error {
	if h := l.handler.Load(); h != nil {
		if c, ok := (*h).(io.Closer); ok {
			return c.Close()
		}
	}
	return nil
}

// LazyHandler is what Lazy returns.
type LazyHandler struct {
	build   func(context.Context, Config) (http.Handler, error)
	handler atomic.Pointer[http.Handler]
	mu      sync.Mutex
	served  atomic.Bool // a request
}

func (l *LazyHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, err := l.open(r.Context())
	if err != nil {
		startLog().Error("cannot start", "error", err)
		gateway.Unavailable(w, r)
		return
	}
	h.ServeHTTP(w, r)
	// Not with the first: there its answer may still be on its way (Lambda).
	if l.served.Swap(true) {
		startup.Done()
	}
}

func (l *LazyHandler) open(ctx context.Context) (http.Handler, error) {
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

// Flush sends what waits to be sent and stores what was counted: the process
// ends. It does nothing if the handler was never built.
func (l *LazyHandler) Flush() {
	if h := l.handler.Load(); h != nil {
		if f, ok := (*h).(interface{ Flush() }); ok {
			f.Flush()
		}
	}
}

// FlushOnTerm has the handler flushed when the process is told to end (SIGTERM:
// a platform takes an instance away), for hosts whose main is not ours. The
// process then ends as it would have without.
func (l *LazyHandler) FlushOnTerm() *LazyHandler {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		l.Flush()
		signal.Stop(term)
		if p, err := os.FindProcess(os.Getpid()); err == nil {
			_ = p.Signal(syscall.SIGTERM)
		}
	}()
	return l
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
