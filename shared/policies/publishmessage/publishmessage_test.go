package publishmessage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// topic takes messages; ids tell what came.
type topic struct{}

func (topic) Publish(_ context.Context, account, name string, data []byte, attributes map[string]string) (string, error) {
	switch {
	case strings.HasSuffix(name, "/none"):
		return "", status.Error(codes.NotFound, "Resource not found (resource=none).")
	case strings.HasSuffix(name, "/down"):
		return "", errors.New("dial tcp 10.1.2.3:443")
	}
	return fmt.Sprintf("%s %s %q %v", account, name, data, attributes), nil
}

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(*testing.T) policy.Services {
		return policy.Services{Publisher: topic{}}
	}))
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<PublishMessage name="PM-1"><Source>{apiproxy.name} {request.verb}</Source>
	  <CloudPubSub><Topic>projects/p/topics/t</Topic></CloudPubSub>
	  <Attributes><Attribute name="a">{request.verb}</Attribute></Attributes></PublishMessage>`, policy.Services{Publisher: nowhere{}})
	policytest.Bench(b, p, nil)
}

type nowhere struct{}

func (nowhere) Publish(context.Context, string, string, []byte, map[string]string) (string, error) {
	return "1", nil
}
