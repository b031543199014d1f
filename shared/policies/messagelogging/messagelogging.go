// Package messagelogging implements the <MessageLogging> policy: it writes a
// message to Cloud Logging, to a syslog server or to a file. Messages leave when
// the response is with the client, and before the host lets go of the request.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/message-logging-policy
//
// Variables that are not set give empty text. What cannot be delivered is logged
// by the host and fails no call.
//
// Faults (500), which set messagelogging.failed and messagelogging.P.failed:
//
//   - steps.messagelogging.StepDefinitionExecutionFailed: the message could not
//     be made, or a file not be written
//   - steps.messagelogging.InvalidGoogleCloudLogName: LogName is not
//     projects/PROJECT/logs/LOG
//   - steps.messagelogging.InvalidJsonMessage: the message is not JSON while
//     contentType says so, or contentType is another type
//   - steps.messagelogging.TooManyPendingLoggingRequest: 2500 entries wait
//
// Refused at deployment: InvalidProtocol, InvalidPort.
package messagelogging

import (
	"context"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the MessageLogging policy.
var Kind = policy.Define("MessageLogging", New)

// Config is the policy's XML. Exactly one of CloudLogging, Syslog and File says
// where messages go.
type Config struct {
	policy.Header
	// CloudLogging writes to Cloud Logging.
	CloudLogging *CloudLogging `xml:"CloudLogging,once"`
	// Syslog writes to a syslog server.
	Syslog *Syslog `xml:"Syslog,once"`
	// File writes to a file, where the host has a directory for them.
	File *File `xml:"File,once"`
	// LogLevel is the severity of the messages.
	LogLevel string `xml:"logLevel,once" default:"INFO" enum:"INFO,ALERT,WARN,ERROR"`
	// BufferMessage reads the bodies into memory even if they would be streamed.
	BufferMessage bool `xml:"BufferMessage,once"`
}

// Message is the text to log.
type Message struct {
	bundle.Pos
	// ContentType is text/plain or application/json; a message template.
	ContentType string `xml:"contentType,attr" default:"text/plain"`
	// VariablePrefix and VariableSuffix stand around variables instead of braces.
	VariablePrefix string `xml:"variablePrefix,attr"`
	VariableSuffix string `xml:"variableSuffix,attr"`
	// Template is a resource that holds the text.
	Template string            `xml:"template,attr"`
	Text     string            `xml:",chardata"`
	Markup   []*bundle.Element `xml:",any"`
}

// writer puts one message on its way.
type writer interface {
	write(ctx context.Context, fc *flow.Context) error
}

type step struct {
	writer
	policy string
	names  []string // variables of a failure
}

// Run writes the message.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	err := s.write(ctx, fc)
	if f, ok := err.(*fault.Fault); ok {
		return f.Failed(s.names...)
	}
	if err != nil {
		return newFault("StepDefinitionExecutionFailed", "Execution of MessageLogging "+s.policy+" failed").WithCause(err).Failed(s.names...)
	}
	return nil
}

func newFault(name, text string) *fault.Fault {
	return fault.New("steps.messagelogging."+name, 500, text)
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if c.BufferMessage {
		env.UsesContent(true, true)
	}
	b := &builder{env: env, c: c}
	s := &step{policy: env.Name(), names: []string{"messagelogging.failed", "messagelogging." + env.Name() + ".failed"}}
	n := 0
	for _, given := range []bool{c.CloudLogging != nil, c.Syslog != nil, c.File != nil} {
		if given {
			n++
		}
	}
	switch {
	case n != 1:
		env.Errorf(bundle.Pos{}, "<MessageLogging> needs exactly one of <CloudLogging>, <Syslog> and <File>")
	case c.CloudLogging != nil:
		s.writer = b.cloudLogging(c.CloudLogging)
	case c.Syslog != nil:
		s.writer = b.syslog(c.Syslog)
	default:
		s.writer = b.file(c.File)
	}
	return s, nil
}

type builder struct {
	env *policy.Env
	c   *Config
}

// message compiles the text of el, the <Message> below parent.
func (b *builder) message(parent string, m *Message) *template.Template {
	if m == nil {
		b.env.Errorf(bundle.Pos{}, "<%s> has no <Message>", parent)
		return b.env.Template(bundle.Pos{}, "")
	}
	text := b.env.Policy.Root.Child(parent).Child("Message").Content()
	if m.Template != "" {
		data, err := b.env.Resource(m.Template)
		if err != nil {
			b.env.Errorf(m.Pos, "%v", err)
		}
		text = string(data)
	}
	return b.env.Template(m.Pos, strings.TrimSpace(text), template.Delimiters(m.VariablePrefix, m.VariableSuffix))
}
