// Package conversion is what policies share that turn one payload into another:
// the <Source> they read, a message or a text, and the <OutputVariable> they
// write, which is of the same type.
package conversion

import (
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Names are what a policy's faults are called.
type Names struct {
	Policy string // element, "XMLToJSON"
	Prefix string // of fault codes, "steps.xml2json."
	Failed string // of the variable, "xmltojson"
}

// Exchange is a compiled pair of source and output.
type Exchange struct {
	names          Names
	policy         string
	source, output string
	sourceVar      flow.Var
	outputVar      flow.Var
}

// Compile compiles a source and an output. An empty source is the message of
// the flow, an empty output the source.
func Compile(env *policy.Env, names Names, source, output string) *Exchange {
	x := &Exchange{names: names, policy: env.Name(), source: source, output: output}
	if source == "" {
		x.source = "message"
	}
	x.sourceVar = env.Var(x.source)
	env.UsesMessage(x.source)
	if output != "" {
		x.outputVar = env.Var(output)
		env.UsesMessage(output)
	}
	return x
}

// Input is what is to be converted.
type Input struct {
	// Message is nil if the source is a text.
	Message *message.Message
	// Text is the text, or the body of the message.
	Text []byte
}

// MediaType is the content type of the message, without parameters and in lower
// case; "" of a text.
func (in *Input) MediaType() string {
	if in.Message == nil {
		return ""
	}
	return in.Message.MediaType()
}

// Source returns the message or the text to convert; the body of a message is
// not read yet. Errors are faults: SourceUnavailable, InvalidSourceType, and
// OutputVariableIsNotAvailable for a text that has no output.
func (x *Exchange) Source(fc *flow.Context) (Input, error) {
	if m := fc.MessageNamed(x.source); m != nil {
		return Input{Message: m}, nil
	}
	v := x.sourceVar.Get(fc)
	switch v.Kind() {
	case flow.Null:
		return Input{}, x.Fault("SourceUnavailable", "Source "+x.source+" is not available")
	case flow.Message:
		return Input{Message: v.Message()}, nil
	case flow.String:
		if x.output == "" {
			return Input{}, x.Fault("OutputVariableIsNotAvailable", "Output variable is not available.")
		}
		return Input{Text: []byte(v.String())}, nil
	}
	return Input{}, x.Fault("InvalidSourceType", "Source "+x.source+" is neither of type Message nor of type String")
}

// Read reads the body of a message.
func (x *Exchange) Read(in *Input) error {
	if in.Message == nil {
		return nil
	}
	var err error
	if in.Text, err = in.Message.Content(); err != nil {
		return x.Failed(err.Error()).WithCause(err)
	}
	return nil
}

// Write puts the result into the output: for a message its body and content
// type, else a text.
func (x *Exchange) Write(fc *flow.Context, in *Input, result []byte, contentType string) error {
	if in.Message == nil {
		return x.writeText(fc, string(result))
	}
	m := in.Message
	if x.output != "" && x.output != x.source {
		var err error
		if m, err = x.message(fc, in.Message); err != nil {
			return err
		}
	}
	m.SetContent(result)
	m.Header.Set("Content-Type", contentType)
	if fc.Observed() {
		fc.Emit(flow.Event{Kind: flow.VariableSet, Name: x.target() + ".content", Value: flow.StringValue(string(result))})
	}
	return nil
}

func (x *Exchange) target() string {
	if x.output != "" {
		return x.output
	}
	return x.source
}

func (x *Exchange) writeText(fc *flow.Context, s string) error {
	if fc.MessageNamed(x.output) != nil {
		return x.Fault("InCompatibleTypes", "String can not be assigned to message type.")
	}
	if err := x.outputVar.Set(fc, flow.StringValue(s)); err != nil {
		return x.Fault("OutputVariableIsNotAvailable", "Output variable is not available.").WithCause(err)
	}
	return nil
}

// message returns the output message, made of from's kind if there is none.
func (x *Exchange) message(fc *flow.Context, from *message.Message) (*message.Message, error) {
	if m := fc.MessageNamed(x.output); m != nil {
		return m, nil
	}
	switch x.output {
	case "response":
		return fc.NewResponse(), nil
	case "error":
		return nil, x.Fault("OutputVariableIsNotAvailable", "Output variable is not available.")
	}
	if v := x.outputVar.Get(fc); !v.IsNull() {
		return nil, x.Fault("InCompatibleTypes", "Message can not be assigned to string type.")
	}
	m := message.NewRequest()
	if !from.IsRequest() {
		m = message.NewResponse()
	}
	if err := x.outputVar.Set(fc, flow.MessageValue(m)); err != nil {
		return nil, x.Fault("OutputVariableIsNotAvailable", "Output variable is not available.").WithCause(err)
	}
	return m, nil
}

// Failed is the fault of a payload that cannot be converted.
func (x *Exchange) Failed(reason string) *fault.Fault {
	return x.Fault("ExecutionFailed", "Execution failed. reason: "+reason)
}

// Fault is a fault of the policy, of status 500.
func (x *Exchange) Fault(name, text string) *fault.Fault {
	return fault.New(x.names.Prefix+name, 500, x.names.Policy+"["+x.policy+"]: "+text).
		Failed(x.names.Failed + "." + x.policy + ".failed")
}
