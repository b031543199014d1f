// Package httpmodifier implements the <HTTPModifier> policy: it changes headers,
// parameters and the first line of a message. It is AssignMessage without
// payloads, copies and variables.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/http-modifier-policy
//
// Faults (500), which set httpmodifier.P.failed: those of AssignMessage with the
// prefix steps.httpmodifier: UnresolvedVariable, VariableOfNonMsgType,
// SetVariableFailed. Refused at deployment: InvalidIndex.
package httpmodifier

import (
	"context"

	"github.com/perigee-gateway/perigee/shared/assignment"
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the HTTPModifier policy.
var Kind = policy.Define("HTTPModifier", New)

// Config is the policy's XML. Add, Remove and Set run in the order of the file.
type Config struct {
	policy.Header
	// AssignTo is the message to change.
	AssignTo assignment.AssignTo `xml:"AssignTo,once"`
	// Add appends values; a name that exists gets one value more.
	Add []assignment.Add `xml:"Add"`
	// Remove takes parts of the message away.
	Remove []Remove `xml:"Remove"`
	// Set replaces parts of the message.
	Set []Set `xml:"Set"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text
	// instead of a fault.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once"`
}

// Remove is a <Remove>.
type Remove struct {
	bundle.Pos
	// Headers, QueryParams and FormParams are removed by name, or all of them.
	Headers     *assignment.Headers     `xml:"Headers"`
	QueryParams *assignment.QueryParams `xml:"QueryParams"`
	FormParams  *assignment.FormParams  `xml:"FormParams"`
}

// Set is a <Set>.
type Set struct {
	bundle.Pos
	// Headers are header fields; values are templates.
	Headers []assignment.Field `xml:"Headers>Header"`
	// QueryParams are query parameters of a request; values are templates.
	QueryParams []assignment.Field `xml:"QueryParams>QueryParam"`
	// FormParams are form parameters; values are templates.
	FormParams []assignment.Field `xml:"FormParams>FormParam"`
	// Verb, Path and Version are templates, for requests only.
	Verb    *string `xml:"Verb"`
	Path    *string `xml:"Path"`
	Version *string `xml:"Version"`
	// StatusCode and ReasonPhrase are templates, for responses only.
	StatusCode   *string `xml:"StatusCode"`
	ReasonPhrase *string `xml:"ReasonPhrase"`
}

type step struct {
	to      *assignment.Destination
	program *assignment.Program
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	names := assignment.Names{
		Policy: "HTTPModifier", Prefix: "steps.httpmodifier.",
		Failed: []string{"httpmodifier." + env.Name() + ".failed"},
	}
	changes := assignment.Changes{Add: c.Add}
	for _, r := range c.Remove {
		changes.Remove = append(changes.Remove, assignment.Remove{
			Pos: r.Pos, Headers: r.Headers, QueryParams: r.QueryParams, FormParams: r.FormParams,
		})
	}
	for _, s := range c.Set {
		changes.Set = append(changes.Set, assignment.Set{
			Pos: s.Pos, Headers: s.Headers, QueryParams: s.QueryParams, FormParams: s.FormParams,
			Verb: s.Verb, Path: s.Path, Version: s.Version, StatusCode: s.StatusCode, ReasonPhrase: s.ReasonPhrase,
		})
	}
	options := assignment.Options{Names: names, To: c.AssignTo.Name, IgnoreUnresolved: c.IgnoreUnresolvedVariables}
	return &step{
		to:      c.AssignTo.Compile(env, names),
		program: assignment.Compile(env, env.Policy.Root, &changes, nil, options),
	}, nil
}

// Run changes the message.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	t, err := s.to.Target(fc)
	if err != nil {
		return err
	}
	return s.program.Run(ctx, fc, t)
}
