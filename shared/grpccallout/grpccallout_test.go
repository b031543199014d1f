package grpccallout

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/target"
)

// registry holds the definitions of target servers.
type registry struct {
	mu      sync.Mutex
	servers map[string]target.Server
}

func (r *registry) TargetServer(name string) (target.Server, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.servers[name]
	return s, ok
}

func (r *registry) set(name string, s target.Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.servers == nil {
		r.servers = map[string]target.Server{}
	}
	r.servers[name] = s
}

// listener counts connections.
type listener struct {
	net.Listener
	mu sync.Mutex
	n  int
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.n++
		l.mu.Unlock()
	}
	return c, err
}

func (l *listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// serve runs a server that returns every message behind prefix and the metadata
// X-Token.
func serve(t *testing.T, prefix string, opts ...grpc.ServerOption) (*listener, int) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: tcp}
	srv := grpc.NewServer(append(opts, grpc.ForceServerCodec(codec{}), grpc.MaxRecvMsgSize(maxMessage), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		var in []byte
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		if string(in) == "hang" {
			<-s.Context().Done()
			return s.Context().Err()
		}
		md, _ := metadata.FromIncomingContext(s.Context())
		return s.SendMsg([]byte(prefix + strings.Join(md.Get("x-token"), ",") + string(in)))
	}))...)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	return l, tcp.Addr().(*net.TCPAddr).Port
}

func plain(port int) target.Server {
	return target.Server{Host: "127.0.0.1", Port: port, Protocol: "GRPC", Enabled: true}
}

// TestInvoke sends bytes and metadata over one connection.
func TestInvoke(t *testing.T) {
	l, port := serve(t, "one:")
	var r registry
	r.set("s", plain(port))
	c := New(target.New(target.Options{}), &r)
	defer c.Close()
	for range 3 {
		got, err := c.Invoke(t.Context(), "s", "/a.B/C", []byte("body"), map[string]string{"X-Token": "t:"})
		if err != nil || string(got) != "one:t:body" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if l.count() != 1 {
		t.Errorf("%d connections", l.count())
	}
	big := bytes.Repeat([]byte("x"), 10<<20)
	if got, err := c.Invoke(t.Context(), "s", "/a.B/C", big, nil); err != nil || len(got) != len(big)+4 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestRedefined goes to the server as it is defined now; a call under way ends on
// the old one.
func TestRedefined(t *testing.T) {
	_, first := serve(t, "one:")
	_, second := serve(t, "two:")
	var r registry
	r.set("s", plain(first))
	c := New(target.New(target.Options{}), &r)
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	old := make(chan error)
	go func() {
		_, err := c.Invoke(ctx, "s", "/a.B/C", []byte("hang"), nil)
		old <- err
	}()
	for c.calls("s") == 0 {
		time.Sleep(time.Millisecond)
	}
	r.set("s", plain(second))
	if got, err := c.Invoke(t.Context(), "s", "/a.B/C", nil, nil); err != nil || string(got) != "two:" {
		t.Errorf("%q, %v", got, err)
	}
	cancel()
	if err := <-old; status.Code(err) != codes.Canceled {
		t.Errorf("the old call: %v", err)
	}
}

func (c *Client) calls(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.conns[name]; k != nil {
		return k.calls
	}
	return 0
}

// TestRefused does not call what takes no calls.
func TestRefused(t *testing.T) {
	_, port := serve(t, "")
	off, web, gone := plain(port), plain(port), plain(1)
	off.Enabled, web.Protocol = false, "HTTP"
	var r registry
	r.set("off", off)
	r.set("web", web)
	r.set("gone", gone)
	c := New(target.New(target.Options{}), &r)
	defer c.Close()
	for name, want := range map[string]codes.Code{"off": codes.Unavailable, "web": codes.FailedPrecondition, "nope": codes.Unavailable, "gone": codes.Unavailable} {
		if _, err := c.Invoke(t.Context(), name, "/a.B/C", nil, nil); status.Code(err) != want {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := c.Server(name); ok != (name == "gone") {
			t.Errorf("%s takes calls: %v", name, ok)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	r.set("s", plain(port))
	if _, err := c.Invoke(ctx, "s", "/a.B/C", []byte("hang"), nil); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("deadline: %v", err)
	}
}

// TestTLS verifies the server as targets are verified.
func TestTLS(t *testing.T) {
	cert, roots := certificate(t)
	_, port := serve(t, "tls:", grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	secure := plain(port)
	secure.Host, secure.SSLInfo = "localhost", &bundle.SSLInfo{Enabled: "true"}
	missing := secure
	missing.SSLInfo = &bundle.SSLInfo{Enabled: "true", TrustStore: "nope"}
	careless := secure
	careless.SSLInfo = &bundle.SSLInfo{Enabled: "true", IgnoreValidationErrors: true}
	var r registry
	r.set("secure", secure)
	r.set("missing", missing)
	r.set("careless", careless)
	c := New(target.New(target.Options{RootCAs: roots, Keys: noKeys{}}), &r)
	defer c.Close()
	if got, err := c.Invoke(t.Context(), "secure", "/a.B/C", nil, nil); err != nil || string(got) != "tls:" {
		t.Errorf("%q, %v", got, err)
	}
	var f *fault.Fault
	if _, err := c.Invoke(t.Context(), "missing", "/a.B/C", nil, nil); !errors.As(err, &f) {
		t.Errorf("no truststore: %v", err)
	}
	other := New(target.New(target.Options{RootCAs: x509.NewCertPool()}), &r)
	defer other.Close()
	if _, err := other.Invoke(t.Context(), "secure", "/a.B/C", nil, nil); status.Code(err) != codes.Unavailable {
		t.Errorf("untrusted: %v", err)
	}
	if _, err := other.Invoke(t.Context(), "careless", "/a.B/C", nil, nil); err != nil {
		t.Errorf("not validated: %v", err)
	}
}

type noKeys struct{}

func (noKeys) Key(context.Context, string, string) (crypto.Signer, []*x509.Certificate, error) {
	return nil, nil, errors.New("no such keystore")
}

func (noKeys) Certificates(context.Context, string, string) ([]*x509.Certificate, error) {
	return nil, errors.New("no such keystore")
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}
