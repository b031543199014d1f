// Package cors implements the <CORS> policy: it answers preflight requests and
// puts the headers of cross-origin resource sharing on whatever response goes
// to the client in the end, error responses included.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/cors-policy
//
// A preflight is an OPTIONS request with Origin and
// Access-Control-Request-Method. It is answered at once with status 200: the
// next thing that runs is the ProxyEndpoint's response PreFlow. One whose
// origin, method or headers are not allowed is answered without the headers, so
// that the browser refuses. With <GeneratePreflightResponse> false a preflight
// goes on like any other request, and the policy only sets the variables.
//
// Variables, behind cross_origin_resource_sharing.: allow.credentials,
// allow.headers, allow.methods, allow.origin (the origin that is allowed, not
// set if none is), allow.origins.list, expose.headers, max.age,
// preflight.accepted (of a preflight), request.headers, request.method,
// request.origin, request.type (ACTUAL or PRE_FLIGHT; not set without Origin).
//
// Fault: steps.cors.UnresolvedVariable (500), which sets cors.P.failed. While a
// preflight is answered it does not start the error flow: the client gets the
// default error body.
//
// Refused at deployment: MissingAllowOrigins, InvalidHTTPMethods,
// InvalidMaxAge, AllowHeadersSizeTooLarge, ExposeHeadersSizeTooLarge.
package cors

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the CORS policy.
var Kind = policy.Define("CORS", New)

// maxHeaderText bounds AllowHeaders and ExposeHeaders, in bytes. Apigee has such
// a bound and does not say which.
const maxHeaderText = 8 << 10

// Config is the policy's XML.
type Config struct {
	policy.Header
	// AllowOrigins are the origins that may call: a comma-separated list, * for
	// all, or a template. Required.
	AllowOrigins Text `xml:"AllowOrigins,once"`
	// AllowMethods are the methods that may be used: a comma-separated list, * for
	// all, or a template.
	AllowMethods Text `xml:"AllowMethods,once" default:"GET, POST, HEAD, OPTIONS"`
	// AllowHeaders are the headers that may be sent: a comma-separated list, * for
	// all, or a template.
	AllowHeaders Text `xml:"AllowHeaders,once" default:"Origin, Accept, X-Requested-With, Content-Type, Access-Control-Request-Method, Access-Control-Request-Headers"`
	// ExposeHeaders are the response headers that the browser may show to the
	// page. Without it the header is left out.
	ExposeHeaders Text `xml:"ExposeHeaders,once"`
	// MaxAge is how long the browser may keep the answer to a preflight, in
	// seconds; -1 is not at all.
	MaxAge Text `xml:"MaxAge,once" default:"1800"`
	// AllowCredentials says whether the request may come with credentials.
	// Without it the header is left out.
	AllowCredentials *bool `xml:"AllowCredentials,once"`
	// GeneratePreflightResponse answers preflights here.
	GeneratePreflightResponse bool `xml:"GeneratePreflightResponse,once" default:"true"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once" default:"true"`
}

// Text is the text of an element and its place.
type Text struct {
	bundle.Pos
	Value string `xml:",chardata"`
}

type step struct {
	policy                            string
	origins, methods, headers, expose *template.Template
	maxAge                            int64
	maxAgeText                        string
	credentials                       string // "true", "false" or ""
	generate, ignore                  bool
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{
		policy: env.Name(), generate: c.GeneratePreflightResponse, ignore: c.IgnoreUnresolvedVariables,
		origins: env.Template(c.AllowOrigins.Pos, c.AllowOrigins.Value),
		methods: env.Template(c.AllowMethods.Pos, c.AllowMethods.Value),
		headers: env.Template(c.AllowHeaders.Pos, c.AllowHeaders.Value),
		expose:  env.Template(c.ExposeHeaders.Pos, c.ExposeHeaders.Value),
	}
	if c.AllowCredentials != nil {
		s.credentials = strconv.FormatBool(*c.AllowCredentials)
	}
	if c.AllowOrigins.Value == "" {
		env.Errorf(c.AllowOrigins.Pos, "MissingAllowOrigins: <AllowOrigins> is required")
	}
	if text, ok := s.methods.Constant(); ok {
		checkMethods(env, c.AllowMethods.Pos, text)
	}
	if len(c.AllowHeaders.Value) > maxHeaderText {
		env.Errorf(c.AllowHeaders.Pos, "AllowHeadersSizeTooLarge: <AllowHeaders> is longer than %d bytes", maxHeaderText)
	}
	if len(c.ExposeHeaders.Value) > maxHeaderText {
		env.Errorf(c.ExposeHeaders.Pos, "ExposeHeadersSizeTooLarge: <ExposeHeaders> is longer than %d bytes", maxHeaderText)
	}
	var err error
	s.maxAge, err = strconv.ParseInt(c.MaxAge.Value, 10, 32)
	if err != nil || s.maxAge < -1 {
		env.Errorf(c.MaxAge.Pos, "InvalidMaxAge: <MaxAge> is %q, want a number of seconds or -1", c.MaxAge.Value)
	}
	s.maxAgeText = strconv.FormatInt(s.maxAge, 10)
	return s, nil
}

func checkMethods(env *policy.Env, pos bundle.Pos, list string) {
	for m := range strings.SplitSeq(list, ",") {
		switch m = strings.TrimSpace(m); m {
		case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "*":
		default:
			env.Errorf(pos, "InvalidHTTPMethods: %q in <AllowMethods> is not an HTTP method", m)
		}
	}
}

// Run sets the variables, answers a preflight, and sees to it that the headers
// go on the response.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	r := newRequest(s, fc.Request)
	if err := s.evaluate(fc, r); err != nil {
		if r.preflight && s.generate {
			s.refuse(fc, err)
			return nil
		}
		return err
	}
	switch {
	case r.origin == "":
	case !r.preflight:
		fc.OnSend(r.actual)
	case s.generate:
		fc.OnSend(r.answer)
		fc.Early(fc.NewResponse(), flow.AtOnce)
	}
	return nil
}

// evaluate evaluates the templates and provides the variables.
func (s *step) evaluate(fc *flow.Context, r *request) *fault.Fault {
	for _, t := range [...]struct {
		from *template.Template
		to   *string
	}{{s.origins, &r.origins}, {s.methods, &r.methods}, {s.headers, &r.headers}, {s.expose, &r.expose}} {
		text, err := t.from.Expand(fc, s.ignore)
		if err != nil {
			return s.unresolved(t.from, err)
		}
		*t.to = text
	}
	r.judge()
	fc.Provide(prefix, r)
	return nil
}

func (s *step) unresolved(t *template.Template, err error) *fault.Fault {
	name := t.Source()
	var u *template.Unresolved
	if errors.As(err, &u) {
		name = u.Name
	}
	return fault.New("steps.cors.UnresolvedVariable", 500, "CORS["+s.policy+"]: unable to resolve variable "+name).
		Failed("cors." + s.policy + ".failed").WithCause(err)
}

// refuse answers a preflight with a fault, past the error flow.
func (s *step) refuse(fc *flow.Context, err *fault.Fault) {
	for _, v := range err.FailedVariables {
		fc.Put(v, flow.BoolValue(true))
	}
	fc.PutText("fault.name", err.ShortName())
	m := fc.NewResponse()
	m.Status = err.Status
	m.Header.Set("Content-Type", "application/json")
	m.SetContent(err.JSON())
	fc.Early(m, flow.AtOnce)
}

// actual puts the headers on the response to an actual request.
func (r *request) actual(_ *flow.Context, m *message.Message) {
	r.common(m)
	if r.allowed != "" && r.expose != "" {
		m.Header.Set("Access-Control-Expose-Headers", r.expose)
	}
}

// answer puts the headers on the answer to a preflight.
func (r *request) answer(_ *flow.Context, m *message.Message) {
	if !r.accepted {
		r.vary(m)
		return
	}
	r.common(m)
	m.Header.Set("Access-Control-Allow-Methods", r.methods)
	m.Header.Set("Access-Control-Allow-Headers", r.headers)
	m.Header.Set("Access-Control-Max-Age", r.step.maxAgeText)
}

func (r *request) common(m *message.Message) {
	r.vary(m)
	if r.allowed == "" {
		return
	}
	m.Header.Set("Access-Control-Allow-Origin", r.allowed)
	if r.step.credentials != "" {
		m.Header.Set("Access-Control-Allow-Credentials", r.step.credentials)
	}
}

// vary tells caches that the answer depends on who asks.
// Source: https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches
func (r *request) vary(m *message.Message) {
	if r.origins == "*" || has(m.Header.Joined("Vary"), "Origin") {
		return
	}
	m.Header.Add("Vary", "Origin")
}
