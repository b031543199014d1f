package tracecapture

import (
	"fmt"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

// TestSpan has the attributes in the span of the call.
func TestSpan(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	ctx, span := sdk.NewTracerProvider(sdk.WithSpanProcessor(rec)).Tracer("test").Start(t.Context(), "call")
	p := policytest.Compile(t, Kind, `<TraceCapture name="TC"><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables><Variables>
		<Variable name="uri" ref="request.uri">none</Variable><Variable name="n" ref="n"/><Variable name="f" ref="f"/><Variable name="b" ref="b"/>
		<Variable name="long" ref="long"/><Variable name="absent" ref="absent">other</Variable><Variable name="nothing" ref="absent"/>
		</Variables></TraceCapture>`, policy.Services{})
	fc := policytest.Context(t, map[string][]byte{"vars": []byte("n = int:5\nf = float:1.5\nb = bool:true\nlong = " + strings.Repeat("é", 200) + "\n")})
	if err := p.Run(ctx, fc); err != nil {
		t.Fatal(err)
	}
	span.End()
	var got []string
	for _, a := range rec.Ended()[0].Attributes() {
		got = append(got, fmt.Sprintf("%s=%v", a.Key, a.Value.String()))
	}
	want := "uri=/v1/test n=5 f=1.5 b=true long=" + strings.Repeat("é", 128) + " absent=other"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("attributes\n%s\nwant\n%s", s, want)
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<TraceCapture name="TC"><Variables><Variable name="uri" ref="request.uri">none</Variable></Variables></TraceCapture>`, policy.Services{})
	policytest.Bench(b, p, nil)
}
