package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// handler adapts an http.Handler to the events that may call a Lambda
// function. Which one it is is read from the event itself:
//
//   - Function URL (and API Gateway HTTP APIs, payload 2.0): "version" is "2.0"
//   - API Gateway REST API and HTTP API payload 1.0: "httpMethod" and "requestContext"
//   - Application Load Balancer: "requestContext.elb"
//
// With stream, Function URL answers are streamed; the URL's invoke mode must
// then be RESPONSE_STREAM. All others are collected and sent in one piece, at
// most 6 MB of it.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
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
			return serveStream(ctx, h, raw)
		case probe.Version == "2.0":
			return serve(ctx, h, raw, v2Request, v2Response)
		case probe.HTTPMethod != "":
			return serve(ctx, h, raw, v1Request, v1Response)
		}
		return nil, errors.New("event is neither a function URL, API Gateway nor load balancer request")
	}
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
	ctx, cancel := beforeDeadline(ctx)
	defer cancel()
	rec := newRecorder()
	if err := run(h, rec, r.WithContext(ctx)); err != nil {
		rec = instead(err) // nothing was sent yet
	}
	return response(rec, &e), nil
}

// answerTime is kept of an invocation's time for what follows a target that does
// not answer: fault rules, the response, log lines. At its deadline Lambda ends
// the process, and the caller gets an error of the service.
const answerTime = 500 * time.Millisecond

// beforeDeadline ends earlier than the invocation does: by answerTime, or half
// the time that is left.
func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(answerTime, time.Until(deadline)/2)))
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
	// An event is no connection, and cannot become another protocol's.
	header.Del("Connection")
	header.Del("Upgrade")
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
	for k, v := range r.fields() {
		if k == "Set-Cookie" {
			out.Cookies = v
			continue
		}
		out.Headers[k] = strings.Join(v, ",")
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
		if k == "Set-Cookie" {
			// Cookies cannot be joined; the load balancer takes names that differ in
			// case as several fields.
			for i, c := range v {
				out.Headers[spelling(k, i)] = c
			}
			continue
		}
		out.Headers[k] = strings.Join(v, ",")
	}
	return out
}

// spelling is the i-th way to write a name: letter n is in the other case if bit
// n of i is set.
func spelling(name string, i int) string {
	out := []byte(name)
	for n, bit := 0, 0; n < len(out); n++ {
		if out[n]|0x20 < 'a' || out[n]|0x20 > 'z' {
			continue
		}
		if i>>bit&1 == 1 {
			out[n] ^= 0x20
		}
		bit++
	}
	return string(out)
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
		return strings.ReplaceAll(values.Encode(), "+", "%20")
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(values)) {
		for _, v := range values[k] {
			parts = append(parts, k+"="+v)
		}
	}
	return strings.Join(parts, "&")
}

// escapePath escapes what API Gateway decoded in the path.
func escapePath(path string) string { return (&url.URL{Path: path}).EscapedPath() }
