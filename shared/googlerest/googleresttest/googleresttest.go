// Package googleresttest puts a server of the test's own in the place of the REST
// APIs of Google, for tests of what calls them.
package googleresttest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/target"
)

// Token is the access token that the services mint.
const Token = "ya29.test"

// Services returns services whose calls to hosts of Google go over HTTP to h
// instead. The host that was called is in the header field X-Host.
func Services(t testing.TB, h http.Handler) policy.Services {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return policy.Services{Callouts: &network{target.New(target.Options{}), srv.URL}, GoogleTokens: tokens{}}
}

type network struct {
	*target.Pool
	to string
}

// Do calls the test's server.
func (n *network) Do(ctx context.Context, to string, req *message.Message) (*message.Message, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	req.Header.Add("X-Host", u.Host)
	return n.Pool.Do(ctx, n.to+u.Path, req)
}

// NoTokens is a source that has no tokens.
type NoTokens struct{ tokens }

// AccessToken fails.
func (NoTokens) AccessToken(context.Context, string, []string, time.Duration) (string, error) {
	return "", errors.New("no credentials")
}

type tokens struct{}

func (tokens) AccessToken(_ context.Context, _ string, scopes []string, _ time.Duration) (string, error) {
	if len(scopes) != 1 || scopes[0] != "https://www.googleapis.com/auth/cloud-platform" {
		return "", errors.New("wrong scopes")
	}
	return Token, nil
}

func (tokens) IDToken(context.Context, string, string, bool) (string, error) {
	return "", errors.New("no ID tokens")
}
