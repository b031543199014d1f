// Package cloudlogging writes log entries to Cloud Logging. It implements
// policy.Logs.
//
// Entries are kept until Flush, which sends what all calls have written so far
// in as few requests as possible and returns when they are with Google: nothing
// is left to a goroutine that a frozen instance would not run. Clients are
// opened on first use, one for each service account that revisions were deployed
// with.
//
// On a laptop, where there may be neither credentials nor a project, entries
// that cannot be delivered are written to the process's own log.
//
// Source: https://cloud.google.com/logging/docs/reference/v2/rpc/google.logging.v2
package cloudlogging

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	logging "cloud.google.com/go/logging/apiv2"
	"cloud.google.com/go/logging/apiv2/loggingpb"
	"google.golang.org/api/option"
	"google.golang.org/genproto/googleapis/api/monitoredres"
	logtype "google.golang.org/genproto/googleapis/logging/type"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/perigee-gateway/perigee/shared/googletoken"
	"github.com/perigee-gateway/perigee/shared/policy"
)

const (
	endpoint = "logging.googleapis.com:443"
	scope    = "https://www.googleapis.com/auth/logging.write"

	// maxPending is how many entries may wait to be sent.
	// Source: MessageLogging policy, TooManyPendingLoggingRequest
	maxPending = 2500
	// maxRequest and maxEntries bound one request; Google's limits are 10 MB and
	// the 256 KB of each entry.
	maxRequest = 4 << 20
	maxEntries = 1000
	// flushTimeout bounds Flush, retries included.
	flushTimeout = 10 * time.Second
	// offline is how long local entries are not tried to be sent after that
	// failed.
	offline = time.Minute
)

// Options are what a Writer is made of.
type Options struct {
	// Tokens mints the access tokens; required unless Endpoint is set.
	Tokens policy.GoogleTokens
	// Log is told of what was lost. Required.
	Log *slog.Logger
	// Local writes entries that cannot be delivered to Log.
	Local bool
	// Endpoint is that of another service, called without TLS and tokens.
	Endpoint string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Writer writes log entries. It is safe for concurrent use.
type Writer struct {
	opts    Options
	pending atomic.Int64

	mu      sync.Mutex
	senders map[string]*sender // by service account
}

// New returns a Writer. It opens nothing.
func New(opts Options) *Writer {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Writer{opts: opts, senders: map[string]*sender{}}
}

var _ policy.Logs = (*Writer)(nil)

// Write implements policy.Logs.
func (w *Writer) Write(_ context.Context, serviceAccount string, e policy.LogEntry) error {
	if w.pending.Add(1) > maxPending {
		w.pending.Add(-1)
		return policy.ErrTooManyPending
	}
	entry, err := encode(&e)
	if err != nil {
		w.pending.Add(-1)
		return err
	}
	w.sender(serviceAccount).add(entry)
	return nil
}

func (w *Writer) sender(account string) *sender {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.senders[account]
	if s == nil {
		s = &sender{w: w, account: account}
		w.senders[account] = s
	}
	return s
}

// Flush implements policy.Logs.
func (w *Writer) Flush(ctx context.Context) {
	if w.pending.Load() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	w.mu.Lock()
	senders := make([]*sender, 0, len(w.senders))
	for _, s := range w.senders {
		senders = append(senders, s)
	}
	w.mu.Unlock()
	for _, s := range senders {
		s.flush(ctx)
	}
}

// Close closes the clients, after a last Flush.
func (w *Writer) Close(ctx context.Context) error {
	w.Flush(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for account, s := range w.senders {
		errs = append(errs, s.close())
		delete(w.senders, account)
	}
	return errors.Join(errs...)
}

// sender sends the entries of one service account.
type sender struct {
	w       *Writer
	account string

	mu      sync.Mutex
	entries []*loggingpb.LogEntry
	flights map[chan struct{}]bool // batches under way
	client  *logging.Client
	until   time.Time // local: not to be tried before
}

func (s *sender) add(e *loggingpb.LogEntry) {
	s.mu.Lock()
	s.entries = append(s.entries, e)
	s.mu.Unlock()
}

// flush sends what waits, and waits for what others are sending: it may be the
// caller's.
func (s *sender) flush(ctx context.Context) {
	s.mu.Lock()
	batch := s.entries
	s.entries = nil
	others := make([]chan struct{}, 0, len(s.flights))
	for f := range s.flights {
		others = append(others, f)
	}
	done := make(chan struct{})
	if len(batch) > 0 {
		if s.flights == nil {
			s.flights = map[chan struct{}]bool{}
		}
		s.flights[done] = true
	}
	s.mu.Unlock()
	if len(batch) > 0 {
		s.send(ctx, batch)
		s.w.pending.Add(-int64(len(batch)))
		s.mu.Lock()
		delete(s.flights, done)
		s.mu.Unlock()
		close(done)
	}
	for _, f := range others {
		select {
		case <-f:
		case <-ctx.Done():
			return
		}
	}
}

func (s *sender) send(ctx context.Context, batch []*loggingpb.LogEntry) {
	client, err := s.open()
	for len(batch) > 0 {
		n := fits(batch)
		if err == nil {
			s.write(ctx, client, batch[:n])
		} else {
			s.lost(ctx, batch[:n], err)
		}
		batch = batch[n:]
	}
}

// errOffline is why a local entry was not tried to be sent.
var errOffline = errors.New("offline")

func (s *sender) open() (*logging.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w.opts.Local && s.w.opts.Now().Before(s.until) {
		return nil, errOffline
	}
	if s.client != nil {
		return s.client, nil
	}
	conn, err := s.dial()
	if err != nil {
		return nil, err
	}
	client, err := logging.NewClient(context.Background(), option.WithGRPCConn(conn))
	if err != nil {
		conn.Close()
		return nil, err
	}
	s.client = client
	return client, nil
}

func (s *sender) dial() (*grpc.ClientConn, error) {
	if s.w.opts.Endpoint != "" {
		return googletoken.DialPlain(s.w.opts.Endpoint)
	}
	return googletoken.Dial(endpoint, s.w.opts.Tokens, s.account, scope)
}

func (s *sender) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	err := s.client.Close()
	s.client = nil
	return err
}

// fits is how many entries go into one request; at least one.
func fits(batch []*loggingpb.LogEntry) int {
	size := 0
	for i, e := range batch {
		size += proto.Size(e)
		if i > 0 && (size > maxRequest || i == maxEntries) {
			return i
		}
	}
	return len(batch)
}

// write sends one request. What Google refuses of it is logged, the rest is
// written.
func (s *sender) write(ctx context.Context, client *logging.Client, batch []*loggingpb.LogEntry) {
	_, err := client.WriteLogEntries(ctx, &loggingpb.WriteLogEntriesRequest{Entries: batch, PartialSuccess: true})
	if err == nil {
		return
	}
	refused := partial(err, batch)
	if refused == nil {
		s.wait()
		s.lost(ctx, batch, err)
		return
	}
	for _, r := range refused {
		s.lost(ctx, []*loggingpb.LogEntry{r.entry}, r.err)
	}
}

// wait keeps local entries from being sent for a while.
func (s *sender) wait() {
	s.mu.Lock()
	s.until = s.w.opts.Now().Add(offline)
	s.mu.Unlock()
}

// refusal is an entry that Google did not take while it took others.
type refusal struct {
	entry *loggingpb.LogEntry
	err   error
}

// partial is what was refused of a request, nil if all was.
func partial(err error, batch []*loggingpb.LogEntry) []refusal {
	for _, d := range status.Convert(err).Details() {
		p, ok := d.(*loggingpb.WriteLogEntriesPartialErrors)
		if !ok {
			continue
		}
		var out []refusal
		for i, st := range p.GetLogEntryErrors() {
			if i >= 0 && int(i) < len(batch) {
				out = append(out, refusal{batch[i], status.ErrorProto(st)})
			}
		}
		return out
	}
	return nil
}

// lost logs entries that were not delivered: with all they say on a laptop, and
// else only that they are gone, as messages may hold what is no log's business.
func (s *sender) lost(ctx context.Context, batch []*loggingpb.LogEntry, err error) {
	log := s.w.opts.Log
	if !s.w.opts.Local {
		log.LogAttrs(ctx, slog.LevelError, "log entries lost", slog.Int("entries", len(batch)), slog.String("logName", batch[0].LogName),
			slog.String("serviceAccount", s.account), slog.String("error", err.Error()))
		return
	}
	if !errors.Is(err, errOffline) {
		log.LogAttrs(ctx, slog.LevelInfo, "log entries are written here, not to Cloud Logging", slog.String("reason", reason(err)))
	}
	for _, e := range batch {
		log.LogAttrs(ctx, level(e.Severity), "log entry", attrs(e)...)
	}
}

// reason is an error in a few words.
func reason(err error) string {
	if st, ok := status.FromError(err); ok && st.Code() != codes.Unknown {
		return st.Code().String()
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

func level(s logtype.LogSeverity) slog.Level {
	switch {
	case s >= logtype.LogSeverity_ERROR:
		return slog.LevelError
	case s >= logtype.LogSeverity_WARNING:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func attrs(e *loggingpb.LogEntry) []slog.Attr {
	out := []slog.Attr{slog.String("logName", e.LogName)}
	if len(e.Labels) > 0 {
		out = append(out, slog.Any("labels", e.Labels))
	}
	if j := e.GetJsonPayload(); j != nil {
		return append(out, slog.Any("payload", j.AsMap()))
	}
	return append(out, slog.String("payload", e.GetTextPayload()))
}

func encode(e *policy.LogEntry) (*loggingpb.LogEntry, error) {
	out := &loggingpb.LogEntry{
		LogName:   e.LogName,
		Resource:  resource(e),
		Labels:    e.Labels,
		Severity:  logtype.LogSeverity(logtype.LogSeverity_value[e.Severity]),
		InsertId:  e.InsertID,
		Timestamp: timestamppb.New(e.Time),
	}
	if out.InsertId == "" {
		var b [12]byte
		rand.Read(b[:])
		out.InsertId = hex.EncodeToString(b[:])
	}
	if e.JSON == nil {
		out.Payload = &loggingpb.LogEntry_TextPayload{TextPayload: strings.ToValidUTF8(e.Text, "\uFFFD")}
		return out, nil
	}
	j, err := structpb.NewStruct(e.JSON)
	if err != nil {
		return nil, err
	}
	out.Payload = &loggingpb.LogEntry_JsonPayload{JsonPayload: j}
	return out, nil
}

// resource is the monitored resource; of its labels only the project is known.
func resource(e *policy.LogEntry) *monitoredres.MonitoredResource {
	r := &monitoredres.MonitoredResource{Type: e.Resource}
	if rest, ok := strings.CutPrefix(e.LogName, "projects/"); ok {
		project, _, _ := strings.Cut(rest, "/")
		r.Labels = map[string]string{"project_id": project}
	}
	return r
}
