package googletoken

import (
	"context"
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/perigee-gateway/perigee/shared/policy"
)

// rpc puts access tokens on the calls of a gRPC connection.
type rpc struct {
	tokens  policy.GoogleTokens
	account string
	scopes  []string
}

// GetRequestMetadata implements credentials.PerRPCCredentials. The token is
// asked for under the deadline of the call.
func (r rpc) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := r.tokens.AccessToken(ctx, r.account, r.scopes, time.Hour)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (rpc) RequireTransportSecurity() bool { return true }

// Dial returns a connection to a Google API whose calls carry access tokens of
// serviceAccount, "" for the host's own. Nothing is dialled and no token minted
// before the first call.
func Dial(endpoint string, tokens policy.GoogleTokens, serviceAccount string, scopes ...string) (*grpc.ClientConn, error) {
	return grpc.NewClient(endpoint,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})),
		grpc.WithPerRPCCredentials(rpc{tokens, serviceAccount, scopes}))
}

// DialPlain returns a connection to an emulator: without TLS and tokens.
func DialPlain(endpoint string) (*grpc.ClientConn, error) {
	return grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
}
