// Package externalcallout implements the <ExternalCallout> policy: it sends the call
// in progress to a gRPC server, which answers with what it changed.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/external-callout-policy
//
// The protocol is that of calloutpb/external_callout.proto, service
// apigee.ExternalCalloutService, method ProcessMessage. Query parameters always go
// with a request; form parameters go with its content. Bodies that are no UTF-8 are
// sent with replacement characters, and stay as they are unless the server changes
// them.
//
// Faults (500), which set externalcallout.P.failed:
//
//   - steps.externalcallout.CODE: the server returned a fault of that name; it ends
//     the flow whatever continueOnError says
//   - steps.externalcallout.ExecutionError: the call failed, took longer than
//     TimeoutMs, or its answer cannot be applied
//   - GrpcTlsInitFailed: keystore or truststore
//   - googletoken.EmptyIDTokenAudience: no audience
//
// Refused at deployment: no <GrpcConnection>, no server's name, a timeout that is
// not positive, a GoogleAccessToken, a property that is none.
package externalcallout

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policies/externalcallout/calloutpb"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the ExternalCallout policy.
var Kind = policy.Define("ExternalCallout", New)

// method is what is called.
const method = "/apigee.ExternalCalloutService/ProcessMessage"

// Config is the policy's XML.
type Config struct {
	policy.Header
	// TimeoutMs is how long the call may take, in milliseconds.
	TimeoutMs int `xml:"TimeoutMs,once" default:"5000"`
	// GrpcConnection is the server. Required.
	GrpcConnection *GrpcConnection `xml:"GrpcConnection,once"`
	// Configurations say what is sent.
	Configurations Configurations `xml:"Configurations,once"`
}

// GrpcConnection is a <GrpcConnection>.
type GrpcConnection struct {
	bundle.Pos
	// Server is a target server whose protocol is GRPC. Required.
	Server Server `xml:"Server,once"`
	// Authentication puts a Google ID token among the call's metadata; see
	// bundle.Authentication.
	Authentication *bundle.Element `xml:"Authentication,once"`
}

// Server is a <Server>.
type Server struct {
	Name string `xml:"name,attr"`
}

// Configurations is a <Configurations>.
type Configurations struct {
	// Property is with.request.content, with.request.headers,
	// with.response.content or with.response.headers; each is false by default.
	Property []Property `xml:"Property"`
	// FlowVariable is a variable to send, with all that are below it.
	FlowVariable []string `xml:"FlowVariable"`
}

// Property is a <Property>.
type Property struct {
	bundle.Pos
	Name  string `xml:"name,attr" enum:"with.request.content,with.request.headers,with.response.content,with.response.headers"`
	Value bool   `xml:",chardata"`
}

type step struct {
	policy  string
	grpc    policy.GRPC
	server  string
	timeout time.Duration
	token   *token // nil: none
	send    selection
	vars    []variables
}

// selection is what is sent of messages.
type selection struct{ requestContent, requestHeaders, responseContent, responseHeaders bool }

// variables is one <FlowVariable>: a variable, and the prefix of all below it.
type variables struct {
	own    flow.Var
	prefix string
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{policy: env.Name(), grpc: env.GRPC, timeout: time.Duration(c.TimeoutMs) * time.Millisecond}
	if env.GRPC == nil {
		env.Errorf(bundle.Pos{}, "this host does not call gRPC services")
	}
	if c.TimeoutMs <= 0 {
		env.Errorf(bundle.Pos{}, "<TimeoutMs> is %d, want a positive number", c.TimeoutMs)
	}
	s.connect(c.GrpcConnection, env)
	for _, p := range c.Configurations.Property {
		s.send.set(p.Name, p.Value)
	}
	env.UsesContent(s.send.requestContent, s.send.responseContent)
	for _, name := range c.Configurations.FlowVariable {
		if name = strings.TrimSuffix(name, "."); name != "" {
			s.vars = append(s.vars, variables{env.Var(name), name + "."})
		}
	}
	return s, nil
}

func (s *step) connect(c *GrpcConnection, env *policy.Env) {
	if c == nil || c.Server.Name == "" {
		env.Errorf(bundle.Pos{}, "<ExternalCallout> has no <GrpcConnection> with a <Server name>")
		return
	}
	s.server = c.Server.Name
	if c.Authentication == nil {
		return
	}
	a := bundle.ParseAuthentication(c.Authentication, env.Problems())
	switch {
	case a == nil:
	case a.GoogleAccessToken != nil:
		env.Errorf(c.Authentication.Pos, "<Authentication> of <ExternalCallout> takes a <GoogleIDToken> only")
	default:
		s.token = newToken(a, env)
	}
}

func (s *selection) set(name string, on bool) {
	switch name {
	case "with.request.content":
		s.requestContent = on
	case "with.request.headers":
		s.requestHeaders = on
	case "with.response.content":
		s.responseContent = on
	case "with.response.headers":
		s.responseHeaders = on
	}
}

// Run calls the server and applies its answer.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	sent, err := s.describe(fc)
	if err != nil {
		return s.failed(err)
	}
	data, err := proto.Marshal(sent)
	if err != nil {
		return s.failed(err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	md, err := s.metadata(ctx, fc)
	if err != nil {
		return err
	}
	answer, err := s.grpc.Invoke(ctx, s.server, method, data, md)
	if err != nil {
		return s.failed(err)
	}
	got := new(calloutpb.MessageContext)
	if err := proto.Unmarshal(answer, got); err != nil {
		return s.failed(status.Error(codes.Internal, "the response is no MessageContext"))
	}
	return s.apply(fc, sent, got)
}

// failed is a call that did not succeed, in the words of the Java client.
func (s *step) failed(err error) error {
	var f *fault.Fault
	if errors.As(err, &f) { // TLS
		return s.fault("GrpcTlsInitFailed", f.Text).WithCause(err)
	}
	return s.executionError(statusText(err)).WithCause(err)
}

func (s *step) executionError(status string) *fault.Fault {
	return s.fault("steps.externalcallout.ExecutionError", "Encountered the following exception while sending the gRPC request "+
		"or processing the response: [io.grpc.StatusRuntimeException: "+status+"].")
}

// statusText writes a status as UNAVAILABLE: text. What the client itself says of a
// connection names addresses, which are nobody's business.
func statusText(err error) string {
	st := status.Convert(err)
	text := st.Message()
	switch {
	case st.Code() == codes.Unavailable && (strings.HasPrefix(text, "connection error") || strings.HasPrefix(text, "error reading") || strings.HasPrefix(text, "last connection error")):
		text = "io exception"
	case st.Code() == codes.DeadlineExceeded && strings.HasPrefix(text, "context deadline"):
		text = "deadline exceeded"
	}
	return javaName(st.Code()) + ": " + text
}

// javaName is the name of a code in Java: InvalidArgument is INVALID_ARGUMENT.
func javaName(c codes.Code) string {
	if c == codes.Canceled {
		return "CANCELLED"
	}
	var b strings.Builder
	for i, r := range c.String() {
		if i > 0 && unicode.IsUpper(r) && c != codes.OK {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

func (s *step) fault(code, text string) *fault.Fault {
	return fault.New(code, 500, text).Failed("externalcallout." + s.policy + ".failed")
}
