// Package gateway is the data plane as a function: an http.Handler that is
// built from the environment on first use.
package gateway

import (
	"net/http"

	"github.com/perigee-gateway/perigee/shared/boot"
)

// Handler returns the gateway configured by environment variables. Nothing is
// opened before the first request. It panics with http.ErrAbortHandler where a
// response must not end as a whole one does. What an instance counted is stored
// when the platform takes it away.
func Handler() http.Handler { return boot.Lazy(boot.Gateway).FlushOnTerm() }

// Function returns Handler for the Functions Framework, which does not know
// http.ErrAbortHandler: it would write a text of its own behind what was sent.
// The connection is closed instead.
func Function() func(http.ResponseWriter, *http.Request) {
	h := Handler()
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v == http.ErrAbortHandler && hangUp(w) {
				return
			} else if v != nil {
				panic(v)
			}
		}()
		h.ServeHTTP(w, r)
	}
}

// hangUp closes the connection of a response that was begun; false if the
// protocol has none of its own (HTTP/2, which the framework does not serve).
func hangUp(w http.ResponseWriter) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
