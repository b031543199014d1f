package messagelogging

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// CloudLogging is a log of Cloud Logging. The deployment's service account must
// be allowed to write to it.
type CloudLogging struct {
	bundle.Pos
	// LogName is projects/PROJECT/logs/LOG, a message template.
	LogName string `xml:"LogName,once"`
	// Message is the text of the entry.
	Message *Message `xml:"Message,once"`
	// Labels are labels of the entry.
	Labels []Label `xml:"Labels>Label"`
	// ResourceType is the type of the monitored resource.
	ResourceType string `xml:"ResourceType,once" default:"api"`

	_ struct{} `ignored:"Endpoint"`
}

// Label is a label; Value is a message template.
type Label struct {
	bundle.Pos
	Key   string `xml:"Key,once"`
	Value string `xml:"Value,once"`
}

// severities are Cloud Logging's names of the log levels.
var severities = map[string]string{"INFO": "INFO", "ALERT": "ALERT", "WARN": "WARNING", "ERROR": "ERROR"}

// entries writes to Cloud Logging.
type entries struct {
	logs        policy.Logs
	now         func() time.Time
	flush       func(context.Context)
	name        *template.Template
	message     *template.Template
	contentType *template.Template
	severity    string
	resource    string
	labels      []label
}

type label struct {
	key   string
	value *template.Template
}

func (b *builder) cloudLogging(c *CloudLogging) writer {
	env := b.env
	if c.LogName == "" {
		env.Errorf(c.Pos, "<CloudLogging> has no <LogName>")
	}
	if env.Logs == nil {
		env.Errorf(c.Pos, "this host does not write to Cloud Logging")
		return nil
	}
	e := &entries{
		logs: env.Logs, now: env.Now, flush: env.Logs.Flush,
		name: env.Template(c.Pos, c.LogName), message: b.message("CloudLogging", c.Message),
		severity: severities[b.c.LogLevel], resource: c.ResourceType,
	}
	contentType := "text/plain"
	if c.Message != nil {
		contentType = c.Message.ContentType
	}
	e.contentType = env.Template(c.Pos, contentType)
	if s, ok := e.contentType.Constant(); ok && mediaType(s) == "" {
		env.Errorf(c.Message.Pos, "contentType of <Message> is %q, want text/plain or application/json", s)
	}
	if s, ok := e.name.Constant(); ok && c.LogName != "" && logName(s) == "" {
		env.Errorf(c.Pos, "InvalidGoogleCloudLogName: <LogName> is %q, want projects/PROJECT/logs/LOG", s)
	}
	for _, l := range c.Labels {
		if l.Key == "" {
			env.Errorf(l.Pos, "<Label> has no <Key>")
		}
		e.labels = append(e.labels, label{l.Key, env.Template(l.Pos, l.Value)})
	}
	return e
}

func (e *entries) write(ctx context.Context, fc *flow.Context) error {
	name, err := e.name.Expand(fc, true)
	if err != nil {
		return err
	}
	entry := policy.LogEntry{LogName: logName(name), Severity: e.severity, Resource: e.resource, Time: e.now()}
	if entry.LogName == "" {
		return newFault("InvalidGoogleCloudLogName", "Log name "+name+" is not of the format projects/{project}/logs/{log}")
	}
	if err := e.payload(fc, &entry); err != nil {
		return err
	}
	if len(e.labels) > 0 {
		entry.Labels = make(map[string]string, len(e.labels))
		for _, l := range e.labels {
			if entry.Labels[l.key], err = l.value.Expand(fc, true); err != nil {
				return err
			}
		}
	}
	err = e.logs.Write(ctx, fc.Proxy.ServiceAccount, entry)
	if errors.Is(err, policy.ErrTooManyPending) {
		return newFault("TooManyPendingLoggingRequest", "Too many pending logging requests").WithCause(err)
	}
	if err == nil {
		fc.After(e.flush)
	}
	return err
}

func (e *entries) payload(fc *flow.Context, entry *policy.LogEntry) error {
	contentType, err := e.contentType.Expand(fc, true)
	if err != nil {
		return err
	}
	text, err := e.message.Expand(fc, true)
	if err != nil {
		return err
	}
	switch mediaType(contentType) {
	case "text/plain":
		entry.Text = text
		return nil
	case "application/json":
		return jsonPayload(text, entry)
	}
	return newFault("InvalidJsonMessage", "Content type "+contentType+" is neither text/plain nor application/json")
}

// jsonPayload makes the message the structured payload. JSON that is no object
// cannot be one and is logged as text.
func jsonPayload(text string, entry *policy.LogEntry) error {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return newFault("InvalidJsonMessage", "The message is not valid JSON").WithCause(err)
	}
	object, ok := v.(map[string]any)
	if !ok {
		entry.Text = text
		return nil
	}
	entry.JSON = object
	return nil
}

// mediaType is the type that s asks for, "" if it is none of the two.
func mediaType(s string) string {
	t, _, _ := strings.Cut(s, ";")
	switch t = strings.ToLower(strings.TrimSpace(t)); t {
	case "":
		return "text/plain"
	case "text/plain", "application/json":
		return t
	}
	return ""
}

// logName is the resource name of a log with its id escaped as Google wants it,
// "" if s is none.
func logName(s string) string {
	kind, rest, _ := strings.Cut(strings.TrimSpace(s), "/")
	owner, id, ok := strings.Cut(rest, "/logs/")
	if !ok || owner == "" || id == "" || len(id) > 511 || !made(owner, "-_.:") || !made(id, "/_-.%") {
		return ""
	}
	switch kind {
	case "projects", "organizations", "folders", "billingAccounts":
	default:
		return ""
	}
	if strings.Contains(id, "%") { // escaped already
		plain, err := url.PathUnescape(id)
		if err != nil {
			return ""
		}
		id = plain
	}
	return kind + "/" + owner + "/logs/" + url.PathEscape(id)
}

// made reports whether s is made of letters, digits and others.
func made(s, others string) bool {
	for i := range len(s) {
		if c := s[i]; !letterOrDigit(c) && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}

func letterOrDigit(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}
