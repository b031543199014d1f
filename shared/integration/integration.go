// Package integration runs integrations of Application Integration through its
// REST API: what SetIntegrationRequest makes, IntegrationCallout and
// IntegrationEndpoint send.
//
// A call waits for the result (integrations.execute, two minutes at most) or is
// scheduled (integrations.schedule): asynchronous runs, and those that have a
// ScheduleTime. The access token is that of the service account which the
// revision was deployed with.
//
// Sources: https://cloud.google.com/apigee/docs/api-platform/reference/policies/set-integration-request-policy,
// https://cloud.google.com/application-integration/docs/reference/rest/v1/projects.locations.integrations
package integration

import (
	"context"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Any stands for the name of an integration where only the trigger is given:
// every integration that has the trigger runs.
const Any = "-"

// ExecuteTimeout is how long a call waits for a result: the API's two minutes,
// and some for the way.
const ExecuteTimeout = 125 * time.Second

// lifetime of the access tokens.
const lifetime = time.Hour

var scopes = []string{"https://www.googleapis.com/auth/cloud-platform"}

// object is where the call that belongs to a request message is kept beside it.
func object(variable string) string { return "integration.call." + variable }

// Put makes c the call that the request in a variable stands for, and sets the
// documented variables.
func Put(fc *flow.Context, variable string, c *policy.IntegrationCall) {
	fc.Put(object(variable), flow.ObjectValue(c))
	fc.PutText("integration.project.id", c.Project)
	fc.PutText("integration.project.region", c.Region)
	fc.PutText("integration.name", c.Name)
	fc.PutText("integration.request", variable)
}

// Get returns the call that the request in a variable stands for, with the body
// as the request has it now; nil if no SetIntegrationRequest made one.
func Get(fc *flow.Context, variable string) (*policy.IntegrationCall, error) {
	made, ok := fc.Get(object(variable)).Object().(*policy.IntegrationCall)
	m := fc.MessageNamed(variable)
	if !ok || m == nil {
		return nil, nil
	}
	body, err := m.Content()
	if err != nil {
		return nil, err
	}
	c := *made
	c.Body = body
	return &c, nil
}

// ValidName reports whether s may be the project, the region or the name of an
// integration: they stand in the host name and the path of a request that
// carries a token.
func ValidName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != ""
}

// ValidProject is ValidName for a project, which may belong to a domain
// ("example.com:project").
func ValidProject(s string) bool {
	domain, project, ok := strings.Cut(s, ":")
	if !ok {
		return ValidName(s)
	}
	return ValidName(strings.ReplaceAll(domain, ".", "-")) && ValidName(project)
}

// Send sends a request that may be silent for as long as idle.
type Send func(ctx context.Context, url string, req *message.Message, idle time.Duration) (*message.Message, error)

// Options are what a Service is made of.
type Options struct {
	// Send makes the HTTP calls.
	Send Send
	// Tokens mints the access tokens.
	Tokens policy.GoogleTokens
	// Project is where integrations are unless the request says otherwise.
	Project string
	// Endpoint returns the root URL of the API in a region; nil is Google's.
	Endpoint func(region string) string
}

// Service is policy.Integrations over the REST API.
type Service struct{ opts Options }

// New returns a Service. It opens nothing.
func New(opts Options) *Service {
	if opts.Endpoint == nil {
		opts.Endpoint = func(region string) string { return "https://" + region + "-integrations.googleapis.com" }
	}
	return &Service{opts}
}

var _ policy.Integrations = (*Service)(nil)

// Run implements policy.Integrations.
func (s *Service) Run(ctx context.Context, serviceAccount string, c *policy.IntegrationCall) (*message.Message, string, error) {
	url, err := s.url(c)
	if err != nil {
		return nil, "", err
	}
	token, err := s.token(ctx, serviceAccount)
	if err != nil {
		return nil, url, err
	}
	req := message.NewRequest()
	req.Verb = "POST"
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.SetContent(c.Body)
	resp, err := s.opts.Send(ctx, url, req, ExecuteTimeout)
	return resp, url, err
}

func (s *Service) url(c *policy.IntegrationCall) (string, error) {
	project := c.Project
	if project == "" {
		project = s.opts.Project
	}
	if !ValidProject(project) || !ValidName(c.Region) || !ValidName(c.Name) {
		return "", targetFault("messaging.runtime.IntegrationRequestInvalid", "Integration "+c.Name+" of project "+project+" in region "+c.Region+" cannot be called")
	}
	verb := ":execute"
	if c.Async {
		verb = ":schedule"
	}
	return s.opts.Endpoint(c.Region) + "/v1/projects/" + project + "/locations/" + c.Region + "/integrations/" + c.Name + verb, nil
}

func (s *Service) token(ctx context.Context, account string) (string, error) {
	if s.opts.Tokens == nil {
		return "", tokenFault(nil)
	}
	token, err := s.opts.Tokens.AccessToken(ctx, account, scopes, lifetime)
	if err != nil {
		return "", tokenFault(err)
	}
	return token, nil
}

func tokenFault(err error) *fault.Fault {
	return targetFault("messaging.adaptors.http.filter.GoogleTokenGenerationFailure", "Failed to generate a Google token for the integration").WithCause(err)
}

func targetFault(code, text string) *fault.Fault {
	f := fault.New(code, 500, text)
	f.Target = true
	return f
}
