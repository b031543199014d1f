// Package grpccallout calls unary gRPC methods of target servers, with messages
// that its caller encoded: it implements policy.GRPC for ExternalCallout.
//
// A server has one connection for all calls, made on the first one. It is made
// anew when the server's definition or certificates change; calls under way keep
// the old one, which is closed behind the last of them. No goroutine of this
// package runs between calls.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/external-callout-policy
package grpccallout

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/target"
)

// maxMessage is how large a message of a server may be: the largest body that a
// call may have, and its headers and variables.
const maxMessage = 32 << 20

// Client calls the target servers of one environment. It is safe for concurrent
// use.
type Client struct {
	pool    *target.Pool
	servers target.Servers

	mu    sync.Mutex
	conns map[string]*conn
}

var _ policy.GRPC = (*Client)(nil)

// New returns a Client that finds servers in servers and their TLS identities in
// pool. It opens nothing.
func New(pool *target.Pool, servers target.Servers) *Client {
	return &Client{pool: pool, servers: servers, conns: map[string]*conn{}}
}

// Server implements policy.GRPC.
func (c *Client) Server(name string) (host string, ok bool) {
	s, ok := c.servers.TargetServer(name)
	return s.Host, ok && s.Enabled && speaksGRPC(s.Protocol)
}

// speaksGRPC reports whether a protocol is one of those of gRPC servers.
func speaksGRPC(protocol string) bool {
	return protocol == "GRPC" || protocol == "GRPC_TARGET" || protocol == "EXTERNAL_CALLOUT"
}

// Invoke implements policy.GRPC. The call ends with ctx.
func (c *Client) Invoke(ctx context.Context, name, method string, request []byte, md map[string]string) ([]byte, error) {
	s, ok := c.servers.TargetServer(name)
	switch {
	case !ok || !s.Enabled:
		return nil, status.Errorf(codes.Unavailable, "there is no target server %s that takes calls", name)
	case !speaksGRPC(s.Protocol):
		return nil, status.Errorf(codes.FailedPrecondition, "the protocol of target server %s is not GRPC", name)
	}
	conn, err := c.conn(ctx, name, s)
	if err != nil {
		return nil, err
	}
	defer conn.release(c)
	for k, v := range md {
		ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(k), v)
	}
	var response []byte
	err = conn.grpc.Invoke(ctx, method, request, &response)
	return response, err
}

// conn is a connection to a server as it was defined. All but grpc is guarded by
// the client's mutex.
type conn struct {
	server  target.Server
	link    *target.Link
	id      string // of the TLS identity
	grpc    *grpc.ClientConn
	calls   int
	retired bool
}

// conn returns the connection to a server as it is defined now. It must be
// released.
func (c *Client) conn(ctx context.Context, name string, s target.Server) (*conn, error) {
	link := c.link(name, s)
	config, id, err := link.TLS(ctx, nil, s.Host)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.conns[name]; have != nil {
		if have.id == id && reflect.DeepEqual(have.server, s) {
			have.calls++
			return have, nil
		}
		have.retired = true
		have.closeIdle()
	}
	g, err := dial(s, config)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	made := &conn{server: s, link: link, id: id, grpc: g, calls: 1}
	c.conns[name] = made
	return made, nil
}

// link keeps what certificates resolved to for as long as a server is the same.
func (c *Client) link(name string, s target.Server) *target.Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.conns[name]; have != nil && reflect.DeepEqual(have.server, s) {
		return have.link
	}
	return c.pool.Link(s.SSLInfo, nil, true)
}

func (k *conn) release(c *Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.calls--
	k.closeIdle()
}

func (k *conn) closeIdle() {
	if k.retired && k.calls == 0 {
		k.grpc.Close()
	}
}

// Close closes the connections that no call uses, and the others behind their last
// call.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, k := range c.conns {
		k.retired = true
		k.closeIdle()
		delete(c.conns, name)
	}
}

func dial(s target.Server, config *tls.Config) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if config != nil {
		creds = credentials.NewTLS(config)
	}
	// A server that came back must be found soon: gRPC's own backoff grows to two
	// minutes, longer than an instance may live.
	wait := backoff.DefaultConfig
	wait.BaseDelay, wait.MaxDelay = 100*time.Millisecond, 2*time.Second
	return grpc.NewClient("passthrough:///"+net.JoinHostPort(s.Host, strconv.Itoa(s.Port)),
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: wait, MinConnectTimeout: 20 * time.Second}),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{}), grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
	)
}

// codec passes on messages that are encoded already.
type codec struct{}

func (codec) Marshal(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("message is a %T", v)
	}
	return b, nil
}

func (codec) Unmarshal(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("message is a %T", v)
	}
	*b = append([]byte(nil), data...)
	return nil
}

// Name is that of the encoding on the wire, application/grpc+proto.
func (codec) Name() string { return "proto" }
