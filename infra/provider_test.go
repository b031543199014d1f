package infra_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// schemaFile names the schema that this program serves as a Terraform provider.
const schemaFile = "PERIGEE_TEST_SCHEMA"

// TestMain makes the test binary a Terraform provider when Terraform starts it:
// one that knows the schema in testdata and nothing else. Terraform then checks
// and plans the configuration as it would with the real provider; the values of
// resources come from mock_provider in the tests.
func TestMain(m *testing.M) {
	if file := os.Getenv(schemaFile); file != "" {
		if err := serveSchema(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveSchema speaks Terraform's plugin protocol, version 5.
//
// Source: https://github.com/hashicorp/terraform/blob/main/docs/plugin-protocol/README.md
func serveSchema(file string) error {
	s, err := readSchema(file)
	if err != nil {
		return err
	}
	encoded := s.encode()
	tlsConfig, cert, err := mutualTLS(os.Getenv("PLUGIN_CLIENT_CERT"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "schema")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "plugin"))
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(tlsConfig)), grpc.ForceServerCodecV2(raw{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		var in []byte
		if err := stream.RecvMsg(&in); err != nil {
			return err
		}
		out, err := answer(method, in, encoded)
		if err != nil {
			return err
		}
		if strings.HasSuffix(method, "/Shutdown") {
			defer os.Exit(0)
		}
		return stream.SendMsg(&out)
	}))
	// Core protocol 1, plugin protocol 5.
	fmt.Printf("1|5|unix|%s|grpc|%s\n", l.Addr(), base64.RawStdEncoding.EncodeToString(cert))
	return server.Serve(l)
}

func answer(method string, in, schema []byte) ([]byte, error) {
	switch method[strings.LastIndexByte(method, '/')+1:] {
	case "GetSchema":
		return schema, nil
	case "ValidateResourceTypeConfig", "ValidateDataSourceConfig", "Configure", "Stop", "Shutdown":
		return nil, nil
	case "PrepareProviderConfig":
		// The request's first field is the configuration, and so is the answer's.
		return in, nil
	}
	return nil, status.Errorf(codes.Unimplemented, "%s: this provider knows only a schema", method)
}

// raw passes messages as they are.
type raw struct{}

func (raw) Name() string { return "proto" }
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// mutualTLS is what Terraform insists on: it gives its certificate and is told
// ours.
func mutualTLS(clientPEM string) (*tls.Config, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(clientPEM))
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS12,
	}, cert, nil
}

// schema is what testdata/extract.go wrote.
type schema struct {
	Provider, Version string
	Resources, Data   map[string]*block
}

type block struct {
	Attributes map[string]attribute
	Blocks     map[string]nested
}

type attribute struct {
	Type                         json.RawMessage // as cty writes types
	Required, Optional, Computed bool
}

type nested struct {
	Nesting  string
	Max      uint64
	Required bool
	Block    *block
}

func readSchema(file string) (*schema, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var s schema
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return &s, d.Decode(&s)
}

// providerConfig is what the provider blocks of this repository may have.
var providerConfig = &block{Attributes: map[string]attribute{
	"project": {Type: json.RawMessage(`"string"`), Optional: true},
	"region":  {Type: json.RawMessage(`"string"`), Optional: true},
}}

// encode writes a GetProviderSchema.Response of tfplugin5.proto.
func (s *schema) encode() []byte {
	out := field(nil, 1, providerConfig.schema())
	for name, b := range s.Resources {
		out = field(out, 2, entry(name, b.schema()))
	}
	for name, b := range s.Data {
		out = field(out, 3, entry(name, b.schema()))
	}
	return out
}

func entry(name string, value []byte) []byte {
	return field(field(nil, 1, []byte(name)), 2, value)
}

func (b *block) schema() []byte { return field(nil, 2, b.encode()) }

func (b *block) encode() []byte {
	var out []byte
	for name, a := range b.Attributes {
		m := field(field(nil, 1, []byte(name)), 2, a.Type)
		m = flag(m, 4, a.Required)
		m = flag(m, 5, a.Optional)
		m = flag(m, 6, a.Computed)
		out = field(out, 2, m)
	}
	for name, n := range b.Blocks {
		m := field(field(nil, 1, []byte(name)), 2, n.Block.encode())
		m = number(m, 3, map[string]uint64{"single": 1, "list": 2, "set": 3}[n.Nesting])
		if n.Required {
			m = number(m, 4, 1)
		}
		m = number(m, 5, n.Max)
		out = field(out, 3, m)
	}
	return out
}

func field(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func number(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func flag(b []byte, n protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return number(b, n, 1)
}
