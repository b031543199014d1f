package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdaurl"

	"github.com/perigee-gateway/perigee/shared/fault"
)

// handler adapts an http.Handler to the events that may call a Lambda
// function. Which one it is is read from the event itself:
//
//   - Function URL (and API Gateway HTTP APIs, payload 2.0): "version" is "2.0"
//   - API Gateway REST API and HTTP API payload 1.0: "httpMethod" and "requestContext"
//   - Application Load Balancer: "requestContext.elb"
//
// With stream, Function URL answers are streamed; the URL's invoke mode must
// then be RESPONSE_STREAM.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
//
// A response that the handler aborts (http.ErrAbortHandler) ends with the error
// Truncated where it is streamed, which is how the Runtime API learns of it: the
// service then cuts the answer off. One that is sent in one piece was not sent
// yet, and becomes the 502 that it is without streaming on Apigee.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
func handler(h http.Handler, stream bool) func(context.Context, json.RawMessage) (any, error) {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var probe struct {
			Version        string `json:"version"`
			HTTPMethod     string `json:"httpMethod"`
			RequestContext struct {
				ELB        *struct{} `json:"elb"`
				DomainName string    `json:"domainName"`
			} `json:"requestContext"`
		}
		if err := json.Unmarshal(raw, &probe); err != nil {
			return nil, fmt.Errorf("event is not JSON: %w", err)
		}
		switch {
		case probe.RequestContext.ELB != nil:
			return serve(ctx, h, raw, albRequest, albResponse)
		case probe.Version == "2.0" && stream && strings.Contains(probe.RequestContext.DomainName, ".lambda-url."):
			var e events.LambdaFunctionURLRequest
			if err := json.Unmarshal(raw, &e); err != nil {
				return nil, err
			}
			return serveStream(ctx, h, &e)
		case probe.Version == "2.0":
			return serve(ctx, h, raw, v2Request, v2Response)
		case probe.HTTPMethod != "":
			return serve(ctx, h, raw, v1Request, v1Response)
		}
		return nil, errors.New("event is neither a function URL, API Gateway nor load balancer request")
	}
}

// asCalled restores the host name that the caller used: the adapter puts the
// function URL's own domain in its place.
func asCalled(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := r.Header.Get("Host"); host != "" {
			r.Host = host
		}
		h.ServeHTTP(w, r)
	})
}

// Truncated is the error of a streamed response that ended too early.
type Truncated struct{}

// Error implements error.
func (*Truncated) Error() string { return "the target's response ended too early" }

// serveStream answers with a stream.
func serveStream(ctx context.Context, h http.Handler, e *events.LambdaFunctionURLRequest) (any, error) {
	var cut atomic.Bool
	out, err := lambdaurl.Wrap(asCalled(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cut.Store(aborted(h, w, r))
	})))(ctx, e)
	if err != nil {
		return nil, err
	}
	out.Body = &cutReader{out.Body, &cut}
	return out, nil
}

// aborted runs the handler and reports whether it gave the response up.
func aborted(h http.Handler, w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() {
		if v := recover(); v == http.ErrAbortHandler {
			aborted = true
		} else if v != nil {
			panic(v)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

// cutReader ends with an error if the handler gave the response up.
type cutReader struct {
	body io.Reader
	cut  *atomic.Bool // valid once body is at its end
}

func (r *cutReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err == io.EOF && r.cut.Load() {
		err = &Truncated{}
	}
	return n, err
}

// Close tells the handler that nobody reads on.
func (r *cutReader) Close() error {
	if c, ok := r.body.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func serve[E, R any](ctx context.Context, h http.Handler, raw json.RawMessage, request func(*E) (*http.Request, error), response func(*recorder, *E) R) (any, error) {
	var e E
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	r, err := request(&e)
	if err != nil {
		return nil, err
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	if aborted(h, rec, r.WithContext(ctx)) {
		rec = truncated()
	}
	return response(rec, &e), nil
}

func newRequest(method, host, path, query, sourceIP, body string, encoded bool, header http.Header) (*http.Request, error) {
	var data io.Reader = strings.NewReader(body)
	if encoded {
		b, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			return nil, fmt.Errorf("event body: %w", err)
		}
		data = bytes.NewReader(b)
	}
	if path == "" {
		path = "/"
	}
	u := "https://" + host + path
	if query != "" {
		u += "?" + query
	}
	r, err := http.NewRequest(method, u, data)
	if err != nil {
		return nil, err
	}
	r.Header, r.Host, r.RemoteAddr = header, host, sourceIP
	r.RequestURI = strings.TrimPrefix(u, "https://"+host)
	return r, nil
}

func v2Request(e *events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	header := http.Header{}
	for k, v := range e.Headers {
		header.Set(k, v)
	}
	if len(e.Cookies) > 0 {
		header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	path := e.RawPath
	if s := e.RequestContext.Stage; s != "" && s != "$default" {
		path = strings.TrimPrefix(path, "/"+s)
	}
	host := header.Get("Host")
	if host == "" {
		host = e.RequestContext.DomainName
	}
	return newRequest(e.RequestContext.HTTP.Method, host, path, e.RawQueryString, e.RequestContext.HTTP.SourceIP, e.Body, e.IsBase64Encoded, header)
}

func v2Response(r *recorder, _ *events.APIGatewayV2HTTPRequest) events.APIGatewayV2HTTPResponse {
	body, encoded := r.text()
	out := events.APIGatewayV2HTTPResponse{StatusCode: r.status, Headers: map[string]string{}, Body: body, IsBase64Encoded: encoded}
	for k, v := range r.header {
		if k == "Set-Cookie" {
			out.Cookies = v
			continue
		}
		if v != nil {
			out.Headers[k] = strings.Join(v, ",")
		}
	}
	return out
}

func v1Request(e *events.APIGatewayProxyRequest) (*http.Request, error) {
	header := multi(e.Headers, e.MultiValueHeaders)
	host := header.Get("Host")
	if host == "" {
		host = e.RequestContext.DomainName
	}
	query := query(e.QueryStringParameters, e.MultiValueQueryStringParameters, true)
	return newRequest(e.HTTPMethod, host, escapePath(e.Path), query, e.RequestContext.Identity.SourceIP, e.Body, e.IsBase64Encoded, header)
}

func v1Response(r *recorder, _ *events.APIGatewayProxyRequest) events.APIGatewayProxyResponse {
	body, encoded := r.text()
	return events.APIGatewayProxyResponse{StatusCode: r.status, MultiValueHeaders: r.fields(), Body: body, IsBase64Encoded: encoded}
}

func albRequest(e *events.ALBTargetGroupRequest) (*http.Request, error) {
	header := multi(e.Headers, e.MultiValueHeaders)
	source, _, _ := strings.Cut(header.Get("X-Forwarded-For"), ",")
	// A load balancer passes query parameters on as it received them, encoded.
	query := query(e.QueryStringParameters, e.MultiValueQueryStringParameters, false)
	return newRequest(e.HTTPMethod, header.Get("Host"), e.Path, query, strings.TrimSpace(source), e.Body, e.IsBase64Encoded, header)
}

// albResponse answers in the form the target group asked for: with multi-value
// headers only if the request came with them.
func albResponse(r *recorder, e *events.ALBTargetGroupRequest) events.ALBTargetGroupResponse {
	body, encoded := r.text()
	out := events.ALBTargetGroupResponse{
		StatusCode: r.status, StatusDescription: fmt.Sprintf("%d %s", r.status, http.StatusText(r.status)),
		Body: body, IsBase64Encoded: encoded,
	}
	if e.MultiValueHeaders != nil {
		out.MultiValueHeaders = r.fields()
		return out
	}
	out.Headers = map[string]string{}
	for k, v := range r.fields() {
		out.Headers[k] = strings.Join(v, ",")
	}
	return out
}

func multi(single map[string]string, many map[string][]string) http.Header {
	header := http.Header{}
	for k, v := range many {
		header[http.CanonicalHeaderKey(k)] = v
	}
	if len(many) > 0 {
		return header
	}
	for k, v := range single {
		header.Set(k, v)
	}
	return header
}

func query(single map[string]string, many map[string][]string, decoded bool) string {
	values := url.Values{}
	for k, v := range many {
		values[k] = v
	}
	if len(many) == 0 {
		for k, v := range single {
			values.Set(k, v)
		}
	}
	if decoded {
		return values.Encode()
	}
	var parts []string
	for k, vs := range values {
		for _, v := range vs {
			parts = append(parts, k+"="+v)
		}
	}
	return strings.Join(parts, "&")
}

// escapePath escapes what API Gateway decoded in the path.
func escapePath(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// recorder collects a response: these events are answered in one piece.
type recorder struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

// truncated is what is sent instead of a response that ended too early.
func truncated() *recorder {
	f := fault.New("messaging.adaptors.http.flow.UnexpectedEOFAtTarget", http.StatusBadGateway, "Unexpected EOF at target")
	rec := &recorder{header: http.Header{"Content-Type": {"application/json"}}, status: f.Status}
	rec.body.Write(f.JSON())
	return rec
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if !r.wrote && status >= 200 {
		r.status, r.wrote = status, true
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.body.Write(b)
}

// Flush implements http.Flusher; there is nothing to flush to.
func (r *recorder) Flush() {}

func (r *recorder) fields() map[string][]string {
	out := make(map[string][]string, len(r.header))
	for k, v := range r.header {
		if v != nil {
			out[k] = v
		}
	}
	return out
}

// text returns the body, in base64 unless it is plain text.
func (r *recorder) text() (body string, encoded bool) {
	b := r.body.Bytes()
	if r.header.Get("Content-Encoding") == "" && utf8.Valid(b) {
		return string(b), false
	}
	return base64.StdEncoding.EncodeToString(b), true
}
