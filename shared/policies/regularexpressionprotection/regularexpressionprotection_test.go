package regularexpressionprotection

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

func compile(t testing.TB, elements string) policy.Policy {
	t.Helper()
	return policytest.Compile(t, Kind, `<RegularExpressionProtection name="REP-1">`+elements+`</RegularExpressionProtection>`, policy.Services{})
}

func code(err error) string {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f.ShortName()
	}
	return ""
}

// An expression that backtracks without end is cut off, and the message refused;
// so are several that each take long.
func TestCatastrophic(t *testing.T) {
	evil := strings.Repeat("a", 64) + "!"
	for _, elements := range []string{
		`<Header name="x"><Pattern>^(?=a)(a+)+$</Pattern></Header>`,
		`<Header name="x"><Pattern>^(a|aa)+\1$</Pattern></Header>`,
		`<Header name="x"><Pattern>^(?:(?=a)a|aa)+$</Pattern><Pattern>^(?:(?=a)a|aa)+b$</Pattern></Header>`,
	} {
		fc := policytest.Context(t, map[string][]byte{"request": []byte("GET /v1/a\nX: " + evil + "\n")})
		if err := compile(t, elements).Run(t.Context(), fc); code(err) != "ExecutionFailed" {
			t.Errorf("%s: %v", elements, err)
		}
	}
	// What needs no backtracking takes its time and no more.
	fc := policytest.Context(t, map[string][]byte{"request": []byte("GET /v1/a\nX: " + strings.Repeat("a", 1<<20) + "!\n")})
	if err := compile(t, `<Header name="x"><Pattern>^(a+)+$</Pattern></Header>`).Run(t.Context(), fc); err != nil {
		t.Error(err)
	}
}

// Nothing more is looked at once the call has no time left.
func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	fc := policytest.Context(t, nil)
	if err := compile(t, `<URIPath><Pattern>x</Pattern></URIPath>`).Run(ctx, fc); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Paths that overlap give no end of text; there is a bound.
func TestOverlap(t *testing.T) {
	defer func(n int) { maxTested = n }(maxTested)
	maxTested = 4 << 20
	for _, tt := range []struct{ elements, contentType, body string }{
		{`<JSONPayload><JSONPath><Expression>$..*</Expression><Pattern>y</Pattern></JSONPath></JSONPayload>`,
			"application/json", strings.Repeat("[", 450) + `"` + strings.Repeat("x", 1<<15) + `"` + strings.Repeat("]", 450)},
		{`<XMLPayload><XPath><Expression>//*</Expression><Pattern>y</Pattern></XPath></XMLPayload>`,
			"text/xml", strings.Repeat("<a>", 450) + strings.Repeat("x", 1<<15) + strings.Repeat("</a>", 450)},
		{`<XMLPayload><XPath><Expression>//*</Expression><Type>nodeset</Type><Pattern>y</Pattern></XPath></XMLPayload>`,
			"text/xml", strings.Repeat("<a>", 450) + strings.Repeat("<b/>", 1<<13) + strings.Repeat("</a>", 450)},
	} {
		fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/a\nContent-Type: " + tt.contentType + "\n\n" + tt.body)})
		if err := compile(t, tt.elements).Run(t.Context(), fc); code(err) != "ExecutionFailed" {
			t.Errorf("%s: %v", tt.elements, err)
		}
	}
}

// FuzzQuery: what net/url finds in a parameter is found, however it is encoded.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"q=evil", "a=1&q=%65vil", "%71=x+evil", "q=&q=evil", "q", "=evil", "q=ev%69l;x", "q=%zz"} {
		f.Add(s)
	}
	p := compile(f, `<QueryParam name="q"><Pattern>evil</Pattern></QueryParam>`)
	f.Fuzz(func(t *testing.T, query string) {
		if strings.ContainsAny(query, " \n\r?#") {
			return
		}
		fc := policytest.Context(t, map[string][]byte{"request": []byte("GET /v1/a?" + query + "\n")})
		err := p.Run(t.Context(), fc)
		values, bad := url.ParseQuery(query)
		if bad != nil {
			return
		}
		if want := strings.Contains(strings.Join(values["q"], "\n"), "evil"); want && code(err) != "ThreatDetected" {
			t.Fatalf("%q passes", query)
		} else if !want && err != nil && !strings.Contains(query, "evil") {
			t.Fatalf("%q: %v", query, err)
		}
	})
}

func BenchmarkRun(b *testing.B) {
	p := compile(b, `<QueryParam name="query"><Pattern>[\s]*(?i)((delete)|(exec)|(drop\s*table)|(insert)|(shutdown)|(update)|(\bor\b))</Pattern></QueryParam>
<URIPath><Pattern>(?i)/admin</Pattern></URIPath><Header name="user-agent"><Pattern>(?i)sqlmap</Pattern></Header>`)
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/json?query=select+a+thing&b=2\nUser-Agent: curl/8.0\n"})
}

func BenchmarkJSON(b *testing.B) {
	p := compile(b, `<JSONPayload><JSONPath><Expression>$.items[*].name</Expression><Pattern>(?i)&lt;script</Pattern></JSONPath></JSONPayload>`)
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/json\nContent-Type: application/json\n\n" + `{"items":[{"name":"one"},{"name":"two"},{"name":"three"}]}`})
}
