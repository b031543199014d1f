package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/hosttest"
)

// service is what may call the function.
type service struct {
	name   string
	stream bool
	event  func(r *http.Request, body string, encoded bool) any
	except []string // cases that it cannot pass
}

var services = []service{
	{"function URL", false, v2Event("abc.lambda-url.eu-west-1.on.aws"), []string{hosttest.Streams}},
	{"function URL, streaming", true, v2Event("abc.lambda-url.eu-west-1.on.aws"), nil},
	{"HTTP API", false, v2Event("abc.execute-api.eu-west-1.amazonaws.com"), []string{hosttest.Streams}},
	// A REST API hands the path over decoded: what was escaped is lost.
	{"REST API", false, v1Event, []string{hosttest.Streams, hosttest.EscapedPath}},
	{"load balancer", false, albEvent(true), []string{hosttest.Streams}},
	// Without multi-value headers a load balancer keeps the last value of a parameter.
	{"load balancer, single values", false, albEvent(false), []string{hosttest.Streams, hosttest.SeveralQueryValues}},
}

// TestMatrix sends the matrix through every event that may call the function.
func TestMatrix(t *testing.T) {
	backend := hosttest.Backend(t)
	c := hosttest.Seed(t, backend)
	h, err := boot.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			call := handler(h.GatewayHandler(), s.stream)
			do := func(r *http.Request) (*http.Response, error) {
				raw, err := s.invocation(r)
				if err != nil {
					return nil, err
				}
				out, err := call(context.Background(), raw)
				if err != nil {
					return nil, err
				}
				if stream, ok := out.(*events.LambdaFunctionURLStreamingResponse); ok {
					return readStream(stream)
				}
				raw, err = json.Marshal(out)
				if err != nil {
					return nil, err
				}
				return readAnswer(raw)
			}
			hosttest.Run(t, do, s.except...)
			hosttest.Cut(t, do, !s.stream)
			hosttest.PostClient(t, do, backend, s.stream)
			if s.stream {
				hosttest.Events(t, do, backend)
			}
		})
	}
}

// invocation is the event that the service makes of a request.
func (s *service) invocation(r *http.Request) (json.RawMessage, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	text, encoded := string(body), false
	if !utf8.Valid(body) {
		text, encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return json.Marshal(s.event(r, text, encoded))
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
		var cookies []string
		if c, ok := header["cookie"]; ok {
			cookies = strings.Split(c, "; ")
			delete(header, "cookie")
		}
		return events.APIGatewayV2HTTPRequest{
			Version: "2.0", RouteKey: "$default", RawPath: r.URL.EscapedPath(), RawQueryString: r.URL.RawQuery, Headers: header, Cookies: cookies,
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

// readStream reads a streamed response as the service does: the head as JSON, eight
// zeros, the body.
func readStream(stream io.Reader) (*http.Response, error) {
	r := bufio.NewReader(stream)
	head, err := r.ReadBytes(0)
	if err != nil {
		return nil, err
	}
	if _, err := r.Discard(7); err != nil {
		return nil, err
	}
	resp, err := readAnswer(bytes.TrimSuffix(head, []byte{0}))
	if err == nil {
		resp.Body = io.NopCloser(r)
	}
	return resp, err
}

// readAnswer reads what the function returned, as the service in front does.
func readAnswer(raw []byte) (*http.Response, error) {
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
	if len(raw) > 6<<20 {
		return nil, fmt.Errorf("%d bytes are more than Lambda takes", len(raw))
	}
	body := []byte(r.Body)
	if r.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(r.Body); err != nil {
			return nil, err
		}
	}
	resp := &http.Response{StatusCode: r.StatusCode, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}
	for _, k := range slices.Sorted(maps.Keys(r.Headers)) {
		resp.Header.Add(k, r.Headers[k])
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

// TestGivenUp is a handler that gives its response up, or panics.
func TestGivenUp(t *testing.T) {
	was := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer slog.SetDefault(was)
	early := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	late := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "begun")
		panic(http.ErrAbortHandler)
	})
	broken := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") })
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			for _, c := range []struct {
				name   string
				h      http.Handler
				status int
			}{{"early", early, 502}, {"late", late, 502}, {"broken", broken, 500}} {
				r, err := http.NewRequest("GET", "http://api.example.com/x", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				raw, err := s.invocation(r)
				if err != nil {
					t.Fatal(err)
				}
				out, err := handler(c.h, s.stream)(t.Context(), raw)
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				if stream, ok := out.(*events.LambdaFunctionURLStreamingResponse); ok {
					body, err := io.ReadAll(stream.Body)
					if c.name == "late" {
						if stream.StatusCode != 200 || string(body) != "begun" || !errors.Is(err, errAborted) {
							t.Errorf("%s: %d %q %v", c.name, stream.StatusCode, body, err)
						}
					} else if stream.StatusCode != c.status || err != nil {
						t.Errorf("%s: %d %q %v", c.name, stream.StatusCode, body, err)
					}
					continue
				}
				if raw, err = json.Marshal(out); err != nil {
					t.Fatal(err)
				}
				resp, err := readAnswer(raw)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				if resp.StatusCode != c.status || !bytes.Contains(body, []byte(`"errorcode":"messaging.`)) {
					t.Errorf("%s: %d %s", c.name, resp.StatusCode, body)
				}
			}
		})
	}
}

// TestDeadline is that the handler has to be done before Lambda ends the process.
func TestDeadline(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{time.Minute: time.Minute - answerTime, 400 * time.Millisecond: 200 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		defer cancel()
		ctx, cancel = beforeDeadline(ctx)
		defer cancel()
		deadline, _ := ctx.Deadline()
		if got := time.Until(deadline); got > want || got < want-10*time.Second {
			t.Errorf("of %v are %v left, want %v", left, got, want)
		}
	}
}

func TestSpelling(t *testing.T) {
	seen := map[string]bool{}
	for i := range 1 << 9 {
		s := spelling("Set-Cookie", i)
		if seen[s] || !strings.EqualFold(s, "Set-Cookie") {
			t.Fatalf("%d: %s", i, s)
		}
		seen[s] = true
	}
}
