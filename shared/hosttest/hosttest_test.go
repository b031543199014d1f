package hosttest_test

import (
	"context"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	apigee "google.golang.org/api/apigee/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/hosttest"
)

func TestInProcess(t *testing.T) {
	backend := hosttest.Backend(t)
	c := hosttest.Seed(t, backend)
	h, err := boot.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	do := hosttest.In(h.GatewayHandler())
	// The recorder gives the response when it is whole.
	hosttest.Run(t, do, hosttest.Streams)
	hosttest.Cut(t, do, false)
	hosttest.PostClient(t, do, backend, false)
	hosttest.NoWebSocket(t, do)
}

// TestServer is boot's own server, which the container entry points use.
func TestServer(t *testing.T) {
	backend := hosttest.Backend(t)
	for k, v := range hosttest.Environ(hosttest.Seed(t, backend)) {
		t.Setenv(k, v)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go boot.Serve(t.Context(), l, boot.Lazy(boot.Gateway))
	base := "http://" + l.Addr().String()
	all(t, hosttest.To(base), backend)
	hosttest.WebSocket(t, l.Addr().String())
	t.Run("HTTP/2", func(t *testing.T) { all(t, hosttest.ToHTTP2(base), backend) })
}

func all(t *testing.T, do hosttest.Client, backend string) {
	hosttest.Run(t, do)
	hosttest.Cut(t, do, false)
	hosttest.PostClient(t, do, backend, true)
	hosttest.Events(t, do, backend)
}

func TestLazy(t *testing.T) {
	backend := hosttest.Backend(t)
	for k, v := range hosttest.Environ(hosttest.Seed(t, backend)) {
		t.Setenv(k, v)
	}
	s := httptest.NewServer(boot.Lazy(boot.Gateway))
	defer s.Close()
	all(t, hosttest.To(s.URL), backend)
	hosttest.WebSocket(t, strings.TrimPrefix(s.URL, "http://"))
}

const grpcBundle = `
-- apiproxy/proxies/default.xml --
<ProxyEndpoint name="default">
  <PreFlow name="PreFlow"><Request><Step><Name>RF</Name><Condition>request.header.deny = "yes"</Condition></Step></Request></PreFlow>
  <HTTPProxyConnection><BasePath>/grpc.health.v1.Health</BasePath></HTTPProxyConnection>
  <RouteRule name="t"><TargetEndpoint>default</TargetEndpoint></RouteRule>
</ProxyEndpoint>
-- apiproxy/targets/default.xml --
<TargetEndpoint name="default"><HTTPTargetConnection><LoadBalancer><Server name="health"/></LoadBalancer><Path>/grpc.health.v1.Health</Path></HTTPTargetConnection></TargetEndpoint>
-- apiproxy/policies/RF.xml --
<RaiseFault name="RF"><FaultResponse><Set><StatusCode>403</StatusCode></Set></FaultResponse></RaiseFault>
`

// TestGRPC calls a gRPC service through a proxy whose target server has the
// protocol GRPC_TARGET, with the real client and server: a unary call, an error, a
// stream whose second message comes later, and a policy that refuses.
func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := health.NewServer()
	service.SetServingStatus("up", grpc_health_v1.HealthCheckResponse_SERVING)
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, service)
	go s.Serve(l)
	t.Cleanup(s.Stop)

	h, err := boot.Open(t.Context(), boot.Config{Organization: "org", Store: "memory:", Keystore: "memory:", AnyHost: true, LogFormat: "text", LogLevel: "error"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if err := h.Ensure(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	server := &entity.TargetServer{GoogleCloudApigeeV1TargetServer: apigee.GoogleCloudApigeeV1TargetServer{
		Name: "health", Host: "127.0.0.1", Port: int64(addr.Port), Protocol: "GRPC_TARGET", IsEnabled: true,
	}}
	if err := h.Registry.TargetServers.Create(t.Context(), server, "org", "test", "health"); err != nil {
		t.Fatal(err)
	}
	hosttest.Deploy(t, h, "grpc", []byte(grpcBundle), "")
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go boot.Serve(t.Context(), front, h.GatewayHandler())

	conn, err := grpc.NewClient(front.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if r, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "up"}); err != nil || r.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("unary: %v %v", r, err)
	}
	if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "unknown"}); grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("error of the service: %v", err)
	}
	stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: "up"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []grpc_health_v1.HealthCheckResponse_ServingStatus{grpc_health_v1.HealthCheckResponse_SERVING, grpc_health_v1.HealthCheckResponse_NOT_SERVING} {
		r, err := stream.Recv()
		if err != nil || r.Status != want {
			t.Fatalf("stream: %v %v, want %v", r, err, want)
		}
		service.SetServingStatus("up", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	}
	if _, err := client.Check(metadata.AppendToOutgoingContext(ctx, "deny", "yes"), &grpc_health_v1.HealthCheckRequest{Service: "up"}); grpcstatus.Code(err) != codes.PermissionDenied {
		t.Errorf("refused by a policy: %v", err) // 403 (gRPC's own table of HTTP statuses)
	}
}
