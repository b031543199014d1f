package auth

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// maxCerts bounds the answer with Google's keys, in bytes.
	maxCerts = 1 << 20
	// offline is how long keys are used when Google cannot be reached: keys are
	// published for days.
	offline = 24 * time.Hour
	// retryAfter is how long old keys are used before Google is asked again.
	retryAfter = time.Minute
)

// certs is the transport of the keys: it asks once at a time, and answers with
// what it has when Google cannot be reached.
type certs struct {
	next    http.RoundTripper
	now     func() time.Time
	flights singleflight.Group

	mu   sync.Mutex
	last map[string]answer // by URL
}

// answer is a successful answer of Google.
type answer struct {
	header http.Header
	body   []byte
	at     time.Time
}

// downError says that keys could not be had.
type downError struct{ err error }

func (e *downError) Error() string { return e.err.Error() }
func (e *downError) Unwrap() error { return e.err }

func newCerts(next http.RoundTripper, now func() time.Time) *certs {
	return &certs{next: next, now: now, last: map[string]answer{}}
}

// RoundTrip implements http.RoundTripper.
func (c *certs) RoundTrip(r *http.Request) (*http.Response, error) {
	url := r.URL.String()
	v, err, _ := c.flights.Do(url, func() (any, error) { return c.fetch(r, url) })
	if err != nil {
		return nil, &downError{err}
	}
	a := v.(answer)
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: a.header.Clone(), Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)),
	}, nil
}

func (c *certs) fetch(r *http.Request, url string) (answer, error) {
	a, err := c.ask(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.last[url] = a
		return a, nil
	}
	old, ok := c.last[url]
	if !ok || !c.now().Before(old.at.Add(offline)) {
		return answer{}, err
	}
	old.header = http.Header{"Cache-Control": {fmt.Sprintf("max-age=%d", int(retryAfter.Seconds()))}}
	return old, nil
}

func (c *certs) ask(r *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), verifyTimeout)
	defer cancel()
	resp, err := c.next.RoundTrip(r.Clone(ctx))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("%s: %s", r.URL.Host, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxCerts))
	return answer{header: resp.Header, body: body, at: c.now()}, err
}

// once is f, called until it succeeds and then never again.
func once[T any](f func() (T, error)) func() (T, error) {
	var mu sync.Mutex
	var have *T
	return func() (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if have != nil {
			return *have, nil
		}
		v, err := f()
		if err == nil {
			have = &v
		}
		return v, err
	}
}
