// Package prompttokenlimit implements the <PromptTokenLimit> policy: SpikeArrest
// for the tokens of prompts. State is local to the process.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/prompt-token-limit-policy
//
// Without UseEffectiveCount a prompt of n tokens takes n times period/N; another is
// let through while what was taken so far is at most a tenth of the period ahead of
// time. With it N tokens are let through in any period. A prompt of more tokens than the rate allows in a
// period is always too much.
//
// The number of tokens is an estimate: each model counts in its own way, and Apigee
// does not say how it counts. Words of Latin letters are one token for about five
// letters, numbers one for three digits, signs and CJK characters one each.
//
// Variables: ratelimit.P.userPromptTokenCount, ratelimit.P.resolvedUserPrompt,
// ratelimit.P.available.count, ratelimit.P.exceed.count, ratelimit.P.failed.
//
// Faults, which set ratelimit.P.failed:
//
//   - policies.prompttokenlimit.PromptTokenLimitViolation (429): the rate is
//     exceeded
//   - policies.prompttokenlimit.FailedToExtractUserPrompt (400): there is no prompt
//   - policies.prompttokenlimit.FailedToCalculateUserPromptTokens (500): the prompt
//     is not UTF-8
//   - policies.prompttokenlimit.FailedToResolveRate (500): the variable with the
//     rate is not set, or holds none
//
// IgnoreUnresolvedVariables lets calls without a prompt through.
//
// Refused at deployment: InvalidAllowedRate.
package prompttokenlimit

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/spike"
	"github.com/perigee-gateway/perigee/shared/template"
)

// Kind is the PromptTokenLimit policy.
var Kind = policy.Define("PromptTokenLimit", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// UserPromptSource is a template that gives the prompt; by default the last
	// part of Gemini's contents.
	UserPromptSource Ref `xml:"UserPromptSource,once" default:"{jsonPath('$.contents[-1].parts[-1].text',request.content,true)}"`
	// Identifier is the variable by which prompts are counted apart.
	Identifier Ref `xml:"Identifier,once"`
	// Rate is Nps or Npm, tokens a second or a minute: the variable in ref, else
	// the content. Required.
	Rate Ref `xml:"Rate,once,required"`
	// UseEffectiveCount counts in a sliding window instead of smoothing.
	UseEffectiveCount bool `xml:"UseEffectiveCount,once"`
	// IgnoreUnresolvedVariables lets calls without a prompt through.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// Ref is a variable, and a text where it is not set.
type Ref struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`
}

type step struct {
	prompt     *template.Template
	identifier flow.Var
	rateRef    flow.Var
	fixed      spike.Rate
	ignore     bool
	limiter    *spike.Limiter

	count, resolved, available, exceed, failed string // variables
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	prefix := "ratelimit." + env.Name()
	s := &step{
		prompt: env.Template(c.UserPromptSource.Pos, strings.TrimSpace(c.UserPromptSource.Text)),
		ignore: c.IgnoreUnresolvedVariables, limiter: spike.New(c.UseEffectiveCount),
		count: prefix + ".userPromptTokenCount", resolved: prefix + ".resolvedUserPrompt",
		available: prefix + ".available.count", exceed: prefix + ".exceed.count", failed: prefix + ".failed",
	}
	if ref := strings.TrimSpace(c.Identifier.Ref); ref != "" {
		s.identifier = env.Var(ref)
	}
	if ref := strings.TrimSpace(c.Rate.Ref); ref != "" {
		s.rateRef = env.Var(ref)
	}
	text := strings.TrimSpace(c.Rate.Text)
	var ok bool
	s.fixed, ok = spike.ParseRate(text)
	if !ok && (text != "" || s.rateRef.IsZero()) {
		env.Errorf(c.Rate.Pos, "InvalidAllowedRate: Invalid rate %s.", text)
	}
	return s, nil
}

// Run counts the tokens of the prompt.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	rate, err := s.rate(fc)
	if err != nil {
		return err
	}
	prompt, err := s.extract(fc)
	if err != nil {
		return err
	}
	if !utf8.ValidString(prompt) {
		return s.fault("FailedToCalculateUserPromptTokens", 500, "Failed to calculate user prompt tokens")
	}
	tokens := countTokens(prompt)
	fc.Put(s.count, flow.IntValue(tokens))
	fc.PutText(s.resolved, prompt)
	if tokens == 0 {
		return nil
	}
	id := ""
	if !s.identifier.IsZero() {
		id = s.identifier.Get(fc).String()
	}
	available, ok := int64(0), false
	if tokens <= rate.Messages {
		available, ok = s.limiter.Take(id, rate, tokens, fc.Now())
	}
	exceeded := int64(0)
	if !ok {
		exceeded = tokens
	}
	fc.Put(s.available, flow.IntValue(available))
	fc.Put(s.exceed, flow.IntValue(exceeded))
	if !ok {
		return s.fault("PromptTokenLimitViolation", 429, "Prompt token limit violation. Allowed rate : "+rate.String())
	}
	return nil
}

func (s *step) rate(fc *flow.Context) (spike.Rate, error) {
	if !s.rateRef.IsZero() {
		if text := s.rateRef.Get(fc).String(); text != "" {
			if r, ok := spike.ParseRate(text); ok {
				return r, nil
			}
			return spike.Rate{}, s.fault("FailedToResolveRate", 500, "Failed to resolve rate reference "+s.rateRef.Name())
		}
	}
	if s.fixed.Messages == 0 {
		return spike.Rate{}, s.fault("FailedToResolveRate", 500, "Failed to resolve rate reference "+s.rateRef.Name())
	}
	return s.fixed, nil
}

func (s *step) extract(fc *flow.Context) (string, error) {
	text, err := s.prompt.Expand(fc, false)
	var unresolved *template.Unresolved
	if errors.As(err, &unresolved) {
		text, err = "", nil
	}
	if err == nil && (text != "" || s.ignore) {
		return text, nil
	}
	return "", s.fault("FailedToExtractUserPrompt", 400, "Failed to extract user prompt from "+s.prompt.Source()).WithCause(err)
}

func (s *step) fault(name string, status int, text string) *fault.Fault {
	return fault.New("policies.prompttokenlimit."+name, status, text).Failed(s.failed)
}
