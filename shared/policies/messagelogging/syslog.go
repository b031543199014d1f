package messagelogging

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/javatime"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Syslog is a syslog server.
type Syslog struct {
	bundle.Pos
	// Message is the text to send.
	Message *Message `xml:"Message,once"`
	// Host is the server.
	Host string `xml:"Host,once" default:"localhost"`
	// Port is where it listens.
	Port string `xml:"Port,once" default:"514"`
	// Protocol is TCP or UDP.
	Protocol string `xml:"Protocol,once" default:"UDP"`
	// FormatMessage puts the header of RFC 5424 before the message: priority,
	// version, time, the gateway's id and "Apigee".
	FormatMessage bool `xml:"FormatMessage,once"`
	// DateFormat is the format of the time in the header, a pattern of Java's
	// SimpleDateFormat.
	DateFormat string `xml:"DateFormat,once" default:"yyyy-MM-dd'T'HH:mm:ss.SSSZ"`
	// PayloadOnly leaves the header out whatever FormatMessage says.
	PayloadOnly bool `xml:"PayloadOnly,once"`
	// SSLInfo is for TLS, over TCP only.
	SSLInfo *bundle.SSLInfo `xml:"SSLInfo,once"`
}

// priorities are the header's beginnings: facility 1 (user level) and the
// severity, and the version.
// Source: RFC 5424 section 6.2.1
var priorities = map[string]string{"INFO": "<14>1 ", "ALERT": "<9>1 ", "WARN": "<12>1 ", "ERROR": "<11>1 "}

// lines writes to a syslog server.
type lines struct {
	sink     policy.LogSink
	now      func() time.Time
	message  *template.Template
	priority string           // "" without header
	date     *javatime.Layout // of the header
	id       flow.Var
}

func (b *builder) syslog(c *Syslog) writer {
	env := b.env
	l := &lines{now: env.Now, message: b.message("Syslog", c.Message), id: flow.Compile("system.uuid")}
	if c.FormatMessage && !c.PayloadOnly {
		l.priority = priorities[b.c.LogLevel]
	}
	var err error
	if l.date, err = javatime.Compile(c.DateFormat); err != nil {
		env.Errorf(c.Pos, "<DateFormat> %q: %v", c.DateFormat, err)
	}
	port, err := strconv.Atoi(c.Port)
	if err != nil || port < 1 || port > 65535 {
		env.Errorf(c.Pos, "InvalidPort: Invalid Port: %s for Syslog handler in policy %s.", c.Port, env.Name())
	}
	tcp := strings.EqualFold(c.Protocol, "TCP")
	if !tcp && !strings.EqualFold(c.Protocol, "UDP") {
		env.Errorf(c.Pos, "InvalidProtocol: Invalid Protocol: %s for Syslog handler in policy %s.", c.Protocol, env.Name())
	}
	if !tcp && c.SSLInfo != nil {
		env.Errorf(c.SSLInfo.Pos, "<SSLInfo> needs <Protocol>TCP</Protocol>: there is no TLS over UDP")
	}
	if env.Syslog == nil {
		env.Errorf(c.Pos, "this host does not write to syslog servers")
		return nil
	}
	l.sink = env.Syslog.OpenSyslog(policy.LogServer{Pos: c.Pos, Host: c.Host, Port: port, TCP: tcp, SSLInfo: c.SSLInfo}, env)
	return l
}

func (l *lines) write(_ context.Context, fc *flow.Context) error {
	line, err := l.message.Append(l.header(fc), fc, true)
	if err != nil {
		return err
	}
	fc.After(func(ctx context.Context) { l.sink.Send(ctx, line) })
	return nil
}

// header is "<14>1 2023-03-20T09:24:39.039+0000 UUID Apigee - - - ", or nothing.
func (l *lines) header(fc *flow.Context) []byte {
	if l.priority == "" {
		return nil
	}
	b := make([]byte, 0, 256)
	b = append(b, l.priority...)
	b = l.date.Append(b, l.now().UTC())
	b = append(b, ' ')
	b = append(b, l.id.Get(fc).String()...)
	return append(b, " Apigee - - - "...)
}
