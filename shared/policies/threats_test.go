package policies_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policies"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// readers are policies that read a body that anybody may have sent.
var jsonReaders = map[string]string{
	"JSONThreatProtection":        `<JSONThreatProtection name="p"/>`,
	"JSONToXML":                   `<JSONToXML name="p"/>`,
	"ExtractVariables":            `<ExtractVariables name="p"><JSONPayload><Variable name="v"><JSONPath>$..a</JSONPath></Variable></JSONPayload></ExtractVariables>`,
	"RegularExpressionProtection": `<RegularExpressionProtection name="p"><JSONPayload><JSONPath><Expression>$..a</Expression><Pattern>x</Pattern></JSONPath></JSONPayload></RegularExpressionProtection>`,
	"AssignMessage":               `<AssignMessage name="p"><AssignVariable><Name>v</Name><Template>{jsonPath($..a,request.content)}</Template></AssignVariable></AssignMessage>`,
	"Javascript":                  `<Javascript name="p" timeLimit="2000"><Source>JSON.parse(context.getVariable("request.content"))</Source></Javascript>`,
}

var xmlReaders = map[string]string{
	"XMLThreatProtection":         `<XMLThreatProtection name="p"/>`,
	"XMLToJSON":                   `<XMLToJSON name="p"><Format>xml.com</Format></XMLToJSON>`,
	"ExtractVariables":            `<ExtractVariables name="p"><XMLPayload><Variable name="v" type="string"><XPath>//a</XPath></Variable></XMLPayload></ExtractVariables>`,
	"RegularExpressionProtection": `<RegularExpressionProtection name="p"><XMLPayload><XPath><Expression>//a</Expression><Type>string</Type><Pattern>x</Pattern></XPath></XMLPayload></RegularExpressionProtection>`,
	"AssignMessage":               `<AssignMessage name="p"><AssignVariable><Name>v</Name><Template>{xpath('//a',request.content)}</Template></AssignVariable></AssignMessage>`,
	"Javascript":                  `<Javascript name="p" timeLimit="2000"><Source>new XML(context.getVariable("request.content"))</Source></Javascript>`,
}

// attackSize is how large an attack is, in bytes, and worth how many bytes a reader
// may take from the heap for each of them: trees need some.
const attackSize, worth = 1 << 20, 256

func jsonAttacks() map[string]string {
	return map[string]string{
		"arrays":           strings.Repeat("[", attackSize),
		"arrays closed":    strings.Repeat("[", attackSize/2) + strings.Repeat("]", attackSize/2),
		"objects":          strings.Repeat(`{"a":`, attackSize/5),
		"objects closed":   strings.Repeat(`{"a":`, attackSize/6) + "1" + strings.Repeat("}", attackSize/6),
		"mixed":            strings.Repeat(`[{"a":`, attackSize/6),
		"number":           `{"a":` + strings.Repeat("9", attackSize) + `}`,
		"exponent":         `{"a":1e` + strings.Repeat("9", 400) + `}`,
		"string":           `{"a":"` + strings.Repeat(`\u0061`, attackSize/6) + `"}`,
		"name":             `{"` + strings.Repeat("a", attackSize) + `":1}`,
		"equal names":      `{` + strings.Repeat(`"a":1,`, attackSize/6) + `"a":1}`,
		"elements":         `[` + strings.Repeat("1,", attackSize/2) + `1]`,
		"unterminated":     `{"a":"` + strings.Repeat("x", attackSize),
		"blanks":           strings.Repeat(" ", attackSize) + "{",
		"prototype":        `{"__proto__":{"toString":1},"constructor":{"prototype":1}}`,
		"not UTF-8":        "{\"a\":\"\xff\xfe\"}",
		"colliding hashes": `{` + strings.Repeat(`"Aa":1,"BB":1,`, attackSize/14) + `"a":1}`,
	}
}

func xmlAttacks() map[string]string {
	var laughs, names, nested strings.Builder
	laughs.WriteString(`<!DOCTYPE a [<!ENTITY l0 "lol">`)
	for i := range 50 {
		fmt.Fprintf(&laughs, `<!ENTITY l%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&l%d;", i), 10))
	}
	laughs.WriteString(`]><a>&l50;</a>`)
	for i := range attackSize / 20 {
		fmt.Fprintf(&names, " xmlns:n%d='u%d'", i, i)
		if i < 5000 {
			fmt.Fprintf(&nested, "<n%d:a xmlns:n%d='u'>", i, i)
		}
	}
	return map[string]string{
		"billion laughs":      laughs.String(),
		"quadratic blowup":    `<!DOCTYPE a [<!ENTITY x "` + strings.Repeat("x", attackSize/2) + `">]><a>` + strings.Repeat("&x;", attackSize/6) + `</a>`,
		"external entity":     `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`,
		"external DTD":        `<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>`,
		"parameter entity":    `<!DOCTYPE a [<!ENTITY % x "<!ENTITY y 'z'>">%x;]><a>&y;</a>`,
		"entity in attribute": `<!DOCTYPE a [<!ENTITY x "y">]><a b="&x;"/>`,
		"entity of itself":    `<!DOCTYPE a [<!ENTITY x "&x;">]><a>&x;</a>`,
		"unknown entity":      `<a>&nope;</a>`,
		"depth":               strings.Repeat("<a>", attackSize/3),
		"depth closed":        strings.Repeat("<a>", attackSize/7) + strings.Repeat("</a>", attackSize/7),
		"attributes":          "<a" + strings.Repeat(" b='1'", attackSize/6) + "/>",
		"namespaces":          "<a" + names.String() + "/>",
		"nested namespaces":   nested.String(),
		"attribute value":     "<a b='" + strings.Repeat("x", attackSize) + "'/>",
		"attribute name":      "<a " + strings.Repeat("x", attackSize) + "='1'/>",
		"element name":        "<" + strings.Repeat("a", attackSize) + "/>",
		"prefix":              "<" + strings.Repeat("a", attackSize) + ":a/>",
		"instruction":         "<?a " + strings.Repeat("x", attackSize) + "?><a/>",
		"comment":             "<!--" + strings.Repeat("x", attackSize) + "--><a/>",
		"open comment":        "<a><!--" + strings.Repeat("-", attackSize),
		"sections":            "<a>" + strings.Repeat("<![CDATA[]]>", attackSize/12) + "</a>",
		"references":          "<a>" + strings.Repeat("&#65;", attackSize/5) + "</a>",
		"long reference":      "<a>&#" + strings.Repeat("0", attackSize) + "65;</a>",
		"children":            "<a>" + strings.Repeat("<a/>", attackSize/4) + "</a>",
		"UTF-7":               `<?xml version="1.0" encoding="UTF-7"?>+ADw-a/+AD4-`,
		"UTF-16 in UTF-8":     `<?xml version="1.0" encoding="UTF-16"?><a/>`,
	}
}

// refused are the attacks that a policy of protection with no limits of its own must
// refuse all the same.
var refused = map[string][]string{
	"JSONThreatProtection": {"arrays", "arrays closed", "objects", "objects closed", "mixed", "unterminated", "blanks", "not UTF-8"},
	"XMLThreatProtection": {"billion laughs", "quadratic blowup", "external entity", "parameter entity", "entity in attribute", "entity of itself", "unknown entity",
		"depth", "depth closed", "attributes", "namespaces", "open comment", "UTF-7"},
	"XMLToJSON": {"billion laughs", "quadratic blowup", "external entity", "external DTD", "parameter entity", "entity in attribute", "entity of itself", "unknown entity",
		"depth", "depth closed", "attributes", "namespaces"},
}

// TestAttacks sends every attack to every policy that reads such a body. None may
// panic, run out of stack, or take more memory than a tree of the body is worth; what
// refuses does so with a fault.
func TestAttacks(t *testing.T) {
	for contentType, readers := range map[string]map[string]string{"application/json": jsonReaders, "text/xml": xmlReaders} {
		attacks := xmlAttacks()
		if contentType == "application/json" {
			attacks = jsonAttacks()
		}
		for kind, xml := range readers {
			p := policytest.Compile(t, policies.Kinds()[kind], xml, policy.Services{})
			for name, body := range attacks {
				fc := flow.New(&flow.Proxy{}, time.Now)
				fc.Request.Verb, fc.Request.Path = "POST", "/"
				fc.Request.Header.Add("Content-Type", contentType)
				fc.Request.SetContent([]byte(body))
				taken, err := allocated(func() error { return p.Run(t.Context(), fc) })
				var f *fault.Fault
				if err != nil && !errors.As(err, &f) {
					t.Errorf("%s: %s: %v is no fault", kind, name, err)
				}
				if limit := uint64(len(body)*worth + 1<<20); taken > limit {
					t.Errorf("%s: %s: %d bytes for a body of %d", kind, name, taken, len(body))
				}
				for _, r := range refused[kind] {
					if r == name && err == nil {
						t.Errorf("%s: %s passes", kind, name)
					}
				}
			}
		}
	}
}

func allocated(f func() error) (uint64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, err
}

// TestCatastrophicPatterns has patterns that take a backtracking engine a time
// exponential in the text, wherever a bundle may have one: each call comes to an end.
// Those that RE2 can run find the truth; the others give up.
func TestCatastrophicPatterns(t *testing.T) {
	text := strings.Repeat("a", 200) + "!"
	const linear, backtracking = `^(a+)+$`, `^(?=a)(a+)+$`
	for _, tt := range []struct {
		xml  string
		want string // a fault, or nothing
	}{
		{`<RegularExpressionProtection name="p"><Source>request</Source><QueryParam name="q"><Pattern>` + linear + `</Pattern></QueryParam></RegularExpressionProtection>`, ""},
		{`<RegularExpressionProtection name="p"><Source>request</Source><QueryParam name="q"><Pattern>` + backtracking + `</Pattern></QueryParam></RegularExpressionProtection>`, "steps.regexprotection.ExecutionFailed"},
		{`<RegularExpressionProtection name="p"><Source>request</Source><QueryParam name="q"><Pattern>^(([a-z])+.)+[A-Z]([a-z])+$</Pattern></QueryParam></RegularExpressionProtection>`, ""},
		{`<ExtractVariables name="p"><QueryParam name="q"><Pattern>{a}a{b}a{c}a{d}a{e}a{f}a{g}a{h}?</Pattern></QueryParam></ExtractVariables>`, ""},
		{`<AssertCondition name="p"><Condition>request.queryparam.q ~~ "` + linear + `"</Condition></AssertCondition>`, ""},
		{`<AssertCondition name="p"><Condition>request.queryparam.q ~~ "` + backtracking + `"</Condition></AssertCondition>`, "*"},
		{`<AssertCondition name="p"><Condition>request.queryparam.q Matches "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"</Condition></AssertCondition>`, ""},
		{`<AssertCondition name="p"><Condition>request.queryparam.q MatchesPath "/**/a/**/a/**/a/**/b"</Condition></AssertCondition>`, ""},
		{`<AssignMessage name="p"><AssignVariable><Name>v</Name><Template>{replaceAll(request.queryparam.q,'` + linear + `','x')}</Template></AssignVariable></AssignMessage>`, "*"},
		{`<AssignMessage name="p"><AssignVariable><Name>v</Name><Template>{replaceAll(request.queryparam.q,'` + backtracking + `','x')}</Template></AssignVariable></AssignMessage>`, "*"},
		{`<Javascript name="p" timeLimit="300"><Source>/` + linear + `/.test(context.getVariable("request.queryparam.q"))</Source></Javascript>`, ""},
		{`<Javascript name="p" timeLimit="300"><Source>/` + backtracking + `/.test(context.getVariable("request.queryparam.q"))</Source></Javascript>`, "*"},
		{`<Javascript name="p" timeLimit="300"><Source>while (true) {}</Source></Javascript>`, "steps.javascript.ScriptExecutionFailed"},
		{`<Javascript name="p" timeLimit="300"><Source>var s = "x"; while (true) { s += s }</Source></Javascript>`, "steps.javascript.ScriptExecutionFailed"},
		{`<Javascript name="p" timeLimit="300"><Source>(function f() { f() })()</Source></Javascript>`, "steps.javascript.ScriptExecutionFailed"},
	} {
		kind := tt.xml[1:strings.IndexByte(tt.xml, ' ')]
		p := policytest.Compile(t, policies.Kinds()[kind], tt.xml, policy.Services{})
		fc := policytest.Context(t, map[string][]byte{"request": []byte("GET /v1/a?q=" + text + "\n")})
		err := p.Run(t.Context(), fc)
		var f *fault.Fault
		switch {
		case err != nil && !errors.As(err, &f):
			t.Errorf("%s: %v is no fault", tt.xml, err)
		case tt.want == "*": // either is right as long as it ends
		case tt.want == "" && err != nil, tt.want != "" && (f == nil || f.Code != tt.want):
			t.Errorf("%s: fault is %v, want %q", tt.xml, err, tt.want)
		}
	}
}
