// Package apiclient calls a Management API, Apigee's or perigee's: bearer tokens,
// Google's error bodies, repetition of what may be repeated. It knows no resource;
// its callers give paths and bodies.
package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 64 << 20
	// attempts is how often a call is made at most.
	attempts = 6
	// maxPause bounds the wait before another attempt.
	maxPause = 30 * time.Second
)

// Client calls the API of one server. It is safe for concurrent use.
type Client struct {
	// Base is the server's URL without /v1.
	Base string
	// Token gives the bearer token of a call; nil or "" is none.
	Token func(ctx context.Context) (string, error)
	// HTTP carries the calls; nil is http.DefaultClient.
	HTTP *http.Client
	// Pause waits before another attempt; nil waits longer each time, as long as
	// the server says, or up to half a minute.
	Pause func(ctx context.Context, d time.Duration) error
}

// Error is an answer that is not a success.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is Google's name of the error, "" if the answer has none.
	Code string
	// Message is what the server says, or the status.
	Message string
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// StatusOf is the HTTP status of an error, 0 if it was no answer.
func StatusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// IsNotFound reports whether the server knows no such thing.
func IsNotFound(err error) bool { return StatusOf(err) == http.StatusNotFound }

// IsExists reports whether what was to be created is there already.
func IsExists(err error) bool { return StatusOf(err) == http.StatusConflict }

// Path joins the escaped parts of a path behind /v1/.
func Path(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = url.PathEscape(p)
	}
	return strings.Join(escaped, "/")
}

// Call is a request to be made.
type Call struct {
	Method string
	// Path is behind /v1/ and escaped: see Path.
	Path  string
	Query url.Values
	// Body is sent as it is, of type ContentType; JSON, if set, as JSON in its
	// place.
	Body        []byte
	ContentType string
	JSON        any
}

// Get reads what is at the path into v, a pointer; *[]byte takes the answer as
// it is.
func (c *Client) Get(ctx context.Context, path string, query url.Values, v any) error {
	return c.Do(ctx, Call{Method: http.MethodGet, Path: path, Query: query}, v)
}

// Do makes a call and reads the answer into v, unless that is nil. Calls that
// change nothing, or the same when repeated, are repeated when the server is down
// or says that it is busy; others only when it says that it did nothing.
func (c *Client) Do(ctx context.Context, call Call, v any) error {
	if call.JSON != nil {
		var err error
		if call.Body, err = json.Marshal(call.JSON); err != nil {
			return err
		}
		call.ContentType = "application/json"
	}
	for attempt := 1; ; attempt++ {
		data, wait, err := c.once(ctx, call)
		if err == nil {
			return decode(data, v)
		}
		if attempt == attempts || ctx.Err() != nil || !repeatable(call.Method, err) {
			return err
		}
		if c.pause(ctx, max(wait, backoff(attempt))) != nil {
			return err
		}
	}
}

func decode(data []byte, v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case *[]byte:
		*v = data
		return nil
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("the server's answer is not what was expected: %w", err)
	}
	return nil
}

// repeatable reports whether a call that failed may be made again.
func repeatable(method string, err error) bool {
	switch StatusOf(err) {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	case 0, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return method != http.MethodPost
	}
	return false
}

func backoff(attempt int) time.Duration {
	limit := min(250*time.Millisecond<<attempt, maxPause)
	return limit/2 + rand.N(limit/2)
}

func (c *Client) pause(ctx context.Context, d time.Duration) error {
	if c.Pause != nil {
		return c.Pause(ctx, d)
	}
	t := time.NewTimer(min(d, maxPause))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once makes the call once. wait is how long the server asks to wait.
func (c *Client) once(ctx context.Context, call Call) (data []byte, wait time.Duration, err error) {
	req, err := c.request(ctx, call)
	if err != nil {
		return nil, 0, err
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	data, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("read the answer of %s: %w", req.URL.Host, err)
	case len(data) > maxAnswer:
		return nil, 0, &Error{Status: http.StatusRequestEntityTooLarge, Message: "the server's answer is too large"}
	case resp.StatusCode > 299:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return nil, time.Duration(seconds) * time.Second, errorOf(resp, data)
	}
	return data, 0, nil
}

func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	u := strings.TrimSuffix(c.Base, "/") + "/v1/" + call.Path
	if len(call.Query) > 0 {
		u += "?" + call.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, u, bytes.NewReader(call.Body))
	if err != nil {
		return nil, err
	}
	if call.ContentType != "" {
		req.Header.Set("Content-Type", call.ContentType)
	}
	req.Header.Set("User-Agent", "perigee")
	if c.Token == nil {
		return req, nil
	}
	token, err := c.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("get a token: %w", err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// errorOf is the error of an answer: Google's body, Edge's, or the status.
func errorOf(resp *http.Response, data []byte) error {
	e := &Error{Status: resp.StatusCode, Message: resp.Status}
	var body struct {
		Error struct {
			Message string `json:"message"`
			Status  string `json:"status"`
		} `json:"error"`
		Code    any    `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(data, &body) != nil {
		return e
	}
	e.Code = body.Error.Status
	if m := body.Error.Message; m != "" {
		e.Message = m
	} else if body.Message != "" {
		e.Message = body.Message
	}
	return e
}
