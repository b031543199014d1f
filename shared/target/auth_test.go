package target

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// mint is policy.GoogleTokens that says what it was asked for.
type mint struct{ err error }

func (m mint) IDToken(_ context.Context, account, audience string, email bool) (string, error) {
	return fmt.Sprintf("id|%s|%s|%v", account, audience, email), m.err
}

func (m mint) AccessToken(_ context.Context, account string, scopes []string, life time.Duration) (string, error) {
	return fmt.Sprintf("access|%s|%s|%v", account, strings.Join(scopes, ","), life), m.err
}

func TestAuthentication(t *testing.T) {
	s := serve(t, echo)
	host := strings.TrimPrefix(s.URL, "http://")
	env := &environment{servers: map[string]Server{"a": at(s.URL)}}
	p := newPool(t, Options{Tokens: mint{}, Servers: env})
	vars := map[string]string{"aud": "https://from.variable", "life": "600", "email": "true", "header": "X-Var"}
	tests := []struct{ name, auth, want, authorization string }{
		{"id token", "<GoogleIDToken><Audience>https://aud</Audience></GoogleIDToken>", "Authorization: Bearer id|sa@example.com|https://aud|false", ""},
		{"e-mail", "<GoogleIDToken><Audience>https://aud</Audience><IncludeEmail>true</IncludeEmail></GoogleIDToken>", "Authorization: Bearer id|sa@example.com|https://aud|true", ""},
		{"variables", `<GoogleIDToken><Audience ref="aud">https://aud</Audience><IncludeEmail ref="email">false</IncludeEmail></GoogleIDToken>`, "Authorization: Bearer id|sa@example.com|https://from.variable|true", ""},
		{"unset variable", `<GoogleIDToken><Audience ref="nope">https://aud</Audience></GoogleIDToken>`, "Authorization: Bearer id|sa@example.com|https://aud|false", ""},
		{"target URL", `<GoogleIDToken><Audience ref="nope" useTargetUrl="true"/></GoogleIDToken>`, "Authorization: Bearer id|sa@example.com|" + s.URL + "/v1/x|false", ""},
		{"text beats target URL", `<GoogleIDToken><Audience useTargetUrl="true">https://aud</Audience></GoogleIDToken>`, "Authorization: Bearer id|sa@example.com|https://aud|false", ""},
		{"access token", "<GoogleAccessToken><Scopes><Scope>a</Scope><Scope>b</Scope></Scopes></GoogleAccessToken>", "Authorization: Bearer access|sa@example.com|a,b|1h0m0s", ""},
		{"lifetime", `<GoogleAccessToken><Scopes><Scope>a</Scope></Scopes><LifetimeInSeconds ref="life">60</LifetimeInSeconds></GoogleAccessToken>`, "Authorization: Bearer access|sa@example.com|a|10m0s", ""},
		{"other header", "<HeaderName>X-Serverless-Authorization</HeaderName><GoogleIDToken><Audience>https://aud</Audience></GoogleIDToken>", "X-Serverless-Authorization: Bearer id|sa@example.com|https://aud|false", "Authorization: Basic caller"},
		{"header from a variable", `<HeaderName ref="header">X-Else</HeaderName><GoogleIDToken><Audience>https://aud</Audience></GoogleIDToken>`, "X-Var: Bearer id|sa@example.com|https://aud|false", "Authorization: Basic caller"},
	}
	for _, target := range []string{"<URL>" + s.URL + "/v1?q=1</URL>", `<LoadBalancer><Server name="a"/></LoadBalancer><Path>/v1</Path>`} {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				c := connect(t, p, target+"<Authentication>"+tt.auth+"</Authentication>")
				fc := call(t, "GET", "/x", "", "Authorization: Basic caller")
				for name, v := range vars {
					fc.Set(name, flow.StringValue(v))
				}
				if err := send(c, fc); err != nil {
					t.Fatal(err)
				}
				got := fc.Response.Text()
				if !strings.Contains(got, "\n"+tt.want+"\n") {
					t.Errorf("got\n%s\nwithout %s", got, tt.want)
				}
				if strings.Contains(got, "Authorization: Basic caller") != (tt.authorization != "") {
					t.Errorf("the caller's own header: %s", got)
				}
				if !strings.Contains(got, "Host: "+host) {
					t.Errorf("host: %s", got)
				}
				if v, _ := fc.Request.Header.Lookup("Authorization"); v != "Basic caller" {
					t.Errorf("the token is in the request's variables: %q", v)
				}
			})
		}
	}
}

func TestAuthenticationFaults(t *testing.T) {
	s := serve(t, echo)
	const auth = "<Authentication><GoogleIDToken><Audience useTargetUrl=\"true\" ref=\"x\"/></GoogleIDToken></Authentication>"
	for _, opts := range []Options{{}, {Tokens: mint{errors.New("denied")}}} {
		f := faultOf(t, send(connect(t, newPool(t, opts), "<URL>"+s.URL+"</URL>"+auth), call(t, "GET", "", "")))
		if f.Code != "messaging.adaptors.http.filter.GoogleTokenGenerationFailure" || f.Status != 500 {
			t.Errorf("got %s", short(f))
		}
	}
}

func TestCalloutAuthentication(t *testing.T) {
	s := serve(t, echo)
	p := newPool(t, Options{Tokens: mint{}})
	c := p.Compile(connection(t, "<URL>"+s.URL+"</URL><Authentication><GoogleIDToken><Audience>a</Audience></GoogleIDToken></Authentication>"), calloutEnv("SC-1"))
	m, err := c.Send(t.Context(), call(t, "GET", "", ""), message.NewRequest())
	if err != nil || !strings.Contains(m.Text(), "Bearer id|sa@example.com|a|false") {
		t.Errorf("%v %v", m, err)
	}
}
