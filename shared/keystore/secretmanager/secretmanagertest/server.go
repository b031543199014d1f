// Package secretmanagertest is a Secret Manager in the process, over real
// gRPC, for tests. It keeps the rules that perigee's driver could break: names,
// alphabets and sizes, etags, version aliases and states, pages and filters.
package secretmanagertest

import (
	"context"
	"fmt"
	"hash/crc32"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// pageSize is the most secrets of a page, small so that tests see several.
const pageSize = 7

// Server is the service. Make one with Start.
type Server struct {
	secretmanagerpb.UnimplementedSecretManagerServiceServer

	mu      sync.Mutex
	secrets map[string]*secret
	etags   int
	fail    func(method string) error
	calls   map[string]int
	address string
}

type secret struct {
	pb       *secretmanagerpb.Secret
	versions []*version // number i+1
}

type version struct {
	state secretmanagerpb.SecretVersion_State
	data  []byte
}

// Start serves until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{secrets: map[string]*secret{}, calls: map[string]int{}, address: listener.Addr().String()}
	g := grpc.NewServer(grpc.UnaryInterceptor(s.intercept))
	secretmanagerpb.RegisterSecretManagerServiceServer(g, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(listener)
	}()
	t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return s
}

// ClientOptions let a client reach the server.
func (s *Server) ClientOptions() []option.ClientOption {
	return []option.ClientOption{
		option.WithEndpoint(s.address),
		option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
}

// Fail lets calls fail with what f gives for a method ("CreateSecret"); nil
// ends that.
func (s *Server) Fail(f func(method string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// Calls is how often each method was called since the last Calls.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = map[string]int{}
	return calls
}

// Secrets are copies of all secrets, by name.
func (s *Server) Secrets() []*secretmanagerpb.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*secretmanagerpb.Secret
	for _, name := range slices.Sorted(maps.Keys(s.secrets)) {
		all = append(all, proto.CloneOf(s.secrets[name].pb))
	}
	return all
}

// Enabled is how many versions of a secret still have their data.
func (s *Server) Enabled(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, v := range s.secrets[name].versions {
		if v.state == secretmanagerpb.SecretVersion_ENABLED {
			n++
		}
	}
	return n
}

// Disable disables every version of a secret, as an operator may.
func (s *Server) Disable(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.secrets[name].versions {
		v.state = secretmanagerpb.SecretVersion_DISABLED
	}
}

func (s *Server) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	method := info.FullMethod[strings.LastIndexByte(info.FullMethod, '/')+1:]
	s.mu.Lock()
	s.calls[method]++
	fail := s.fail
	s.mu.Unlock()
	if fail != nil {
		if err := fail(method); err != nil {
			return nil, err
		}
	}
	return next(ctx, req)
}

var secretID = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,255}$`)

// CreateSecret is the service's.
func (s *Server) CreateSecret(_ context.Context, req *secretmanagerpb.CreateSecretRequest) (*secretmanagerpb.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := req.GetParent() + "/secrets/" + req.GetSecretId()
	if !secretID.MatchString(req.GetSecretId()) {
		return nil, status.Errorf(codes.InvalidArgument, "secret id %q", req.GetSecretId())
	}
	if req.GetSecret().GetReplication() == nil {
		return nil, status.Error(codes.InvalidArgument, "no replication")
	}
	if len(req.GetSecret().GetVersionAliases()) > 0 {
		return nil, status.Error(codes.InvalidArgument, "version aliases of a secret without versions")
	}
	if err := checkMetadata(req.GetSecret()); err != nil {
		return nil, err
	}
	if s.secrets[name] != nil {
		return nil, status.Errorf(codes.AlreadyExists, "Secret [%s] already exists.", name)
	}
	pb := proto.CloneOf(req.GetSecret())
	pb.Name, pb.CreateTime, pb.Etag = name, timestamppb.Now(), s.etag()
	s.secrets[name] = &secret{pb: pb}
	return proto.CloneOf(pb), nil
}

// GetSecret is the service's.
func (s *Server) GetSecret(_ context.Context, req *secretmanagerpb.GetSecretRequest) (*secretmanagerpb.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.secret(req.GetName())
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(sec.pb), nil
}

// UpdateSecret is the service's.
func (s *Server) UpdateSecret(_ context.Context, req *secretmanagerpb.UpdateSecretRequest) (*secretmanagerpb.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := req.GetSecret()
	sec, err := s.secret(in.GetName())
	if err != nil {
		return nil, err
	}
	if in.GetEtag() != "" && in.GetEtag() != sec.pb.GetEtag() {
		return nil, status.Error(codes.FailedPrecondition, "the etag does not match")
	}
	if err := checkMetadata(in); err != nil {
		return nil, err
	}
	for alias, number := range in.GetVersionAliases() {
		if number < 1 || number > int64(len(sec.versions)) {
			return nil, status.Errorf(codes.FailedPrecondition, "alias %s is of version %d, which does not exist", alias, number)
		}
	}
	pb := proto.CloneOf(sec.pb)
	for _, path := range req.GetUpdateMask().GetPaths() {
		switch path {
		case "labels":
			pb.Labels = maps.Clone(in.GetLabels())
		case "annotations":
			pb.Annotations = maps.Clone(in.GetAnnotations())
		case "version_aliases":
			pb.VersionAliases = maps.Clone(in.GetVersionAliases())
		default:
			return nil, status.Errorf(codes.InvalidArgument, "update mask has %q", path)
		}
	}
	pb.Etag = s.etag()
	sec.pb = pb
	return proto.CloneOf(pb), nil
}

// DeleteSecret is the service's.
func (s *Server) DeleteSecret(_ context.Context, req *secretmanagerpb.DeleteSecretRequest) (*emptypb.Empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.secret(req.GetName()); err != nil {
		return nil, err
	}
	delete(s.secrets, req.GetName())
	return &emptypb.Empty{}, nil
}

// ListSecrets is the service's. Of filters it knows labels.K=V joined by AND.
func (s *Server) ListSecrets(_ context.Context, req *secretmanagerpb.ListSecretsRequest) (*secretmanagerpb.ListSecretsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*secretmanagerpb.Secret
	for _, name := range slices.Sorted(maps.Keys(s.secrets)) {
		ok, err := matches(s.secrets[name].pb, req.GetFilter())
		if err != nil {
			return nil, err
		}
		if ok && strings.HasPrefix(name, req.GetParent()+"/") {
			all = append(all, proto.CloneOf(s.secrets[name].pb))
		}
	}
	from := 0
	if req.GetPageToken() != "" {
		var err error
		if from, err = strconv.Atoi(req.GetPageToken()); err != nil || from > len(all) {
			return nil, status.Error(codes.InvalidArgument, "page token")
		}
	}
	res := &secretmanagerpb.ListSecretsResponse{TotalSize: int32(len(all)), Secrets: all[from:]}
	if len(res.GetSecrets()) > pageSize {
		res.Secrets = res.GetSecrets()[:pageSize]
		res.NextPageToken = strconv.Itoa(from + pageSize)
	}
	return res, nil
}

func matches(pb *secretmanagerpb.Secret, filter string) (bool, error) {
	if filter == "" {
		return true, nil
	}
	for term := range strings.SplitSeq(filter, " AND ") {
		field, value, ok := strings.Cut(term, "=")
		key, isLabel := strings.CutPrefix(field, "labels.")
		if !ok || !isLabel || strings.ContainsAny(value, ` "()`) {
			return false, status.Errorf(codes.InvalidArgument, "filter term %q", term)
		}
		if got, has := pb.GetLabels()[key]; !has || got != value {
			return false, nil
		}
	}
	return true, nil
}

// AddSecretVersion is the service's.
func (s *Server) AddSecretVersion(_ context.Context, req *secretmanagerpb.AddSecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.secret(req.GetParent())
	if err != nil {
		return nil, err
	}
	data := req.GetPayload().GetData()
	if len(data) == 0 || len(data) > 64<<10 {
		return nil, status.Errorf(codes.InvalidArgument, "the payload has %d bytes", len(data))
	}
	if sum := req.GetPayload().DataCrc32C; sum != nil && *sum != checksum(data) {
		return nil, status.Error(codes.InvalidArgument, "the checksum does not match")
	}
	sec.versions = append(sec.versions, &version{secretmanagerpb.SecretVersion_ENABLED, slices.Clone(data)})
	return sec.describe(len(sec.versions)), nil
}

// AccessSecretVersion is the service's.
func (s *Server) AccessSecretVersion(_ context.Context, req *secretmanagerpb.AccessSecretVersionRequest) (*secretmanagerpb.AccessSecretVersionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, number, err := s.version(req.GetName())
	if err != nil {
		return nil, err
	}
	v := sec.versions[number-1]
	if v.state != secretmanagerpb.SecretVersion_ENABLED {
		return nil, status.Errorf(codes.FailedPrecondition, "Secret Version [%s] is in %s state.", req.GetName(), v.state)
	}
	sum := checksum(v.data)
	return &secretmanagerpb.AccessSecretVersionResponse{
		Name:    sec.describe(number).GetName(),
		Payload: &secretmanagerpb.SecretPayload{Data: slices.Clone(v.data), DataCrc32C: &sum},
	}, nil
}

// DestroySecretVersion is the service's.
func (s *Server) DestroySecretVersion(_ context.Context, req *secretmanagerpb.DestroySecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, number, err := s.version(req.GetName())
	if err != nil {
		return nil, err
	}
	sec.versions[number-1] = &version{state: secretmanagerpb.SecretVersion_DESTROYED}
	return sec.describe(number), nil
}

// secret finds a secret; the caller holds mu.
func (s *Server) secret(name string) (*secret, error) {
	if sec := s.secrets[name]; sec != nil {
		return sec, nil
	}
	return nil, status.Errorf(codes.NotFound, "Secret [%s] not found.", name)
}

// version finds a version by its number, its alias or "latest".
func (s *Server) version(name string) (*secret, int, error) {
	parent, id, _ := strings.Cut(name, "/versions/")
	sec, err := s.secret(parent)
	if err != nil {
		return nil, 0, err
	}
	number, err := strconv.Atoi(id)
	switch {
	case err == nil:
	case id == "latest":
		number = len(sec.versions)
	default:
		number = int(sec.pb.GetVersionAliases()[id])
	}
	if number < 1 || number > len(sec.versions) {
		return nil, 0, status.Errorf(codes.NotFound, "Secret Version [%s] not found.", name)
	}
	return sec, number, nil
}

func (sec *secret) describe(number int) *secretmanagerpb.SecretVersion {
	return &secretmanagerpb.SecretVersion{
		Name:  fmt.Sprintf("%s/versions/%d", sec.pb.GetName(), number),
		State: sec.versions[number-1].state,
	}
}

// etag is a new one, in quotes as the service's are; the caller holds mu.
func (s *Server) etag() string {
	s.etags++
	return strconv.Quote(strconv.Itoa(s.etags))
}

// The rules of labels, annotations and aliases, from the API's reference.
var (
	labelKey      = regexp.MustCompile(`^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$`)
	labelValue    = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$`)
	annotationKey = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?$`)
	versionAlias  = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]{0,62}$`)
)

func checkMetadata(pb *secretmanagerpb.Secret) error {
	if len(pb.GetLabels()) > 64 || len(pb.GetVersionAliases()) > 50 {
		return status.Error(codes.InvalidArgument, "too many labels or aliases")
	}
	for k, v := range pb.GetLabels() {
		if !labelKey.MatchString(k) || !labelValue.MatchString(v) || len(k) > 128 || len(v) > 128 {
			return status.Errorf(codes.InvalidArgument, "label %q=%q", k, v)
		}
	}
	size := 0
	for k, v := range pb.GetAnnotations() {
		if size += len(k) + len(v); !annotationKey.MatchString(k) || size >= 16<<10 {
			return status.Errorf(codes.InvalidArgument, "annotation %q, %d bytes in all", k, size)
		}
	}
	for alias := range pb.GetVersionAliases() {
		if !versionAlias.MatchString(alias) || alias == "latest" || alias == "NEW" {
			return status.Errorf(codes.InvalidArgument, "version alias %q", alias)
		}
	}
	return nil
}

func checksum(data []byte) int64 {
	return int64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}
