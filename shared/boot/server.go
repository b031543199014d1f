package boot

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Limits of our own listeners.
const (
	maxHeaderBytes    = 128 << 10        // above the gateway's limits, whose answer is Apigee's
	readHeaderTimeout = 10 * time.Second // slow clients
	idleTimeout       = 620 * time.Second
	drainTimeout      = 9 * time.Second // Cloud Run kills 10 s after SIGTERM
)

// Serve answers on l until ctx ends, then stops accepting and waits for calls in
// flight, at most 9 s.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC behind Cloud Run arrives as h2c
	s := &http.Server{
		Handler:           h,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		Protocols:         &protocols,
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := s.Shutdown(drain)
	if serr := <-done; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}
