// Package fault is what an API's client sees when a call fails: Apigee's
// fault codes, their HTTP status, and the default error body.
package fault

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/message"
)

// Fault is an Apigee fault. A policy returns one from Run; the pipeline enters
// the error flow with it.
type Fault struct {
	// Code is the full error code, "policies.ratelimit.QuotaViolation".
	Code string
	// Text is the fault string, already filled in.
	Text string
	// Status is the HTTP status of the error response.
	Status int
	// Reason is the reason phrase; empty means the standard one of Status.
	Reason string
	// Name overrides fault.name, which otherwise is the last part of Code.
	Name string
	// Detail is the reason code that Apigee puts into detail.reason for
	// target errors ("TARGET_CONNECT_TIMEOUT"); empty leaves it out.
	Detail string
	// Category and Subcategory feed fault.category and fault.subcategory;
	// empty means "Step" faults of category Messaging.
	Category, Subcategory string
	// Policy is the name of the policy that failed; the pipeline fills it in.
	Policy string
	// FailedVariables are the flow variables set to true when the policy
	// fails ("ratelimit.Q-1.failed"). The policy fills them in.
	FailedVariables []string
	// Message, if set, is the error message to send instead of the default
	// body: RaiseFault and target error responses have one.
	Message *message.Message
	// Header holds fields to add to the error response (WWW-Authenticate).
	Header []message.Field
	// Cause is the underlying error, for logs only.
	Cause error
	// Always marks faults that end the flow even where the policy has
	// continueOnError.
	Always bool
	// Target marks faults of the target call (SendRequest): they are
	// handled by the fault rules of the TargetEndpoint.
	Target bool
}

// New returns a fault with the given code, status and text.
func New(code string, status int, text string) *Fault {
	return &Fault{Code: code, Status: status, Text: text}
}

// Error implements error: the code and the fault string.
func (f *Fault) Error() string {
	if f.Cause != nil {
		return f.Code + ": " + f.Text + ": " + f.Cause.Error()
	}
	return f.Code + ": " + f.Text
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Cause }

// ShortName is fault.name: Name, or the last part of the code.
func (f *Fault) ShortName() string {
	if f.Name != "" {
		return f.Name
	}
	return f.Code[strings.LastIndexByte(f.Code, '.')+1:]
}

// WithCause returns f with its cause set.
func (f *Fault) WithCause(err error) *Fault {
	f.Cause = err
	return f
}

// Failed returns f with variables to set to true appended.
func (f *Fault) Failed(vars ...string) *Fault {
	f.FailedVariables = append(f.FailedVariables, vars...)
	return f
}

// JSON returns Apigee's default error body:
//
//	{"fault":{"faultstring":"…","detail":{"errorcode":"…"}}}
func (f *Fault) JSON() []byte {
	b := make([]byte, 0, 64+len(f.Text)+len(f.Code)+len(f.Detail))
	b = append(b, `{"fault":{"faultstring":`...)
	b = AppendString(b, f.Text)
	b = append(b, `,"detail":{"errorcode":`...)
	b = AppendString(b, f.Code)
	if f.Detail != "" {
		b = append(b, `,"reason":`...)
		b = AppendString(b, f.Detail)
	}
	return append(b, `}}}`...)
}

// AppendString appends s as a JSON string in the way Apigee writes it: '/' is
// escaped as '\/', other text as is.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '/':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// XML returns the error body for callers that speak plain XML.
func (f *Fault) XML() []byte {
	return []byte("<?xml version='1.0' encoding='UTF-8'?><fault><faultstring>" + escapeXML(f.Text) +
		"</faultstring>\n<detail><errorcode>" + escapeXML(f.Code) + "</errorcode></detail></fault>")
}

// SOAP returns the error body for callers that speak SOAP 1.2.
func (f *Fault) SOAP() []byte {
	return []byte(`<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"><env:Body><env:Fault><env:Code><env:Value>env:Receiver</env:Value><env:Subcode><env:Value>` +
		escapeXML(f.Code) + `</env:Value></env:Subcode></env:Code><env:Reason><env:Text xml:lang="en">` + escapeXML(f.Text) +
		`</env:Text></env:Reason></env:Fault></env:Body></env:Envelope>`)
}

var xmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")

func escapeXML(s string) string { return xmlEscaper.Replace(s) }
