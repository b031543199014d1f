// Package pubsub publishes messages to Pub/Sub topics. It implements
// policy.Publisher.
//
// A message is with Pub/Sub when Publish returns: there is no batch in the
// background that a frozen instance would not send. Clients are opened on first
// use, one for each service account that revisions were deployed with.
//
// Source: https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1
package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	pubsub "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"

	"github.com/perigee-gateway/perigee/shared/googletoken"
	"github.com/perigee-gateway/perigee/shared/policy"
)

const (
	endpoint = "pubsub.googleapis.com:443"
	scope    = "https://www.googleapis.com/auth/pubsub"
)

// Options are what a Publisher is made of.
type Options struct {
	// Tokens mints the access tokens; required unless Emulator is set.
	Tokens policy.GoogleTokens
	// Emulator is the address of an emulator, called without TLS and tokens:
	// PUBSUB_EMULATOR_HOST.
	Emulator string
}

// Publisher publishes messages. It is safe for concurrent use.
type Publisher struct {
	opts Options

	mu      sync.Mutex
	clients map[string]*pubsub.TopicAdminClient // by service account
}

// New returns a Publisher. It opens nothing.
func New(opts Options) *Publisher {
	return &Publisher{opts: opts, clients: map[string]*pubsub.TopicAdminClient{}}
}

var _ policy.Publisher = (*Publisher)(nil)

// Publish implements policy.Publisher. Unavailability is tried again until ctx
// ends.
func (p *Publisher) Publish(ctx context.Context, serviceAccount, topic string, data []byte, attributes map[string]string) (string, error) {
	client, err := p.client(serviceAccount)
	if err != nil {
		return "", err
	}
	answer, err := client.Publish(ctx, &pubsubpb.PublishRequest{
		Topic:    topic,
		Messages: []*pubsubpb.PubsubMessage{{Data: data, Attributes: attributes}},
	})
	if err != nil {
		return "", err
	}
	if len(answer.GetMessageIds()) != 1 {
		return "", fmt.Errorf("publish to %s: %d message ids for one message", topic, len(answer.GetMessageIds()))
	}
	return answer.GetMessageIds()[0], nil
}

func (p *Publisher) client(account string) (*pubsub.TopicAdminClient, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.clients[account]; c != nil {
		return c, nil
	}
	conn, err := p.dial(account)
	if err != nil {
		return nil, err
	}
	c, err := pubsub.NewTopicAdminClient(context.Background(), option.WithGRPCConn(conn))
	if err != nil {
		conn.Close()
		return nil, err
	}
	p.clients[account] = c
	return c, nil
}

func (p *Publisher) dial(account string) (*grpc.ClientConn, error) {
	if p.opts.Emulator != "" {
		return googletoken.DialPlain(p.opts.Emulator)
	}
	return googletoken.Dial(endpoint, p.opts.Tokens, account, scope)
}

// Close closes the clients. The Publisher stays usable.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for account, c := range p.clients {
		errs = append(errs, c.Close())
		delete(p.clients, account)
	}
	return errors.Join(errs...)
}
