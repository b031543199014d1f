// Package modelarmor is what the policies SanitizeUserPrompt and
// SanitizeModelResponse have in common: they let Model Armor judge a text by a
// template, set variables from what it says, and refuse the call where a filter
// matched. Whatever keeps Model Armor from judging is a fault: no text goes on
// that nobody looked at.
//
// Sources: the policies' pages, and
// https://cloud.google.com/security-command-center/docs/reference/model-armor/rest
package modelarmor

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/googlerest"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Settings is the element <ModelArmor>.
type Settings struct {
	bundle.Pos
	// TemplateName is projects/PROJECT/locations/LOCATION/templates/TEMPLATE, a
	// message template. Required.
	TemplateName string `xml:"TemplateName,once,required"`
}

// Text is a message template.
type Text struct {
	bundle.Pos
	Value string `xml:",chardata"`
}

// Subject is what one of the policies sends.
type Subject struct {
	// Policy is its root element and the first part of its variables.
	Policy string
	// Faults is the prefix of its fault codes: "steps.sanitize.user.prompt.".
	Faults string
	// Method is that of the API: "sanitizeUserPrompt".
	Method string
	// Missing names the fault where there is no text.
	Missing string
	// Data is the member of the request that holds the text.
	Data string
}

// Sources are the texts: Main is judged, and so is Also if it is set; either may
// be empty, both may not. Context goes with them.
type Sources struct{ Main, Also, Context *Text }

// Step is the policy compiled.
type Step struct {
	subject Subject
	client  *googlerest.Client
	ignore  bool
	name    *template.Template
	main    *template.Template
	also    *template.Template // nil: there is none
	context *template.Template // nil: there is none
	prefix  string             // of the variables
	failed  string
}

// Compile checks and compiles the policy.
func Compile(env *policy.Env, subject Subject, c *Settings, sources Sources, ignore bool) *Step {
	s := &Step{
		subject: subject, client: googlerest.New(env), ignore: ignore,
		prefix: subject.Policy + "." + env.Name() + ".",
		failed: subject.Policy + "." + env.Name() + ".failed",
		main:   compile(env, sources.Main), also: compile(env, sources.Also), context: compile(env, sources.Context),
	}
	if c == nil {
		return s
	}
	s.name = env.Template(c.Pos, strings.TrimSpace(c.TemplateName))
	if name, ok := s.name.Constant(); ok && c.TemplateName != "" {
		if endpoint(name) == "" {
			env.Errorf(c.Pos, "<TemplateName> is %q, want projects/PROJECT/locations/LOCATION/templates/TEMPLATE", name)
		}
	}
	return s
}

func compile(env *policy.Env, t *Text) *template.Template {
	if t == nil || strings.TrimSpace(t.Value) == "" {
		return nil
	}
	return env.Template(t.Pos, strings.TrimSpace(t.Value))
}

// named is a template's resource name. Its parts go into a host name and a path
// that an access token is sent to, so that nothing else is let through.
// Compiled when it is first wanted: with its repetitions that takes longer than
// all else that the program sets up as it starts.
var named = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^projects/[a-z0-9.:-]{1,100}/locations/([a-z0-9-]{1,40})/templates/[A-Za-z0-9_-]{1,63}$`)
})

// endpoint is the URL of a template, "" if it is none.
// Source: https://cloud.google.com/security-command-center/docs/regional-endpoints
func endpoint(name string) string {
	m := named().FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	return "https://modelarmor." + m[1] + ".rep.googleapis.com/v1/" + name
}

// Run has the text judged.
func (s *Step) Run(ctx context.Context, fc *flow.Context) error {
	s.clear(fc)
	name, err := s.name.Expand(fc, s.ignore)
	url := endpoint(strings.TrimSpace(name))
	if err != nil || url == "" {
		return s.armor("ModelArmorTemplateNameExtractionFailed", "Failed to extract the Model Armor template name from "+s.name.Source(), err)
	}
	body, err := s.request(fc)
	if err != nil {
		return err
	}
	fc.PutText(s.prefix+"requestSentToModelArmor", string(body))
	data, err := s.client.Post(ctx, fc, url+":"+s.subject.Method, body)
	if err != nil {
		return s.notReached(err)
	}
	fc.PutText(s.prefix+"responseFromModelArmor", string(data))
	fc.PutText(s.prefix+"response.content", string(data))
	return s.judge(fc, data)
}

// clear forgets what the policy found in an earlier event of a stream.
func (s *Step) clear(fc *flow.Context) {
	for _, name := range []string{"filterMatchState", "invocationResult", "responseFromModelArmor", "response.content"} {
		if !fc.Get(s.prefix + name).IsNull() {
			fc.Put(s.prefix+name, flow.Value{})
		}
	}
}

// request is the body of the call.
func (s *Step) request(fc *flow.Context) ([]byte, error) {
	text, err := s.texts(fc)
	if err != nil {
		return nil, err
	}
	body := map[string]any{s.subject.Data: map[string]string{"text": text}}
	if s.context != nil {
		prompt, err := s.context.Expand(fc, s.ignore)
		if err != nil {
			return nil, s.fault("FailedToExtractUserPrompt", "Failed to extract user prompt from "+s.context.Source(), err)
		}
		if prompt != "" {
			body["userPrompt"] = prompt
		}
	}
	return json.Marshal(body)
}

// texts joins what is to be judged. A source whose variable is not set has no
// text, but where IgnoreUnresolvedVariables is false it is a fault.
func (s *Step) texts(fc *flow.Context) (string, error) {
	var parts []string
	for _, t := range []*template.Template{s.main, s.also} {
		if t == nil {
			continue
		}
		text, err := t.Expand(fc, s.ignore)
		if err != nil {
			return "", s.fault(s.subject.Missing, s.missing(t), err)
		}
		if text != "" {
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		return "", s.fault(s.subject.Missing, s.missing(s.main), nil)
	}
	return strings.Join(parts, "\n"), nil
}

func (s *Step) missing(t *template.Template) string {
	return "Failed to extract " + map[string]string{
		"FailedToExtractUserPrompt": "user prompt", "FailedToExtractLLMResponse": "LLM response",
	}[s.subject.Missing] + " from " + t.Source()
}

// notReached says why Model Armor did not judge.
func (s *Step) notReached(err error) error {
	var e *googlerest.Error
	if !errors.As(err, &e) {
		return err // the call's own time is up
	}
	switch e.Reason {
	case googlerest.NoToken:
		return s.armor("AuthenticationFailure", "Failed to authenticate with Model Armor", err)
	case googlerest.Unavailable:
		return s.armor("ServiceUnavailable", "Model Armor is temporarily unavailable", err)
	case googlerest.Refused:
		return s.armor("ModelArmorAPIFailed", "Model Armor API call failed with "+e.Error(), err)
	}
	return s.armor("ModelArmorCalloutError", "Failed to call Model Armor", err)
}

// armor is a fault of the way to Model Armor; its code is the same for both
// policies.
func (s *Step) armor(name, text string, err error) *fault.Fault {
	return fault.New("steps.sanitize.modelarmor."+name, 500, text).Failed(s.failed).WithCause(err)
}

// fault is a fault of the policy.
func (s *Step) fault(name, text string, err error) *fault.Fault {
	return fault.New(s.subject.Faults+name, 500, text).Failed(s.failed).WithCause(err)
}
