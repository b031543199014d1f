package trace

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// maxRecord bounds a transaction, in bytes of text: a document of the store holds
// 1 MiB. What is over it is left out, and the transaction is not complete.
const maxRecord = 600 << 10

// maxValue bounds the recorded value of a variable, in bytes.
const maxValue = 8 << 10

const timestamp = "02-01-06 15:04:05"

// recorder records one call.
type recorder struct {
	t       *Tracer
	session *session
	mask    *mask
	tx      *apigee.GoogleCloudApigeeV1DebugSessionTransaction
	open    []*step                             // steps that are running, inner ones last
	pending []*apigee.GoogleCloudApigeeV1Access // of what comes next
	phase   flow.Phase
	started bool
	size    int
	cut     bool
	over    bool // what comes now is not recorded
	secrets []string
}

// step is a policy that is running.
type step struct {
	point  *apigee.GoogleCloudApigeeV1Point
	access []*apigee.GoogleCloudApigeeV1Access
	output []string
}

type property = apigee.GoogleCloudApigeeV1Property

func newRecorder(t *Tracer, s *session, m *mask, fc *flow.Context) *recorder {
	r := &recorder{t: t, session: s, mask: m, tx: &apigee.GoogleCloudApigeeV1DebugSessionTransaction{}, phase: fc.Phase}
	r.add(fc, "StateChange", r.state(fc, "REQ_START", "REQ_HEADERS_PARSED"), r.message(fc, fc.Request))
	fc.After(func(ctx context.Context) { r.end(ctx, fc) })
	return r
}

// Observe implements flow.Observer.
func (r *recorder) Observe(fc *flow.Context, e flow.Event) {
	if r.over {
		return
	}
	switch e.Kind {
	case flow.VariableGet, flow.VariableSet, flow.VariableRemove:
		r.access(e)
		return
	case flow.Output:
		if n := len(r.open); n > 0 {
			r.open[n-1].output = append(r.open[n-1].output, e.Name)
		}
		return
	}
	r.phaseChange(fc)
	switch e.Kind {
	case flow.FlowChange:
		r.add(fc, "FlowInfo", info(fc, e.Time, "flow.name", e.Name, "current.flow.name", fc.FlowName))
	case flow.ConditionRun:
		r.add(fc, "Condition", info(fc, e.Time, "Expression", e.Name, "ExpressionResult", strconv.FormatBool(e.Result)), r.variables(e.Time))
	case flow.StepStart:
		r.start(fc, e)
	case flow.StepEnd:
		r.finish(fc, e)
	case flow.FaultRaised:
		r.fault(fc, e)
	case flow.TargetSend:
		r.add(fc, "StateChange", r.state(fc, "TARGET_REQ_FLOW", "REQ_SENT", "target", e.Name), r.message(fc, fc.Request))
	case flow.TargetReceive:
		to := "RESP_START"
		if e.Err != nil {
			to = "ERROR"
		}
		r.add(fc, "StateChange", r.state(fc, "REQ_SENT", to, "target", e.Name), r.message(fc, fc.Response))
	}
}

func (r *recorder) phaseChange(fc *flow.Context) {
	if r.started && fc.Phase == r.phase {
		return
	}
	from := r.phase.String()
	if !r.started {
		from = "REQ_HEADERS_PARSED"
	}
	r.started, r.phase = true, fc.Phase
	r.add(fc, "StateChange", r.state(fc, from, fc.Phase.String()), r.message(fc, fc.Message()))
}

func (r *recorder) start(fc *flow.Context, e flow.Event) {
	kind := "Execution"
	if e.Type == "FlowCallout" {
		kind = "FlowCallout"
	}
	p := r.add(fc, kind, info(fc, e.Time, "stepDefinition-name", e.Name, "type", e.Type, "enforcement", phaseSide(fc)))
	r.open = append(r.open, &step{point: p})
}

func phaseSide(fc *flow.Context) string {
	if fc.Phase >= flow.TargetResponse {
		return "response"
	}
	return "request"
}

// finish ends a step. One that did not run, since its condition was false, was
// never started.
func (r *recorder) finish(fc *flow.Context, e flow.Event) {
	if !e.Result || len(r.open) == 0 {
		r.add(fc, "Execution", info(fc, e.Time, "stepDefinition-name", e.Name, "type", e.Type, "enforcement", phaseSide(fc), "result", "false"), r.variables(e.Time))
		return
	}
	s := r.open[len(r.open)-1]
	r.open = r.open[:len(r.open)-1]
	r.pending = append(s.access, r.pending...)
	result := []string{"result", strconv.FormatBool(e.Err == nil)}
	if len(s.output) > 0 {
		result = append(result, "stepExecution-stdout", strings.Join(s.output, "\n"))
	}
	s.point.Results = append(s.point.Results, r.keep(info(fc, e.Time, result...)), r.keep(r.variables(e.Time)), r.keep(r.message(fc, fc.Message())))
	if s.point.Id == "FlowCallout" {
		r.add(fc, "FlowReturn", info(fc, e.Time, "stepDefinition-name", e.Name))
	}
}

func (r *recorder) fault(fc *flow.Context, e flow.Event) {
	text, status := "", ""
	var f *fault.Fault
	if errors.As(e.Err, &f) {
		text, status = f.Text, strconv.Itoa(f.Status)
	}
	r.add(fc, "Error", info(fc, e.Time, "error", e.Name, "error.message", text, "error.status.code", status), r.message(fc, fc.Error))
}

// access notes what happened to a variable.
func (r *recorder) access(e flow.Event) {
	a := &apigee.GoogleCloudApigeeV1Access{}
	switch e.Kind {
	case flow.VariableGet:
		a.Get = &apigee.GoogleCloudApigeeV1AccessGet{Name: e.Name, Value: r.value(e)}
	case flow.VariableSet:
		a.Set = &apigee.GoogleCloudApigeeV1AccessSet{Name: e.Name, Value: r.value(e), Success: e.Err == nil}
	default:
		a.Remove = &apigee.GoogleCloudApigeeV1AccessRemove{Name: e.Name, Success: true}
	}
	if n := len(r.open); n > 0 {
		r.open[n-1].access = append(r.open[n-1].access, a)
		return
	}
	r.pending = append(r.pending, a)
}

// value is what is recorded of a variable's value. Messages, and the properties
// of messages that hold many things at once, are recorded as messages are.
func (r *recorder) value(e flow.Event) string {
	if m := e.Value.Message(); m != nil {
		return ""
	}
	text := e.Value.String()
	if r.mask.hides(e.Name) {
		for _, s := range append(e.Value.List(), text) {
			r.secret(s)
		}
		return hidden
	}
	of, part, _ := strings.Cut(e.Name, ".")
	msg := &message.Message{Kind: message.Request}
	if of == "response" || of == "error" || of == "message" && r.phase >= flow.TargetResponse {
		msg.Kind = message.Response
	}
	switch part {
	case "content":
		text = r.content(msg, of == "error", text)
	case "querystring":
		text = r.mask.form(text, msg, "queryparam", r.secret)
	case "uri", "url", "formstring":
		text = r.uri(text, msg)
	default:
		if e.Name == "target.url" || strings.HasSuffix(e.Name, ".uri") {
			text = r.uri(text, msg)
		}
	}
	return limit(text, maxValue)
}

func limit(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

func (r *recorder) uri(text string, msg *message.Message) string {
	path, query, ok := strings.Cut(text, "?")
	if !ok {
		return text
	}
	return path + "?" + r.mask.form(query, msg, "queryparam", r.secret)
}

// secret is a value that is nowhere to be recorded.
func (r *recorder) secret(s string) {
	if len(s) >= minSecret && s != hidden && !slices.Contains(r.secrets, s) {
		r.secrets = append(r.secrets, s)
	}
}

// message is a snapshot of a message; nil if there is none.
func (r *recorder) message(fc *flow.Context, m *message.Message) *apigee.GoogleCloudApigeeV1Result {
	if m == nil {
		return nil
	}
	isFault := m == fc.Error
	out := &apigee.GoogleCloudApigeeV1Result{ActionResult: "RequestMessage", Timestamp: stamp(fc.Now())}
	switch {
	case m.IsRequest():
		out.Verb, out.URI = m.Verb, r.uri(m.URI(), m)
	case isFault:
		out.ActionResult = "ErrorMessage"
	default:
		out.ActionResult = "ResponseMessage"
	}
	if !m.IsRequest() {
		out.StatusCode, out.ReasonPhrase = strconv.Itoa(m.Status), m.ReasonPhrase()
	}
	for name, value := range m.Header.All() {
		if r.mask.hidesPart(m, isFault, "header", name) {
			r.secret(value)
			if _, token, ok := strings.Cut(value, " "); ok { // Bearer ...
				r.secret(token)
			}
			value = hidden
		}
		out.Headers = append(out.Headers, &property{Name: name, Value: value})
	}
	if m.Streaming() {
		return out
	}
	if data, err := m.Content(); err == nil {
		text := string(data)
		if m.IsForm() {
			text = r.mask.form(text, m, "formparam", r.secret)
		}
		out.Content = limit(r.content(m, isFault, text), int(r.session.Tracesize))
	}
	return out
}

func (r *recorder) content(m *message.Message, isFault bool, text string) string {
	paths, whole := r.mask.pathsOf(m, isFault)
	if whole {
		r.secret(text)
		return hidden
	}
	return paths.payload(text, r.secret)
}

// variables are the accesses since the last point.
func (r *recorder) variables(at time.Time) *apigee.GoogleCloudApigeeV1Result {
	if len(r.pending) == 0 {
		return nil
	}
	out := &apigee.GoogleCloudApigeeV1Result{ActionResult: "VariableAccess", AccessList: r.pending, Timestamp: stamp(at)}
	r.pending = nil
	return out
}

func (r *recorder) state(fc *flow.Context, from, to string, more ...string) *apigee.GoogleCloudApigeeV1Result {
	return info(fc, fc.Now(), append([]string{"From", from, "To", to}, more...)...)
}

// info is a result with properties, given as names and values.
func info(_ *flow.Context, at time.Time, pairs ...string) *apigee.GoogleCloudApigeeV1Result {
	out := &apigee.GoogleCloudApigeeV1Result{ActionResult: "DebugInfo", Timestamp: stamp(at), Properties: &apigee.GoogleCloudApigeeV1Properties{}}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out.Properties.Property = append(out.Properties.Property, &property{Name: pairs[i], Value: pairs[i+1]})
		}
	}
	return out
}

// stamp is a time as Apigee writes it: dd-MM-yy HH:mm:ss:SSS, UTC.
func stamp(t time.Time) string {
	t = t.UTC()
	ms := strconv.Itoa(1000 + t.Nanosecond()/1e6)
	return t.Format(timestamp) + ":" + ms[1:]
}

// add appends a point with results; nil ones are left out.
func (r *recorder) add(_ *flow.Context, id string, results ...*apigee.GoogleCloudApigeeV1Result) *apigee.GoogleCloudApigeeV1Point {
	p := &apigee.GoogleCloudApigeeV1Point{Id: id}
	for _, res := range results {
		if res = r.keep(res); res != nil {
			p.Results = append(p.Results, res)
		}
	}
	if !r.cut || id == "StateChange" && len(r.tx.Point) == 0 {
		r.tx.Point = append(r.tx.Point, p)
	}
	return p
}

// keep counts a result, and drops it when the transaction is full.
func (r *recorder) keep(res *apigee.GoogleCloudApigeeV1Result) *apigee.GoogleCloudApigeeV1Result {
	if res == nil || r.cut {
		return nil
	}
	n := 200
	each(res, func(s *string) { n += len(*s) + 40 })
	if r.size+n > maxRecord {
		r.cut = true
		return nil
	}
	r.size += n
	return res
}

// each calls f for every text of a result that a caller or a policy chose.
func each(res *apigee.GoogleCloudApigeeV1Result, f func(*string)) {
	f(&res.Content)
	f(&res.URI)
	for _, h := range res.Headers {
		f(&h.Value)
	}
	if res.Properties != nil {
		for _, p := range res.Properties.Property {
			f(&p.Value)
		}
	}
	for _, a := range res.AccessList {
		switch {
		case a.Get != nil:
			f(&a.Get.Value)
		case a.Set != nil:
			f(&a.Set.Value)
		}
	}
}

// end masks what was recorded, and stores it.
func (r *recorder) end(ctx context.Context, fc *flow.Context) {
	m := fc.Response
	if fc.InError && fc.Error != nil {
		m = fc.Error
	}
	r.add(fc, "StateChange", r.state(fc, r.phase.String(), "END"), r.variables(fc.Now()), r.message(fc, m))
	r.over = true
	r.tx.Completed = !r.cut
	r.redact()
	r.t.save(ctx, fc, r.session, r.tx)
}

// redact replaces the masked values in everything that was recorded, and leaves
// out results that were dropped.
func (r *recorder) redact() {
	slices.SortFunc(r.secrets, func(a, b string) int { return len(b) - len(a) }) // one may be part of another
	pairs := make([]string, 0, 2*len(r.secrets))
	for _, s := range r.secrets {
		pairs = append(pairs, s, hidden)
	}
	replace := strings.NewReplacer(pairs...)
	for _, p := range r.tx.Point {
		p.Results = slices.DeleteFunc(p.Results, func(res *apigee.GoogleCloudApigeeV1Result) bool { return res == nil })
		for _, res := range p.Results {
			each(res, func(s *string) { *s = replace.Replace(*s) })
		}
	}
}
