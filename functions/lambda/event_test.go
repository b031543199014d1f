package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/hosttest"
)

// TestMatrix sends the matrix through every event that may call the function.
func TestMatrix(t *testing.T) {
	c := hosttest.Seed(t, hosttest.Backend(t))
	h, err := boot.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, e := range []struct {
		name   string
		stream bool
		event  func(*http.Request, string, bool) any
		except []string
	}{
		{"function URL", false, v2Event("abc.lambda-url.eu-west-1.on.aws"), nil},
		{"function URL, streaming", true, v2Event("abc.lambda-url.eu-west-1.on.aws"), nil},
		{"HTTP API", false, v2Event("abc.execute-api.eu-west-1.amazonaws.com"), nil},
		// A REST API hands the path over decoded: what was escaped is lost.
		{"REST API", false, v1Event, []string{"escaped path"}},
		{"load balancer", false, albEvent(true), nil},
	} {
		t.Run(e.name, func(t *testing.T) {
			call := handler(h.GatewayHandler(), e.stream)
			do := func(r *http.Request) (*http.Response, error) {
				body, _ := io.ReadAll(r.Body)
				text, encoded := string(body), false
				if !utf8.Valid(body) {
					text, encoded = base64.StdEncoding.EncodeToString(body), true
				}
				raw, err := json.Marshal(e.event(r, text, encoded))
				if err != nil {
					return nil, err
				}
				out, err := call(context.Background(), raw)
				if err != nil {
					return nil, err
				}
				return response(t, out)
			}
			hosttest.Run(t, do, e.except...)
			hosttest.Cut(t, do, !e.stream)
		})
	}
}

func single(h http.Header) map[string]string {
	out := map[string]string{}
	for k, v := range h {
		out[strings.ToLower(k)] = strings.Join(v, ",")
	}
	return out
}

func v2Event(domain string) func(*http.Request, string, bool) any {
	return func(r *http.Request, body string, encoded bool) any {
		header := single(r.Header)
		header["host"] = r.URL.Host
		return events.APIGatewayV2HTTPRequest{
			Version: "2.0", RouteKey: "$default", RawPath: r.URL.EscapedPath(), RawQueryString: r.URL.RawQuery, Headers: header,
			Body: body, IsBase64Encoded: encoded,
			RequestContext: events.APIGatewayV2HTTPRequestContext{
				DomainName: domain, Stage: "$default",
				HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: r.Method, Path: r.URL.EscapedPath(), SourceIP: "203.0.113.7"},
			},
		}
	}
}

func v1Event(r *http.Request, body string, encoded bool) any {
	header := r.Header.Clone()
	header.Set("Host", r.URL.Host)
	return events.APIGatewayProxyRequest{
		Path: r.URL.Path, HTTPMethod: r.Method, Headers: single(header), MultiValueHeaders: header,
		MultiValueQueryStringParameters: r.URL.Query(), Body: body, IsBase64Encoded: encoded,
		RequestContext: events.APIGatewayProxyRequestContext{Identity: events.APIGatewayRequestIdentity{SourceIP: "203.0.113.7"}, Stage: "prod"},
	}
}

func albEvent(multi bool) func(*http.Request, string, bool) any {
	return func(r *http.Request, body string, encoded bool) any {
		header := r.Header.Clone()
		header.Set("Host", r.URL.Host)
		header.Set("X-Forwarded-For", "203.0.113.7")
		e := events.ALBTargetGroupRequest{HTTPMethod: r.Method, Path: r.URL.EscapedPath(), Body: body, IsBase64Encoded: encoded,
			RequestContext: events.ALBTargetGroupRequestContext{ELB: events.ELBContext{TargetGroupArn: "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/t/1"}}}
		query := map[string][]string{}
		for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
			if k, v, ok := strings.Cut(pair, "="); ok {
				query[k] = append(query[k], v)
			}
		}
		if multi {
			e.MultiValueHeaders, e.MultiValueQueryStringParameters = header, query
			return e
		}
		e.Headers, e.QueryStringParameters = single(header), map[string]string{}
		for k, v := range query {
			e.QueryStringParameters[k] = v[len(v)-1] // a load balancer keeps the last
		}
		return e
	}
}

// response reads what the function returned, as the service in front does.
func response(t *testing.T, out any) (*http.Response, error) {
	if s, ok := out.(*events.LambdaFunctionURLStreamingResponse); ok {
		resp := &http.Response{StatusCode: s.StatusCode, Header: http.Header{}, Body: io.NopCloser(s.Body)}
		for k, v := range s.Headers {
			resp.Header.Set(k, v)
		}
		resp.Header["Set-Cookie"] = s.Cookies
		return resp, nil
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	var r struct {
		StatusCode        int
		Headers           map[string]string
		MultiValueHeaders map[string][]string
		Cookies           []string
		Body              string
		IsBase64Encoded   bool
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	body := []byte(r.Body)
	if r.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(r.Body); err != nil {
			return nil, err
		}
	}
	resp := &http.Response{StatusCode: r.StatusCode, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}
	for k, v := range r.Headers {
		resp.Header.Set(k, v)
	}
	for k, v := range r.MultiValueHeaders {
		resp.Header[k] = v
	}
	if len(r.Cookies) > 0 {
		resp.Header["Set-Cookie"] = r.Cookies
	}
	return resp, nil
}

func TestUnknownEvent(t *testing.T) {
	call := handler(http.NotFoundHandler(), false)
	for _, raw := range []string{`{"Records":[]}`, `[]`, `{}`, `nonsense`} {
		if out, err := call(t.Context(), json.RawMessage(raw)); err == nil {
			t.Errorf("%s gave %v", raw, out)
		}
	}
}
