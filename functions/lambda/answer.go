package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"github.com/perigee-gateway/perigee/shared/fault"
)

// Truncated is a response that ended too early: the target broke off in the middle
// of its own. As a stream's error it becomes the trailers that tell Lambda not to
// end the response as a whole one; its name is the type of error there.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
type Truncated struct{}

// Error implements error.
func (*Truncated) Error() string { return "the target's response ended too early" }

var errAborted = new(Truncated)

// run calls the handler. A response that it gives up (http.ErrAbortHandler) is
// errAborted; net/http, which closes the connection then, is not here.
func run(h http.Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		switch v := recover(); {
		case v == nil:
		case v == http.ErrAbortHandler:
			err = errAborted
		default:
			slog.Error("panic", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	h.ServeHTTP(w, r)
	return nil
}

// instead is sent instead of a response that ended with err before any of it was
// sent.
func instead(err error) *recorder {
	f := fault.New("messaging.runtime.InternalError", http.StatusInternalServerError, "Internal server error")
	if errors.Is(err, errAborted) {
		f = fault.New("messaging.adaptors.http.flow.UnexpectedEOFAtTarget", http.StatusBadGateway, "Unexpected EOF at target")
	}
	rec := newRecorder()
	rec.header.Set("Content-Type", "application/json")
	rec.WriteHeader(f.Status)
	rec.Write(f.JSON())
	return rec
}

// recorder collects a response: most events are answered in one piece.
type recorder struct {
	header http.Header
	status int
	sent   http.Header // as it was when the status was written
	body   bytes.Buffer
}

func newRecorder() *recorder { return &recorder{header: http.Header{}} }

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter. Informational responses have no
// place in an event.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status, r.sent = status, r.header.Clone()
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// Flush implements http.Flusher; there is nothing to flush to.
func (r *recorder) Flush() { r.WriteHeader(http.StatusOK) }

// fields are the header fields of the response. Trailers, which follow the body,
// are left out: events have none.
func (r *recorder) fields() map[string][]string {
	r.WriteHeader(http.StatusOK)
	out := make(map[string][]string, len(r.sent))
	for k, v := range r.sent {
		if v != nil && !strings.HasPrefix(k, http.TrailerPrefix) {
			out[k] = v
		}
	}
	return out
}

// text returns the body, in base64 unless it is plain text.
func (r *recorder) text() (body string, encoded bool) {
	r.WriteHeader(http.StatusOK)
	b := r.body.Bytes()
	if r.sent.Get("Content-Encoding") == "" && utf8.Valid(b) {
		return string(b), false
	}
	return base64.StdEncoding.EncodeToString(b), true
}

// serveStream answers a function URL with a stream: the header is sent with the
// first byte, and the rest as it comes.
func serveStream(ctx context.Context, h http.Handler, raw json.RawMessage) (any, error) {
	var e events.APIGatewayV2HTTPRequest // the same as a function URL's, as far as it matters
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	r, err := v2Request(&e)
	if err != nil {
		return nil, err
	}
	body, pipe := io.Pipe()
	w := &stream{recorder: newRecorder(), pipe: pipe, begun: make(chan struct{})}
	go func() {
		ctx, cancel := beforeDeadline(ctx)
		defer cancel()
		err := run(h, w, r.WithContext(ctx))
		if err != nil && w.status == 0 {
			f := instead(err)
			w.header = f.header
			w.WriteHeader(f.status)
			_, err = w.Write(f.body.Bytes())
		}
		w.WriteHeader(http.StatusOK)
		pipe.CloseWithError(err)
	}()
	<-w.begun
	head := v2Response(w.recorder, &e)
	return &events.LambdaFunctionURLStreamingResponse{StatusCode: head.StatusCode, Headers: head.Headers, Cookies: head.Cookies, Body: body}, nil
}

// stream is a response whose body is read while it is written.
type stream struct {
	*recorder
	pipe  *io.PipeWriter
	begun chan struct{}
}

// WriteHeader implements http.ResponseWriter.
func (s *stream) WriteHeader(status int) {
	if s.status == 0 && status >= 200 {
		s.recorder.WriteHeader(status)
		close(s.begun)
	}
}

// Write implements http.ResponseWriter.
func (s *stream) Write(b []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return s.pipe.Write(b)
}

// Flush implements http.Flusher: every byte is on its way once it is written.
func (s *stream) Flush() { s.WriteHeader(http.StatusOK) }
