// Package googlerest calls REST APIs of Google in the name of the deployment's
// service account. It knows JSON bodies and access tokens; what an answer means
// is its callers' business.
package googlerest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// MaxAnswer is how large an answer may be, in bytes: 4 MiB.
const MaxAnswer = 4 << 20

// scopes are what the APIs of Google Cloud ask for.
var scopes = []string{"https://www.googleapis.com/auth/cloud-platform"}

// Reason says why a call brought no answer.
type Reason uint8

// The reasons.
const (
	// NoToken: no access token could be had, or the API refused it (401).
	NoToken Reason = iota + 1
	// NotReached: the API was not reached in time, or its answer is broken.
	NotReached
	// Unavailable: the API says that it cannot answer now (503).
	Unavailable
	// Refused: the API answered with any other status than 200.
	Refused
)

// Error is a call without an answer.
type Error struct {
	Reason Reason
	// Status is the status of the answer, 0 if there was none.
	Status int
	// Err is the cause, for logs only.
	Err error
}

func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("status %d", e.Status)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Client makes calls.
type Client struct {
	callouts policy.Callouts
	tokens   policy.GoogleTokens
}

// New returns a client with the services of env. It refuses the deployment where
// the host does not offer them.
func New(env *policy.Env) *Client {
	switch {
	case env.Callouts == nil:
		env.Errorf(bundle.Pos{}, "this host makes no calls to HTTP services")
	case env.GoogleTokens == nil:
		env.Errorf(bundle.Pos{}, "this host has no tokens for the APIs of Google")
	}
	return &Client{env.Callouts, env.GoogleTokens}
}

// Post sends a JSON body and returns that of the answer. The error is an *Error,
// or the *fault.Fault of a call whose own time is up.
func (c *Client) Post(ctx context.Context, fc *flow.Context, url string, body []byte) ([]byte, error) {
	token, err := c.tokens.AccessToken(ctx, fc.Proxy.ServiceAccount, scopes, time.Hour)
	if err != nil {
		return nil, failed(ctx, NoToken, err)
	}
	req := message.NewRequest()
	req.Verb = "POST"
	req.Header.Add("Authorization", "Bearer "+token)
	req.Header.Add("Content-Type", "application/json")
	req.SetContent(body)
	resp, err := c.callouts.Do(ctx, url, req)
	if err != nil {
		return nil, failed(ctx, NotReached, err)
	}
	defer resp.Release()
	resp.Limit = MaxAnswer
	data, err := resp.Content()
	switch {
	case err != nil:
		return nil, failed(ctx, NotReached, err)
	case resp.Status == 401:
		return nil, &Error{Reason: NoToken, Status: resp.Status}
	case resp.Status == 503:
		return nil, &Error{Reason: Unavailable, Status: resp.Status}
	case resp.Status != 200:
		return nil, &Error{Reason: Refused, Status: resp.Status}
	}
	return data, nil
}

// timedOut is the fault of a call whose own time is up (api.timeout).
const timedOut = "flow.APITimedOut"

func failed(ctx context.Context, r Reason, err error) error {
	var f *fault.Fault
	if errors.As(err, &f) && f.Code == timedOut {
		return f
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.New(timedOut, 504, "API timed out").WithCause(err)
	}
	return &Error{Reason: r, Err: err}
}
