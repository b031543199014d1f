// Package sanitizemodelresponse implements the <SanitizeModelResponse> policy: it
// lets Model Armor judge what a language model answered before the client sees it.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/sanitize-llm-response-policy
//
// The answer goes to sanitizeModelResponse of the template's location, with the
// access token of the deployment's service account. In an EventFlow it is asked once
// for each event.
//
// Variables, all below SanitizeModelResponse.P.: filterMatchState (MATCH_FOUND or
// NO_MATCH_FOUND), invocationResult (SUCCESS, PARTIAL or FAILURE), raiMatchesFound,
// promptInjectionDetected, promptInjectionConfidence, maliciousURIsDetected,
// csamFilterMatched, sdpDeidentifyFindings, requestSentToModelArmor,
// responseFromModelArmor, response.content (the same), failed; and every value of
// every filter's result by its path, such as raiFilterResult.matchState or
// sdpFilterResult.inspectResult.matchState. A template's own error code and message
// are in sanitizationMetadata.errorCode and sanitizationMetadata.errorMessage, with
// and without the prefix.
//
// Faults, which set SanitizeModelResponse.P.failed:
//
//   - steps.sanitize.model.response.FilterMatched (400): a filter matched; the text
//     says which
//   - steps.sanitize.model.response.FailedToExtractLLMResponse (500): there is no
//     answer, or a variable is not set and IgnoreUnresolvedVariables is false
//   - steps.sanitize.model.response.FailedToExtractUserPrompt (500): a variable of
//     <UserPromptSource> is not set and IgnoreUnresolvedVariables is false
//   - steps.sanitize.model.response.SanitizationResponseParsingFailed (500): the
//     answer of Model Armor is none
//   - steps.sanitize.model.response.InternalError (500): no filter was run
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
// Refused at deployment: no <ModelArmor>, <TemplateName> or <LLMResponseSource>, a
// <TemplateName> without variables that is no name of a template.
//
// Differences from Apigee: <FunctionCallSource> is judged together with the answer,
// in one text.
package sanitizemodelresponse

import (
	"github.com/perigee-gateway/perigee/shared/modelarmor"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the SanitizeModelResponse policy.
var Kind = policy.Define("SanitizeModelResponse", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// ModelArmor says by which template the answer is judged.
	ModelArmor *modelarmor.Settings `xml:"ModelArmor,once,required"`
	// LLMResponseSource is a message template that gives the model's answer.
	// Required.
	LLMResponseSource modelarmor.Text `xml:"LLMResponseSource,once,required"`
	// UserPromptSource is a message template that gives the prompt that the
	// answer is to. Optional.
	UserPromptSource modelarmor.Text `xml:"UserPromptSource,once"`
	// FunctionCallSource is a message template that gives the call of a function
	// that the model asks for. Optional.
	FunctionCallSource modelarmor.Text `xml:"FunctionCallSource,once"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text
	// instead of a fault. Without any answer the call is refused all the same.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	return modelarmor.Compile(env, modelarmor.Subject{
		Policy: "SanitizeModelResponse", Faults: "steps.sanitize.model.response.",
		Method: "sanitizeModelResponse", Missing: "FailedToExtractLLMResponse", Data: "modelResponseData",
	}, c.ModelArmor, modelarmor.Sources{
		Main: &c.LLMResponseSource, Also: &c.FunctionCallSource, Context: &c.UserPromptSource,
	}, c.IgnoreUnresolvedVariables), nil
}
