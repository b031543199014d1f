// Package sanitizeuserprompt implements the <SanitizeUserPrompt> policy: it lets
// Model Armor judge the prompt of a user before a language model sees it.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/sanitize-user-prompt-policy
//
// The prompt goes to sanitizeUserPrompt of the template's location, with the access
// token of the deployment's service account.
//
// Variables, all below SanitizeUserPrompt.P.: filterMatchState (MATCH_FOUND or
// NO_MATCH_FOUND), invocationResult (SUCCESS, PARTIAL or FAILURE), raiMatchesFound,
// promptInjectionDetected, promptInjectionConfidence, maliciousURIsDetected,
// csamFilterMatched, sdpDeidentifyFindings, requestSentToModelArmor,
// responseFromModelArmor, response.content (the same), failed; and every value of
// every filter's result by its path, such as raiFilterResult.matchState or
// sdpFilterResult.inspectResult.matchState. A template's own error code and message
// are in sanitizationMetadata.errorCode and sanitizationMetadata.errorMessage, with
// and without the prefix.
//
// Faults, which set SanitizeUserPrompt.P.failed:
//
//   - steps.sanitize.user.prompt.FilterMatched (400): a filter matched; the text
//     says which
//   - steps.sanitize.user.prompt.FailedToExtractUserPrompt (500): there is no
//     prompt, or a variable is not set and IgnoreUnresolvedVariables is false
//   - steps.sanitize.user.prompt.SanitizationResponseParsingFailed (500): the
//     answer of Model Armor is none
//   - steps.sanitize.user.prompt.InternalError (500): no filter was run
//   - steps.sanitize.modelarmor.ModelArmorTemplateNameExtractionFailed (500): the
//     name of the template is none
//   - steps.sanitize.modelarmor.AuthenticationFailure (500): no access token, or
//     one that is not taken
//   - steps.sanitize.modelarmor.ModelArmorCalloutError (500): Model Armor is not
//     reached
//   - steps.sanitize.modelarmor.ServiceUnavailable (500): Model Armor says that it
//     cannot answer now
//   - steps.sanitize.modelarmor.ModelArmorAPIFailed (500): it refuses the call
//
// Refused at deployment: no <ModelArmor> or <TemplateName>, a <TemplateName>
// without variables that is no name of a template.
//
// Differences from Apigee: <FunctionResponseSource> is judged together with the
// prompt, in one text.
package sanitizeuserprompt

import (
	"github.com/perigee-gateway/perigee/shared/modelarmor"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the SanitizeUserPrompt policy.
var Kind = policy.Define("SanitizeUserPrompt", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// ModelArmor says by which template the prompt is judged.
	ModelArmor *modelarmor.Settings `xml:"ModelArmor,once,required"`
	// UserPromptSource is a message template that gives the prompt; by default
	// the last part of Gemini's contents.
	UserPromptSource modelarmor.Text `xml:"UserPromptSource,once" default:"{jsonPath('$.contents[-1].parts[-1].text',request.content,true)}"`
	// FunctionResponseSource is a message template that gives what a function
	// answered to the model. Optional.
	FunctionResponseSource modelarmor.Text `xml:"FunctionResponseSource,once"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text
	// instead of a fault. Without any text the call is refused all the same.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	return modelarmor.Compile(env, modelarmor.Subject{
		Policy: "SanitizeUserPrompt", Faults: "steps.sanitize.user.prompt.",
		Method: "sanitizeUserPrompt", Missing: "FailedToExtractUserPrompt", Data: "userPromptData",
	}, c.ModelArmor, modelarmor.Sources{Main: &c.UserPromptSource, Also: &c.FunctionResponseSource}, c.IgnoreUnresolvedVariables), nil
}
