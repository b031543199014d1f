package boot_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/logging/apiv2/loggingpb"
	client "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/google/uuid"
	"google.golang.org/api/option"
	"google.golang.org/grpc"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/googletoken"
	"github.com/perigee-gateway/perigee/shared/hosttest"
)

// outletsBundle logs and publishes on every way there is. Its last message is
// written in PostClientFlow.
const outletsBundle = `
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default">
  <PreFlow name="PreFlow">
    <Request>
      <Step><Name>PM-Topic</Name></Step><Step><Name>ML-Cloud</Name></Step><Step><Name>ML-TCP</Name></Step><Step><Name>ML-File</Name></Step>
    </Request>
  </PreFlow>
  <PostClientFlow><Response><Step><Name>ML-After</Name></Step></Response></PostClientFlow>
  <HTTPProxyConnection><BasePath>/outlets</BasePath></HTTPProxyConnection>
  <RouteRule name="none"/>
</ProxyEndpoint>
-- apiproxy/policies/PM-Topic.xml --
<PublishMessage name="PM-Topic"><Source>{request.queryparam.m}</Source><CloudPubSub><Topic>projects/perigee-test/topics/TOPIC</Topic></CloudPubSub></PublishMessage>
-- apiproxy/policies/ML-Cloud.xml --
<MessageLogging name="ML-Cloud"><CloudLogging>
  <LogName>projects/{organization.name}/logs/calls</LogName>
  <Message contentType="application/json">{"verb":"{request.verb}","m":"{request.queryparam.m}"}</Message>
</CloudLogging></MessageLogging>
-- apiproxy/policies/ML-After.xml --
<MessageLogging name="ML-After"><CloudLogging>
  <LogName>projects/p/logs/after</LogName><Message>status {response.status.code}</Message>
</CloudLogging><logLevel>ERROR</logLevel></MessageLogging>
-- apiproxy/policies/ML-TCP.xml --
<MessageLogging name="ML-TCP"><Syslog><Message>m={request.queryparam.m}</Message><Host>127.0.0.1</Host><Port>SYSLOG</Port><Protocol>TCP</Protocol></Syslog></MessageLogging>
-- apiproxy/policies/ML-File.xml --
<MessageLogging name="ML-File"><File><Message>m={request.queryparam.m}</Message><FileName>calls.log</FileName></File></MessageLogging>
`

// logService is a Cloud Logging that keeps what it is sent.
type logService struct {
	loggingpb.UnimplementedLoggingServiceV2Server
	mu      sync.Mutex
	entries []*loggingpb.LogEntry
}

func (s *logService) WriteLogEntries(_ context.Context, r *loggingpb.WriteLogEntriesRequest) (*loggingpb.WriteLogEntriesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, r.Entries...)
	return &loggingpb.WriteLogEntriesResponse{}, nil
}

// TestOutlets deploys a proxy that logs and publishes, calls it, and finds every
// message delivered when the handler has returned: an instance that is frozen
// from then on loses none. While it is deployed nothing is connected to: the
// servers do not even listen.
func TestOutlets(t *testing.T) {
	logs := &logService{}
	logging, syslog := listen(t), listen(t)
	port := syslog.Addr().(*net.TCPAddr).Port
	dir := t.TempDir()
	h := open(t, boot.Config{LogDir: dir, LoggingEndpoint: logging.Addr().String(), PubSubEmulator: pubSub(t)})
	topic, received := subscribe(t, h.Config.PubSubEmulator)

	archive := strings.NewReplacer("SYSLOG", strconv.Itoa(port), "TOPIC", topic).Replace(outletsBundle)
	hosttest.Deploy(t, h, "outlets", []byte(archive), "")
	for _, l := range []*net.TCPListener{logging, syslog} {
		l.SetDeadline(time.Now().Add(time.Millisecond))
		if c, err := l.Accept(); err == nil {
			t.Errorf("deploying connected from %s to %s", c.RemoteAddr(), l.Addr())
		}
		l.SetDeadline(time.Time{})
	}

	srv := grpc.NewServer()
	loggingpb.RegisterLoggingServiceV2Server(srv, logs)
	go srv.Serve(logging)
	t.Cleanup(srv.Stop)
	lines := make(chan string, 9)
	go readLines(syslog, lines)

	for _, m := range []string{"one", "two"} {
		call(t, h, "/outlets?m="+m, http.StatusOK)
		// Cloud Logging's entries of this call, that of PostClientFlow included.
		logs.mu.Lock()
		got := logs.entries
		logs.entries = nil
		logs.mu.Unlock()
		if len(got) != 2 {
			t.Fatalf("%d entries were sent when the call was over, want 2: %v", len(got), got)
		}
		if j := got[0].GetJsonPayload().AsMap(); got[0].LogName != "projects/org/logs/calls" || j["verb"] != "GET" || j["m"] != m {
			t.Errorf("first entry: %v", got[0])
		}
		if got[1].GetTextPayload() != "status 200" || got[1].Severity.String() != "ERROR" {
			t.Errorf("second entry: %v", got[1])
		}
		if line := <-lines; line != "m="+m {
			t.Errorf("syslog: %q", line)
		}
		if data := received(); data != m {
			t.Errorf("published %q, want %q", data, m)
		}
	}
	file, err := os.ReadFile(filepath.Join(dir, "org", "test", "outlets", "1", "ML-File", "calls.log"))
	if err != nil || string(file) != "m=one\nm=two\n" {
		t.Errorf("file %q, %v", file, err)
	}
}

// TestNoLogDir refuses what this host could not do.
func TestNoLogDir(t *testing.T) {
	h := open(t, boot.Config{})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "apiproxy", "proxies", "default.xml"), `<ProxyEndpoint name="default"><HTTPProxyConnection><BasePath>/f</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`)
	write(t, filepath.Join(dir, "apiproxy", "policies", "ML-File.xml"), `<MessageLogging name="ML-File"><File><Message>x</Message><FileName>f</FileName></File></MessageLogging>`)
	_, err := h.DeployBundle(t.Context(), "test", dir)
	if err == nil || !strings.Contains(err.Error(), "policies/ML-File.xml:1: <File>: this host has no directory for log files (PERIGEE_LOG_DIR); use <CloudLogging>") {
		t.Errorf("error %v", err)
	}
	if problems, err := boot.Lint(dir); err != nil || problems.Err() != nil {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// open makes a host over an empty store.
func open(t testing.TB, c boot.Config) *boot.Host {
	t.Helper()
	c.Organization, c.Store, c.Keystore, c.AnyHost, c.LogFormat, c.LogLevel = "org", "memory:", "memory:", true, "text", "error"
	h, err := boot.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if err := h.Ensure(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	return h
}

// call calls the gateway in this process: when it returns, so has the handler.
func call(t testing.TB, h *boot.Host, path string, status int) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://api.example.com"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := hosttest.In(h.GatewayHandler())(r)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != status {
		t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
	}
	return string(body)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// readLines sends the lines of the first connection.
func readLines(l net.Listener, lines chan<- string) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	for s := bufio.NewScanner(c); s.Scan(); {
		lines <- s.Text()
	}
}

// pubSub is the address of Google's emulator, or of the fake of its client
// library where none runs.
func pubSub(t *testing.T) string {
	t.Helper()
	if addr := os.Getenv("PUBSUB_EMULATOR_HOST"); addr != "" {
		return addr
	}
	if os.Getenv("PERIGEE_REQUIRE_EMULATORS") != "" {
		t.Fatal("PUBSUB_EMULATOR_HOST is not set")
	}
	s := pstest.NewServer()
	t.Cleanup(func() { s.Close() })
	return s.Addr
}

// subscribe makes a topic. received waits for the next message in it.
func subscribe(t *testing.T, addr string) (topic string, received func() string) {
	t.Helper()
	ctx := t.Context()
	conn, err := googletoken.DialPlain(addr)
	if err != nil {
		t.Fatal(err)
	}
	topics, err := client.NewTopicAdminClient(ctx, option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	subscriptions, err := client.NewSubscriptionAdminClient(ctx, option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	topic = "t" + uuid.NewString()
	name := "projects/perigee-test/topics/" + topic
	sub := "projects/perigee-test/subscriptions/" + topic
	if _, err := topics.CreateTopic(ctx, &pubsubpb.Topic{Name: name}); err != nil {
		t.Fatal(err)
	}
	if _, err := subscriptions.CreateSubscription(ctx, &pubsubpb.Subscription{Name: sub, Topic: name}); err != nil {
		t.Fatal(err)
	}
	return topic, func() string {
		t.Helper()
		for ctx.Err() == nil {
			answer, err := subscriptions.Pull(ctx, &pubsubpb.PullRequest{Subscription: sub, MaxMessages: 1})
			if err != nil {
				t.Fatal(err)
			}
			if len(answer.ReceivedMessages) > 0 {
				m := answer.ReceivedMessages[0]
				ack := &pubsubpb.AcknowledgeRequest{Subscription: sub, AckIds: []string{m.AckId}}
				if err := subscriptions.Acknowledge(ctx, ack); err != nil {
					t.Fatal(err)
				}
				return string(m.Message.Data)
			}
		}
		return ""
	}
}
