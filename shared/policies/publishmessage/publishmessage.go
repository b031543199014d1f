// Package publishmessage implements the <PublishMessage> policy: it publishes a
// text, or the body of a message, to a Pub/Sub topic and waits for its id.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/publish-message-policy
//
// Variables: publishmessage.message.id.
//
// Faults (500), which set publishmessage.P.failed:
//
//   - steps.publishmessage.UnresolvedVariable: a variable is not set and
//     IgnoreUnresolvedVariables is false
//   - steps.publishmessage.ExecutionFailed: Pub/Sub did not take the message;
//     the text has the reason, for example NOT_FOUND
//
// The documentation has no table of faults; the names are perigee's.
package publishmessage

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the PublishMessage policy.
var Kind = policy.Define("PublishMessage", New)

// maxAttributes is how many attributes a message may have here.
const maxAttributes = 10

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Source is the text to publish, a message template.
	Source *Text `xml:"Source,once"`
	// UseMessageAsSource publishes the body of a message instead: true for that
	// of the flow (request, response or error), or the variable that holds one.
	UseMessageAsSource string `xml:"UseMessageAsSource,once"`
	// CloudPubSub says where to.
	CloudPubSub *CloudPubSub `xml:"CloudPubSub,once"`
	// Attributes go with the message.
	Attributes []Attribute `xml:"Attributes>Attribute"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text
	// instead of a fault.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// Text is a message template.
type Text struct {
	bundle.Pos
	Value string `xml:",chardata"`
}

// CloudPubSub names a topic.
type CloudPubSub struct {
	bundle.Pos
	// Topic is projects/PROJECT/topics/TOPIC, a message template.
	Topic string `xml:"Topic,once"`

	_ struct{} `ignored:"Endpoint"`
}

// Attribute is one attribute; name and value are message templates.
type Attribute struct {
	bundle.Pos
	Name  string `xml:"name,attr"`
	Value string `xml:",chardata"`
}

type step struct {
	policy     string
	publisher  policy.Publisher
	topic      *template.Template
	source     *template.Template // nil: a message
	message    string             // "" is the flow's
	attributes []attribute
	ignore     bool
}

type attribute struct{ name, value *template.Template }

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{policy: env.Name(), publisher: env.Publisher, ignore: c.IgnoreUnresolvedVariables}
	if env.Publisher == nil {
		env.Errorf(bundle.Pos{}, "this host does not publish to Pub/Sub")
	}
	switch p := c.CloudPubSub; {
	case p == nil || p.Topic == "":
		env.Errorf(bundle.Pos{}, "<PublishMessage> has no <CloudPubSub> with a <Topic>")
	default:
		s.topic = env.Template(p.Pos, p.Topic)
		if name, ok := s.topic.Constant(); ok && !isTopic(name) {
			env.Errorf(p.Pos, "<Topic> is %q, want projects/PROJECT/topics/TOPIC", name)
		}
	}
	s.from(c, env)
	if len(c.Attributes) > maxAttributes {
		env.Errorf(c.Attributes[maxAttributes].Pos, "<Attributes> has %d attributes, at most %d are allowed", len(c.Attributes), maxAttributes)
	}
	for _, a := range c.Attributes {
		if a.Name == "" {
			env.Errorf(a.Pos, "<Attribute> has no attribute name")
		}
		s.attributes = append(s.attributes, attribute{env.Template(a.Pos, a.Name), env.Template(a.Pos, a.Value)})
	}
	return s, nil
}

// from compiles where the data comes from.
func (s *step) from(c *Config, env *policy.Env) {
	use, isBool := bundle.ParseBool(c.UseMessageAsSource)
	message := c.UseMessageAsSource != "" && (use || !isBool)
	switch {
	case message && c.Source != nil:
		env.Errorf(c.Source.Pos, "<PublishMessage> has both <Source> and <UseMessageAsSource>")
	case message:
		if !isBool {
			s.message = c.UseMessageAsSource
		}
		env.UsesMessage(s.message)
	case c.Source != nil:
		s.source = env.Template(c.Source.Pos, c.Source.Value)
	default:
		env.Errorf(bundle.Pos{}, "<PublishMessage> has neither <Source> nor <UseMessageAsSource>")
	}
}

// isTopic reports whether name is a topic's resource name.
func isTopic(name string) bool {
	rest, ok := strings.CutPrefix(name, "projects/")
	project, topic, found := strings.Cut(rest, "/topics/")
	return ok && found && project != "" && topic != "" && !strings.ContainsAny(project+topic, "/ ")
}

// Run publishes the message.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	topic, err := s.expand(s.topic, fc)
	if err != nil {
		return err
	}
	if topic = strings.TrimSpace(topic); !isTopic(topic) {
		return s.failed("topic "+topic+" is not of the format projects/{project}/topics/{topic}", nil)
	}
	data, err := s.data(fc)
	if err != nil {
		return err
	}
	attributes, err := s.attributesOf(fc)
	if err != nil {
		return err
	}
	id, err := s.publisher.Publish(ctx, fc.Proxy.ServiceAccount, topic, data, attributes)
	if err != nil {
		return s.failed(reason(err), err)
	}
	fc.PutText("publishmessage.message.id", id)
	return nil
}

func (s *step) data(fc *flow.Context) ([]byte, error) {
	if s.source != nil {
		text, err := s.source.Append(nil, fc, s.ignore)
		return text, s.templateFault(err)
	}
	m := fc.Message()
	if s.message != "" {
		m = fc.MessageNamed(s.message)
	}
	if m == nil {
		return nil, s.unresolved(s.message)
	}
	data, err := m.Content()
	if err != nil {
		return nil, s.failed("the body of the message cannot be read", err)
	}
	return data, nil
}

func (s *step) attributesOf(fc *flow.Context) (map[string]string, error) {
	if len(s.attributes) == 0 {
		return nil, nil
	}
	m := make(map[string]string, len(s.attributes))
	for _, a := range s.attributes {
		name, err := s.expand(a.name, fc)
		if err != nil {
			return nil, err
		}
		if m[name], err = s.expand(a.value, fc); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (s *step) expand(t *template.Template, fc *flow.Context) (string, error) {
	text, err := t.Expand(fc, s.ignore)
	return text, s.templateFault(err)
}

// templateFault says why a template gave no text.
func (s *step) templateFault(err error) error {
	var u *template.Unresolved
	switch {
	case err == nil:
		return nil
	case errors.As(err, &u):
		return s.unresolved(u.Name)
	}
	return s.failed("a message template cannot be evaluated", err)
}

func (s *step) unresolved(name string) *fault.Fault {
	return s.fault("UnresolvedVariable", "PublishMessage["+s.policy+"]: unable to resolve variable "+name)
}

func (s *step) failed(reason string, err error) *fault.Fault {
	return s.fault("ExecutionFailed", "Execution of PublishMessage "+s.policy+" failed. Reason: "+reason).WithCause(err)
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.publishmessage."+name, 500, text).Failed("publishmessage." + s.policy + ".failed")
}

// reason is what Pub/Sub answered, without the details that are for operators.
func reason(err error) string {
	if st, ok := status.FromError(err); ok {
		return codeNames[st.Code()]
	}
	return "the message could not be sent"
}

// codeNames are the codes as Google's documentation writes them.
var codeNames = map[codes.Code]string{
	codes.Canceled: "CANCELLED", codes.Unknown: "UNKNOWN", codes.InvalidArgument: "INVALID_ARGUMENT",
	codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.NotFound: "NOT_FOUND", codes.AlreadyExists: "ALREADY_EXISTS",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION", codes.Aborted: "ABORTED", codes.OutOfRange: "OUT_OF_RANGE",
	codes.Unimplemented: "UNIMPLEMENTED", codes.Internal: "INTERNAL", codes.Unavailable: "UNAVAILABLE",
	codes.DataLoss: "DATA_LOSS", codes.Unauthenticated: "UNAUTHENTICATED",
}
