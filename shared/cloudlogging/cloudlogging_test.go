package cloudlogging_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/logging/apiv2/loggingpb"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/perigee-gateway/perigee/shared/cloudlogging"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// service is a Cloud Logging that keeps what it is sent.
type service struct {
	loggingpb.UnimplementedLoggingServiceV2Server
	answer func(*loggingpb.WriteLogEntriesRequest) error

	mu       sync.Mutex
	requests []*loggingpb.WriteLogEntriesRequest
}

func (s *service) WriteLogEntries(_ context.Context, r *loggingpb.WriteLogEntriesRequest) (*loggingpb.WriteLogEntriesResponse, error) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	if s.answer != nil {
		if err := s.answer(r); err != nil {
			return nil, err
		}
	}
	return &loggingpb.WriteLogEntriesResponse{}, nil
}

func (s *service) entries() []*loggingpb.LogEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*loggingpb.LogEntry
	for _, r := range s.requests {
		all = append(all, r.Entries...)
	}
	return all
}

// start runs a Cloud Logging and returns a Writer for it.
func start(t *testing.T, s *service, change ...func(*cloudlogging.Options)) (*cloudlogging.Writer, *bytes.Buffer) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	loggingpb.RegisterLoggingServiceV2Server(srv, s)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	log := new(bytes.Buffer)
	opts := cloudlogging.Options{Log: slog.New(slog.NewTextHandler(log, nil)), Endpoint: l.Addr().String()}
	for _, f := range change {
		f(&opts)
	}
	w := cloudlogging.New(opts)
	t.Cleanup(func() { w.Close(context.Background()) })
	return w, log
}

func entry(text string) policy.LogEntry {
	return policy.LogEntry{LogName: "projects/p/logs/l", Severity: "INFO", Resource: "api", Text: text, Time: time.Unix(1700000000, 5000)}
}

func TestWrite(t *testing.T) {
	s := new(service)
	w, log := start(t, s)
	e := entry("")
	e.JSON, e.Severity, e.InsertID = map[string]any{"a": 1.5, "b": []any{"x", nil, true}}, "ALERT", "id-1"
	e.Labels = map[string]string{"k": "v"}
	for _, e := range []policy.LogEntry{entry("text \xff"), e} {
		if err := w.Write(t.Context(), "", e); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.entries()); n != 0 {
		t.Errorf("%d entries were sent before Flush", n)
	}
	w.Flush(t.Context())
	got := s.entries()
	if len(got) != 2 || len(s.requests) != 1 || !s.requests[0].PartialSuccess {
		t.Fatalf("got %d entries in %d requests", len(got), len(s.requests))
	}
	if got[0].InsertId == "" || got[0].GetTextPayload() != "text \uFFFD" {
		t.Errorf("first entry: %v", got[0])
	}
	want := `{"logName":"projects/p/logs/l","resource":{"type":"api","labels":{"project_id":"p"}},"jsonPayload":{"a":1.5,"b":["x",null,true]},` +
		`"timestamp":"2023-11-14T22:13:20.000005Z","severity":"ALERT","insertId":"id-1","labels":{"k":"v"}}`
	wanted := new(loggingpb.LogEntry)
	if err := protojson.Unmarshal([]byte(want), wanted); err != nil {
		t.Fatal(err)
	}
	if got[1].String() != wanted.String() {
		t.Errorf("second entry:\n%v\nwant\n%v", got[1], wanted)
	}
	if log.Len() > 0 {
		t.Error(log)
	}
}

// TestConcurrent has every call's entries sent when its Flush returns, whoever
// sent them.
func TestConcurrent(t *testing.T) {
	s := new(service)
	w, _ := start(t, s)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for j := range 10 {
				text := fmt.Sprint(i, " ", j)
				if err := w.Write(t.Context(), "", entry(text)); err != nil {
					t.Error(err)
				}
				w.Flush(t.Context())
				if !slices.ContainsFunc(s.entries(), func(e *loggingpb.LogEntry) bool { return e.GetTextPayload() == text }) {
					t.Errorf("%s was not sent", text)
				}
			}
		})
	}
	wg.Wait()
	if n := len(s.entries()); n != 200 {
		t.Errorf("%d entries were sent", n)
	}
}

func TestLargeBatches(t *testing.T) {
	s := new(service)
	w, _ := start(t, s)
	for range 50 {
		if err := w.Write(t.Context(), "", entry(strings.Repeat("x", 200<<10))); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush(t.Context())
	if n := len(s.requests); len(s.entries()) != 50 || n != 3 {
		t.Errorf("%d entries in %d requests", len(s.entries()), n)
	}
}

func TestTooManyPending(t *testing.T) {
	s := new(service)
	w, _ := start(t, s)
	for i := range 2501 {
		err := w.Write(t.Context(), "", entry("x"))
		if (i == 2500) != errors.Is(err, policy.ErrTooManyPending) {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	w.Flush(t.Context())
	if n := len(s.entries()); n != 2500 {
		t.Errorf("%d entries were sent", n)
	}
	if err := w.Write(t.Context(), "", entry("x")); err != nil {
		t.Errorf("after Flush: %v", err)
	}
}

// TestPartial loses only what Google refuses, and tells no one what was in it.
func TestPartial(t *testing.T) {
	s := &service{answer: func(r *loggingpb.WriteLogEntriesRequest) error {
		st, err := status.New(codes.InvalidArgument, "some entries").WithDetails(&loggingpb.WriteLogEntriesPartialErrors{
			LogEntryErrors: map[int32]*rpcstatus.Status{1: status.New(codes.PermissionDenied, "not yours").Proto()},
		})
		if err != nil {
			t.Error(err)
		}
		return st.Err()
	}}
	w, log := start(t, s)
	for _, text := range []string{"a", "secret", "c"} {
		if err := w.Write(t.Context(), "sa@p", entry(text)); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush(t.Context())
	if text := log.String(); strings.Count(text, "log entries lost") != 1 || !strings.Contains(text, "not yours") || strings.Contains(text, "secret") {
		t.Errorf("log: %s", text)
	}
}

// TestLocal writes to the process's log what cannot be delivered, and does not
// try again with every call.
func TestLocal(t *testing.T) {
	now := time.Unix(1700000000, 0)
	s := &service{answer: func(*loggingpb.WriteLogEntriesRequest) error {
		return status.Error(codes.PermissionDenied, "no such project")
	}}
	w, log := start(t, s, func(o *cloudlogging.Options) { o.Local, o.Now = true, func() time.Time { return now } })
	e := entry("")
	e.JSON, e.Severity = map[string]any{"k": "v"}, "WARNING"
	for range 3 {
		if err := w.Write(t.Context(), "", e); err != nil {
			t.Fatal(err)
		}
		w.Flush(t.Context())
	}
	if n := len(s.requests); n != 1 {
		t.Errorf("%d requests", n)
	}
	if text := log.String(); strings.Count(text, `level=WARN msg="log entry" logName=projects/p/logs/l payload=map[k:v]`) != 3 || !strings.Contains(text, "reason=PermissionDenied") {
		t.Errorf("log: %s", text)
	}
	now = now.Add(2 * time.Minute)
	if err := w.Write(t.Context(), "", entry("later")); err != nil {
		t.Fatal(err)
	}
	w.Flush(t.Context())
	if n := len(s.requests); n != 2 {
		t.Errorf("%d requests after a while", n)
	}
}

func BenchmarkWrite(b *testing.B) {
	w := cloudlogging.New(cloudlogging.Options{Log: slog.Default(), Local: true, Endpoint: "127.0.0.1:1"})
	e := entry("")
	e.JSON = map[string]any{"organization": "o", "proxy": "p", "status": "200"}
	b.ReportAllocs()
	for b.Loop() {
		_ = w.Write(b.Context(), "", e)
	}
}
