package modelarmortest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/googlerest/googleresttest"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// Run is what every policy that asks Model Armor must pass: its cases, of which
// not_offered runs without the service and no_token without Google's tokens, and
// what happens to xml, a policy of that kind, when the service is slow or endless.
func Run(t *testing.T, kind policy.Kind, xml string) {
	t.Helper()
	t.Run("cases", func(t *testing.T) {
		policytest.Run(t, kind, policytest.WithServices(func(t *testing.T) policy.Services {
			if strings.HasSuffix(t.Name(), "/not_offered") {
				return policy.Services{}
			}
			s := googleresttest.Services(t, http.HandlerFunc(Handler))
			if strings.HasSuffix(t.Name(), "/no_token") {
				s.GoogleTokens = googleresttest.NoTokens{}
			}
			return s
		}))
	})
	t.Run("deadline", func(t *testing.T) { deadline(t, kind, xml) })
	t.Run("endless", func(t *testing.T) { endless(t, kind, xml) })
}

// deadline checks that the time of the call bounds that of Model Armor, and that
// nothing goes on unjudged then.
func deadline(t *testing.T, kind policy.Kind, xml string) {
	release := make(chan struct{})
	s := googleresttest.Services(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer close(release)
	p := policytest.Compile(t, kind, xml, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var f *fault.Fault
	if err := p.Run(ctx, policytest.Context(t, nil)); !errors.As(err, &f) || f.Code != "flow.APITimedOut" || f.Status != 504 {
		t.Errorf("fault is %v", err)
	}
}

// endless checks that an answer without end is not read to its end.
func endless(t *testing.T, kind policy.Kind, xml string) {
	s := googleresttest.Services(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for line := []byte(strings.Repeat(" ", 1<<16)); ; {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}))
	p := policytest.Compile(t, kind, xml, s)
	var f *fault.Fault
	if err := p.Run(t.Context(), policytest.Context(t, nil)); !errors.As(err, &f) || f.Code != "steps.sanitize.modelarmor.ModelArmorCalloutError" {
		t.Errorf("fault is %v", err)
	}
}
