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
	"net/url"
	"sync"
	"time"

	"github.com/googleapis/gax-go/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/perigee-gateway/perigee/shared/googletoken"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/pubsub/publishpb"
)

const (
	endpoint = "pubsub.googleapis.com:443"
	scope    = "https://www.googleapis.com/auth/pubsub"
	method   = "/google.pubsub.v1.Publisher/Publish"
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
	clients map[string]*grpc.ClientConn // by service account
}

// New returns a Publisher. It opens nothing.
func New(opts Options) *Publisher {
	return &Publisher{opts: opts, clients: map[string]*grpc.ClientConn{}}
}

var _ policy.Publisher = (*Publisher)(nil)

// Publish implements policy.Publisher. Unavailability is tried again until ctx
// ends.
func (p *Publisher) Publish(ctx context.Context, serviceAccount, topic string, data []byte, attributes map[string]string) (string, error) {
	client, err := p.client(serviceAccount)
	if err != nil {
		return "", err
	}
	request := &publishpb.PublishRequest{
		Topic:    topic,
		Messages: []*publishpb.PubsubMessage{{Data: data, Attributes: attributes}},
	}
	answer := new(publishpb.PublishResponse)
	ctx = gax.InsertMetadataIntoOutgoingContext(ctx, "x-goog-request-params", "topic="+url.QueryEscape(topic))
	err = gax.Invoke(ctx, func(ctx context.Context, settings gax.CallSettings) error {
		return client.Invoke(ctx, method, request, answer, settings.GRPC...)
	}, gax.WithTimeout(timeout), gax.WithRetry(retries))
	if err != nil {
		return "", err
	}
	if len(answer.GetMessageIds()) != 1 {
		return "", fmt.Errorf("publish to %s: %d message ids for one message", topic, len(answer.GetMessageIds()))
	}
	return answer.GetMessageIds()[0], nil
}

// timeout is that of a call whose context has none.
const timeout = time.Minute

// retries are those of Google's own client.
// Source: cloud.google.com/go/pubsub/v2/apiv1, the call options of Publish
func retries() gax.Retryer {
	return gax.OnCodes([]codes.Code{
		codes.Aborted, codes.Canceled, codes.Internal, codes.ResourceExhausted, codes.Unknown, codes.Unavailable, codes.DeadlineExceeded,
	}, gax.Backoff{Initial: 100 * time.Millisecond, Max: time.Minute, Multiplier: 4})
}

func (p *Publisher) client(account string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.clients[account]; c != nil {
		return c, nil
	}
	c, err := p.dial(account)
	if err != nil {
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
