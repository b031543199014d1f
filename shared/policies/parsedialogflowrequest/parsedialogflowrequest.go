// Package parsedialogflowrequest implements the <ParseDialogflowRequest> policy: it
// reads the WebhookRequest of a Dialogflow CX agent into flow variables.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/parse-dialogflow-request-policy
// and https://cloud.google.com/dialogflow/cx/docs/reference/rest/v3/WebhookRequest
//
// Variables begin with google.dialogflow, or with <VariablePrefix>. Below that is the
// path of the member; sessionInfo is also called session, and fulfillmentInfo,
// intentInfo and pageInfo likewise: google.dialogflow.session.parameters.NAME,
// google.dialogflow.fulfillment.tag. With a <VariablePrefix> the parameters of the
// session are also directly below it. Objects and arrays are their JSON; elements of
// arrays count from 0.
//
// Faults (500), which set parsedialogflowrequest.P.failed:
//
//   - steps.parsedialogflowrequest.ExecutionFailed: the request has no JSON object
package parsedialogflowrequest

import (
	"context"
	"iter"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the ParseDialogflowRequest policy.
var Kind = policy.Define("ParseDialogflowRequest", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// VariablePrefix is what the variables begin with instead of google.dialogflow.
	VariablePrefix string `xml:"VariablePrefix,once"`
	// DialogflowVersion is the version of the agent. Whatever it says, the request is
	// read as one of Dialogflow CX, version 3.
	DialogflowVersion string `xml:"DialogflowVersion,once"`
}

type step struct {
	policy, prefix string
	own            bool // the prefix is the policy's
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	env.UsesContent(true, false)
	s := &step{policy: env.Name(), prefix: strings.TrimSuffix(c.VariablePrefix, "."), own: c.VariablePrefix != ""}
	if !s.own {
		s.prefix = "google.dialogflow"
	}
	return s, nil
}

// Run reads the request.
func (s *step) Run(_ context.Context, fc *flow.Context) error {
	body, err := fc.Request.Content()
	if err != nil {
		return s.failed(err)
	}
	root, err := jsonpath.Parse(body)
	if err != nil {
		return s.failed(err)
	}
	if root.Kind() != jsonpath.Object {
		return s.failed(nil)
	}
	fc.PutText(s.prefix, root.Text())
	fc.Provide(s.prefix+".", &variables{root, s.own})
	return nil
}

func (s *step) failed(err error) error {
	return fault.New("steps.parsedialogflowrequest.ExecutionFailed", 500, "ParseDialogflowRequest["+s.policy+"]: the request is no WebhookRequest").
		Failed("parsedialogflowrequest." + s.policy + ".failed").WithCause(err)
}

// variables are the members of a request, computed when they are read.
type variables struct {
	root *jsonpath.Value
	own  bool
}

// aliases are the short names of members.
var aliases = map[string]string{"session": "sessionInfo", "fulfillment": "fulfillmentInfo", "intent": "intentInfo", "page": "pageInfo"}

// Variable is the variable of a name without the prefix.
func (v *variables) Variable(name string) flow.Value {
	if val := find(v.root, name); val != nil {
		return value(val)
	}
	head, rest, more := strings.Cut(name, ".")
	if long, ok := aliases[head]; ok {
		if more {
			long += "." + rest
		}
		if val := find(v.root, long); val != nil {
			return value(val)
		}
	}
	if v.own {
		return value(find(v.root, "sessionInfo.parameters."+name))
	}
	return flow.Value{}
}

// find follows a path. The names of parameters may have dots in them, so every
// beginning of the path is tried.
func find(v *jsonpath.Value, path string) *jsonpath.Value {
	if v == nil || path == "" {
		return v
	}
	if v.Kind() == jsonpath.Array {
		head, rest, _ := strings.Cut(path, ".")
		n, err := strconv.Atoi(head)
		if items := v.Items(); err == nil && n >= 0 && n < len(items) {
			return find(items[n], rest)
		}
		return nil
	}
	if v.Kind() != jsonpath.Object {
		return nil
	}
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '.' {
			continue
		}
		if m := v.Member(path[:i]); m != nil {
			if found := find(m, strings.TrimPrefix(path[i:], ".")); found != nil {
				return found
			}
		}
	}
	return nil
}

func value(v *jsonpath.Value) flow.Value {
	if v == nil || v.Kind() == jsonpath.Null {
		return flow.Value{}
	}
	text := v.Text()
	switch v.Kind() {
	case jsonpath.Bool:
		return flow.BoolValue(text == "true")
	case jsonpath.Number:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return flow.IntValue(n)
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return flow.FloatValue(f)
		}
	}
	return flow.StringValue(text)
}

// Variables yields what a debug session shows: the parameters of the session, and
// what the agent asks for.
func (v *variables) Variables() iter.Seq2[string, flow.Value] {
	return func(yield func(string, flow.Value) bool) {
		for _, name := range []string{"session", "fulfillment", "intent", "page", "languageCode", "text", "detectIntentResponseId"} {
			if val := v.Variable(name); !val.IsNull() && !yield(name, val) {
				return
			}
		}
	}
}
