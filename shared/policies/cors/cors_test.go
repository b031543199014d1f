package cors

import (
	"errors"
	"testing"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

const sample = `<CORS name="CORS-1">
  <AllowOrigins>{request.header.origin}</AllowOrigins>
  <AllowMethods>GET, PUT, POST, DELETE</AllowMethods>
  <AllowHeaders>origin, x-requested-with, accept, content-type</AllowHeaders>
  <ExposeHeaders>*</ExposeHeaders>
  <MaxAge>3600</MaxAge>
  <AllowCredentials>false</AllowCredentials>
</CORS>`

// The headers go on an error message too, which Finish is given then.
func TestErrorResponse(t *testing.T) {
	p := policytest.Compile(t, Kind, sample, policy.Services{})
	fc := policytest.Context(t, map[string][]byte{"request": []byte("GET /v1/a\nOrigin: https://a.example\n")})
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	m := message.NewResponse()
	m.Status = 500
	fc.Finish(m)
	if got := m.Header.Get("Access-Control-Allow-Origin"); got != "https://a.example" {
		t.Errorf("Access-Control-Allow-Origin = %q", got)
	}
}

// Without Origin an unresolved variable is an ordinary fault.
func TestUnresolvedWithoutOrigin(t *testing.T) {
	p := policytest.Compile(t, Kind, `<CORS name="CORS-1"><AllowOrigins>{nope}</AllowOrigins><IgnoreUnresolvedVariables>false</IgnoreUnresolvedVariables></CORS>`, policy.Services{})
	fc := policytest.Context(t, nil)
	var f *fault.Fault
	if err := p.Run(t.Context(), fc); !errors.As(err, &f) || fc.Answered() != flow.NoAnswer {
		t.Errorf("error %v, answered %v", err, fc.Answered())
	}
}

// All the variables are there for a debug session.
func TestVariables(t *testing.T) {
	p := policytest.Compile(t, Kind, sample, policy.Services{})
	fc := policytest.Context(t, map[string][]byte{"request": []byte("OPTIONS /v1/a\nOrigin: https://a.example\nAccess-Control-Request-Method: PUT\nAccess-Control-Request-Headers: accept\n")})
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, v := range fc.Variables() {
		n++
		if got := fc.Get(name); got.String() != v.String() {
			t.Errorf("%s = %q, yielded %q", name, got, v)
		}
	}
	if n != len(names) {
		t.Errorf("%d variables, want %d", n, len(names))
	}
}

func bench(b *testing.B, request string) {
	p := policytest.Compile(b, Kind, sample, policy.Services{})
	fc := policytest.Context(b, map[string][]byte{"request": []byte(request)})
	m := message.NewResponse()
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Run(b.Context(), fc); err != nil {
			b.Fatal(err)
		}
		m.Header.Reset()
		fc.Finish(m)
	}
}

func BenchmarkRun(b *testing.B) { bench(b, "GET /v1/a\nOrigin: https://a.example\n") }

func BenchmarkPreflight(b *testing.B) {
	bench(b, "OPTIONS /v1/a\nOrigin: https://a.example\nAccess-Control-Request-Method: POST\n")
}
