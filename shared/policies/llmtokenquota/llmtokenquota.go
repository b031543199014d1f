// Package llmtokenquota implements the <LLMTokenQuota> policy: a quota of the
// tokens that a language model consumed.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/llm-token-quota-policy
//
// What is counted stands in the model's response. So usually one policy counts in
// the response flow (CountOnly) and another, of the same SharedName, refuses in
// the request flow (EnforceOnly) once the quota is used up. In an EventFlow events
// without a number of tokens count nothing. All else is as with Quota.
//
// Variables: those of Quota (ratelimit.P.).
//
// Faults, which set ratelimit.P.failed:
//
//   - policies.llmtokenquota.LLMTokenQuotaViolation (429): it is too much
//   - policies.llmtokenquota.FailedToResolveTokenUsageCount (500): there is no
//     number of tokens
//   - policies.llmtokenquota.FailedToResolveModelName (400): there is no model
//   - policies.llmtokenquota.MessageTemplateExtractionFailed (500): a template
//     cannot be evaluated
//   - policies.llmtokenquota.FailedToResolveQuotaIntervalReference,
//     policies.llmtokenquota.FailedToResolveQuotaIntervalTimeUnitReference (500)
//   - policies.llmtokenquota.QuotaUnavailable (503): the counter cannot be reached
//
// IgnoreUnresolvedVariables leaves a response without tokens uncounted, and a call
// without model alone, instead of the second and third.
//
// Refused at deployment: InvalidConfiguration, and what Quota refuses.
package llmtokenquota

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/ratelimit"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the LLMTokenQuota policy.
var Kind = policy.Define("LLMTokenQuota", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	ratelimit.Settings
	// LLMTokenUsageSource is a template that gives the number of tokens. One
	// that only enforces needs none.
	LLMTokenUsageSource Template `xml:"LLMTokenUsageSource,once"`
	// LLMModelSource is a template that gives the model's name. The call must
	// have one; it is counted with all others.
	LLMModelSource Template `xml:"LLMModelSource,once"`
	// IgnoreUnresolvedVariables lets calls be that have no tokens or no model.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// Template is a message template.
type Template struct {
	bundle.Pos
	Text string `xml:",chardata"`
}

// defaultUsage is where Gemini's responses say it.
const defaultUsage = "{jsonPath('$.usageMetadata.candidatesTokenCount',response.content,true)}"

type step struct {
	quota  *ratelimit.Quota
	usage  *template.Template // nil: nothing is counted
	model  *template.Template // nil: none is asked for
	ignore bool
	events bool // the usage is that of an event
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	s := &step{quota: c.Compile(env, env.Name(), ratelimit.Tokens), ignore: c.IgnoreUnresolvedVariables}
	usage := strings.TrimSpace(c.LLMTokenUsageSource.Text)
	switch {
	case c.EnforceOnly:
	case usage == "" && c.CountOnly:
		env.Errorf(bundle.Pos{}, "InvalidConfiguration: a policy that counts needs <LLMTokenUsageSource>")
	case usage == "":
		usage = defaultUsage
		fallthrough
	default:
		s.usage = env.Template(c.LLMTokenUsageSource.Pos, usage)
		s.events = strings.Contains(usage, "response.event.")
	}
	if model := strings.TrimSpace(c.LLMModelSource.Text); model != "" {
		s.model = env.Template(c.LLMModelSource.Pos, model)
	}
	return s, nil
}

// Run counts the tokens.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	if err := s.checkModel(fc); err != nil {
		return err
	}
	if s.usage == nil {
		return s.quota.Run(ctx, fc, 1)
	}
	text, err := s.expand(fc, s.usage)
	if err != nil {
		return err
	}
	if text == "" && (s.ignore || s.events) {
		return nil
	}
	tokens, ok := number(text)
	if !ok {
		return s.quota.Fault("FailedToResolveTokenUsageCount", 500, "Failed to resolve LLM token usage count from "+s.usage.Source())
	}
	return s.quota.Run(ctx, fc, tokens)
}

func (s *step) checkModel(fc *flow.Context) error {
	if s.model == nil {
		return nil
	}
	text, err := s.expand(fc, s.model)
	if err != nil {
		return err
	}
	if text == "" && !s.ignore {
		return s.quota.Fault("FailedToResolveModelName", 400, "Failed to resolve LLM model name from "+s.model.Source())
	}
	return nil
}

// expand is a template's text; one with a variable that is not set has none.
func (s *step) expand(fc *flow.Context, t *template.Template) (string, error) {
	text, err := t.Expand(fc, false)
	var unresolved *template.Unresolved
	switch {
	case errors.As(err, &unresolved):
		return "", nil
	case err != nil:
		return "", s.quota.Fault("MessageTemplateExtractionFailed", 500, "Failed to extract message template "+t.Source()).WithCause(err)
	}
	return strings.TrimSpace(text), nil
}

// number reads a number of tokens; JSON may have it as 12.0.
func number(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, n >= 0
	}
	f, err := strconv.ParseFloat(text, 64)
	return int64(f), err == nil && f >= 0 && f < 1<<53 && f == float64(int64(f))
}
