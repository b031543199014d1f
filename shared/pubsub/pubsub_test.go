package pubsub_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	client "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perigee-gateway/perigee/shared/googletoken"
	"github.com/perigee-gateway/perigee/shared/pubsub"
)

// service is a Pub/Sub of one topic that fails the first call.
type service struct {
	pubsubpb.UnimplementedPublisherServer
	mu       sync.Mutex
	failures int
	got      []*pubsubpb.PubsubMessage
}

func (s *service) Publish(_ context.Context, r *pubsubpb.PublishRequest) (*pubsubpb.PublishResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Topic != "projects/p/topics/t" {
		return nil, status.Error(codes.NotFound, "Topic not found")
	}
	if s.failures > 0 {
		s.failures--
		return nil, status.Error(codes.Unavailable, "try again")
	}
	s.got = append(s.got, r.Messages...)
	return &pubsubpb.PublishResponse{MessageIds: []string{fmt.Sprint(len(s.got))}}, nil
}

func start(t testing.TB, s *service) *pubsub.Publisher {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	pubsubpb.RegisterPublisherServer(srv, s)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	p := pubsub.New(pubsub.Options{Emulator: l.Addr().String()})
	t.Cleanup(func() { p.Close() })
	return p
}

func TestPublish(t *testing.T) {
	s := &service{failures: 1}
	p := start(t, s)
	want := map[string]string{"a": "b"}
	for i, account := range []string{"", "sa@p"} {
		id, err := p.Publish(t.Context(), account, "projects/p/topics/t", []byte("\x00data"), want)
		if err != nil || id != fmt.Sprint(i+1) {
			t.Fatalf("id %q, error %v", id, err)
		}
	}
	if m := s.got[0]; string(m.Data) != "\x00data" || !maps.Equal(m.Attributes, want) {
		t.Errorf("got %v", m)
	}
	if _, err := p.Publish(t.Context(), "", "projects/p/topics/none", []byte("x"), nil); status.Code(err) != codes.NotFound {
		t.Errorf("unknown topic: %v", err)
	}
}

// TestDeadline ends with the call's time.
func TestDeadline(t *testing.T) {
	p := start(t, &service{failures: 1 << 30})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Publish(ctx, "", "projects/p/topics/t", []byte("x"), nil); err == nil {
		t.Error("published")
	}
}

// TestEmulator publishes to Google's own emulator and reads the message back.
func TestEmulator(t *testing.T) {
	host := os.Getenv("PUBSUB_EMULATOR_HOST")
	if host == "" {
		if os.Getenv("PERIGEE_REQUIRE_EMULATORS") != "" {
			t.Fatal("PUBSUB_EMULATOR_HOST is not set")
		}
		t.Skip("PUBSUB_EMULATOR_HOST is not set")
	}
	ctx := t.Context()
	conn, err := googletoken.DialPlain(host)
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
	suffix := fmt.Sprint(time.Now().UnixNano())
	topic, sub := "projects/perigee-test/topics/t"+suffix, "projects/perigee-test/subscriptions/s"+suffix
	if _, err := topics.CreateTopic(ctx, &pubsubpb.Topic{Name: topic}); err != nil {
		t.Fatal(err)
	}
	if _, err := subscriptions.CreateSubscription(ctx, &pubsubpb.Subscription{Name: sub, Topic: topic}); err != nil {
		t.Fatal(err)
	}
	p := pubsub.New(pubsub.Options{Emulator: host})
	defer p.Close()
	id, err := p.Publish(ctx, "", topic, []byte("hello"), map[string]string{"k": "v"})
	if err != nil || id == "" {
		t.Fatalf("id %q, error %v", id, err)
	}
	answer, err := subscriptions.Pull(ctx, &pubsubpb.PullRequest{Subscription: sub, MaxMessages: 1})
	if err != nil || len(answer.ReceivedMessages) != 1 {
		t.Fatalf("pull: %v, %v", answer, err)
	}
	if m := answer.ReceivedMessages[0].Message; m.MessageId != id || string(m.Data) != "hello" || m.Attributes["k"] != "v" {
		t.Errorf("got %v, want id %s", m, id)
	}
	if _, err := p.Publish(ctx, "", topic+"x", []byte("hello"), nil); status.Code(err) != codes.NotFound {
		t.Errorf("unknown topic: %v", err)
	}
}

func BenchmarkPublish(b *testing.B) {
	p := start(b, new(service))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Publish(b.Context(), "", "projects/p/topics/t", []byte("data"), nil); err != nil {
			b.Fatal(err)
		}
	}
}
