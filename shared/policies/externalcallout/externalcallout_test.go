package externalcallout

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/grpccallout"
	"github.com/perigee-gateway/perigee/shared/policies/externalcallout/calloutpb"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
	"github.com/perigee-gateway/perigee/shared/target"
)

// servers answer the calls of the cases, by the name of the target server.
var servers = map[string]func(*calloutpb.MessageContext) (*calloutpb.MessageContext, error){
	// as it came
	"echo": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) { return c, nil },
	// what was sent, as text, in a variable
	"show": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) {
		c.MessageId = "" // another one each time
		text := strings.ReplaceAll(prototext.MarshalOptions{}.Format(c), "  ", " ")
		return with("shown", text), nil
	},
	"change": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) {
		c.Request.Verb, c.Request.Uri = "DELETE", "/other" // not to be changed
		c.Request.Headers["X-New"] = list("1", "2")
		c.Request.Headers["X-Old"] = list("changed\r\nX-Evil: 1")
		c.Request.Headers["X-Gone"] = list()
		c.Request.QueryParams["q"] = list("new")
		c.Request.QueryParams["r"] = list()
		c.Request.Content = strings.ToUpper(c.Request.Content)
		c.AdditionalFlowVariables["my.int"] = &calloutpb.FlowVariable{Value: &calloutpb.FlowVariable_Int32{Int32: 3}}
		c.AdditionalFlowVariables["my.double"] = &calloutpb.FlowVariable{Value: &calloutpb.FlowVariable_Double{Double: 1.5}}
		c.AdditionalFlowVariables["my.bool"] = &calloutpb.FlowVariable{Value: &calloutpb.FlowVariable_Bool{Bool: true}}
		c.AdditionalFlowVariables["my.tree"] = &calloutpb.FlowVariable{}
		c.Target.CopyPathSuffix, c.Target.Url = false, "https://elsewhere.example.com"
		c.OrganizationName = "other"
		return c, nil
	},
	"respond": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) {
		r := &calloutpb.Response{Content: "hello", Headers: map[string]*calloutpb.Strings{"X-New": list("1")}, StatusCode: 500}
		return &calloutpb.MessageContext{Response: r}, nil
	},
	"empty": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) {
		c.Response.Content = ""
		return c, nil
	},
	"form": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) {
		c.Request.FormParams["b"] = list("3")
		return c, nil
	},
	"error": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) {
		c.Error.Response.Content = c.Fault.Name + " " + c.Error.Message
		return c, nil
	},
	"fault": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) {
		return &calloutpb.MessageContext{Fault: &calloutpb.Fault{Name: "NotAllowed", FaultString: "You may not"}}, nil
	},
	"readonly": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) {
		return with("messageid", "mine"), nil
	},
	"denied": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) {
		return nil, status.Error(codes.PermissionDenied, "HTTP status code 403")
	},
	"away": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) {
		return nil, status.Error(codes.Unavailable, `connection error: desc = "transport: dial tcp 10.0.0.1:443: refused"`)
	},
	"tls": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) {
		return nil, fault.New("security.util.KeyAliasNotFound", 500, "KeyAlias a is not found in KeyStore k")
	},
	"garbage": func(c *calloutpb.MessageContext) (*calloutpb.MessageContext, error) { return nil, nil },
}

func list(s ...string) *calloutpb.Strings { return &calloutpb.Strings{Strings: s} }

func with(name, text string) *calloutpb.MessageContext {
	return &calloutpb.MessageContext{AdditionalFlowVariables: map[string]*calloutpb.FlowVariable{
		name: {Value: &calloutpb.FlowVariable_String_{String_: text}},
	}}
}

type inProcess struct{}

func (inProcess) Server(name string) (string, bool) { return name + ".example.com", name != "away" }

func (inProcess) Invoke(_ context.Context, name, method string, request []byte, md map[string]string) ([]byte, error) {
	if method != "/apigee.ExternalCalloutService/ProcessMessage" {
		return nil, status.Errorf(codes.Unimplemented, "no method %s", method)
	}
	if name == "token" {
		return proto.Marshal(with("token", fmt.Sprint(md)))
	}
	in := new(calloutpb.MessageContext)
	if err := proto.Unmarshal(request, in); err != nil {
		return nil, err
	}
	out, err := servers[name](in)
	if err != nil || out == nil {
		return []byte{0xff}, err
	}
	return proto.Marshal(out)
}

type tokens struct{ policy.GoogleTokens }

func (tokens) IDToken(_ context.Context, account, audience string, email bool) (string, error) {
	if audience == "fail" {
		return "", errors.New("no such account")
	}
	return fmt.Sprint("id ", account, audience, email), nil
}

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if strings.HasSuffix(t.Name(), "no-grpc") {
			return policy.Services{}
		}
		return policy.Services{GRPC: inProcess{}, GoogleTokens: tokens{}}
	}))
}

// TestOverTheWire calls a gRPC server on the network.
func TestOverTheWire(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: "apigee.ExternalCalloutService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "ProcessMessage", Handler: process}},
	}, nil)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	pool := target.New(target.Options{})
	client := grpccallout.New(pool, one{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Protocol: "GRPC", Enabled: true})
	t.Cleanup(client.Close)
	p := policytest.Compile(t, Kind, `<ExternalCallout name="EC"><TimeoutMs>5000</TimeoutMs><GrpcConnection><Server name="s"/>
		<Authentication><GoogleIDToken><Audience useTargetUrl="true"/></GoogleIDToken></Authentication></GrpcConnection>
		<Configurations><Property name="with.request.content">true</Property></Configurations></ExternalCallout>`,
		policy.Services{GRPC: client, GoogleTokens: tokens{}})
	fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /v1/x\n\nbody")})
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	if got := fc.Request.Text() + " " + fc.Text("who"); got != "body, processed [Bearer id https://127.0.0.1false]" {
		t.Error(got)
	}
	srv.Stop()
	var f *fault.Fault
	if err := p.Run(t.Context(), fc); !errors.As(err, &f) || f.Code != "steps.externalcallout.ExecutionError" || !strings.Contains(f.Text, "[io.grpc.StatusRuntimeException: UNAVAILABLE: io exception]") {
		t.Error(err)
	}
}

type one target.Server

func (o one) TargetServer(string) (target.Server, bool) { return target.Server(o), true }

func process(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(calloutpb.MessageContext)
	if err := decode(in); err != nil {
		return nil, err
	}
	md, _ := metadata.FromIncomingContext(ctx)
	in.Request.Content += ", processed"
	in.AdditionalFlowVariables = with("who", fmt.Sprint(md.Get("authorization"))).AdditionalFlowVariables
	return in, nil
}

// TestDeadline ends the call when the time of the policy or of the request is over.
func TestDeadline(t *testing.T) {
	p := policytest.Compile(t, Kind, `<ExternalCallout name="EC"><TimeoutMs>1</TimeoutMs><GrpcConnection><Server name="s"/></GrpcConnection></ExternalCallout>`,
		policy.Services{GRPC: hanging{}})
	var f *fault.Fault
	if err := p.Run(t.Context(), policytest.Context(t, nil)); !errors.As(err, &f) || !strings.Contains(f.Text, "DEADLINE_EXCEEDED: deadline exceeded") {
		t.Error(err)
	}
}

type hanging struct{ policy.GRPC }

func (hanging) Invoke(ctx context.Context, _, _ string, _ []byte, _ map[string]string) ([]byte, error) {
	<-ctx.Done()
	return nil, status.FromContextError(ctx.Err()).Err()
}

// TestUnreadable leaves a body that is no UTF-8 as it is, and one that is too
// large alone.
func TestUnreadable(t *testing.T) {
	const config = `<ExternalCallout name="EC"><GrpcConnection><Server name="echo"/></GrpcConnection>
		<Configurations><Property name="with.request.content">true</Property></Configurations></ExternalCallout>`
	p := policytest.Compile(t, Kind, config, policy.Services{GRPC: inProcess{}})
	fc := policytest.Context(t, nil)
	fc.Request.SetContent([]byte{0xff, 0xfe, 'a'})
	if err := p.Run(t.Context(), fc); err != nil || fc.Request.Text() != "\xff\xfea" {
		t.Errorf("%v, body is %q", err, fc.Request.Text())
	}
}

// TestJavaNames has every code as Java writes it.
func TestJavaNames(t *testing.T) {
	var got []string
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		got = append(got, javaName(c))
	}
	want := strings.Fields(`OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED
		RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED`)
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<ExternalCallout name="EC"><GrpcConnection><Server name="echo"/></GrpcConnection>
		<Configurations><Property name="with.request.content">true</Property><Property name="with.request.headers">true</Property>
		<FlowVariable>my</FlowVariable></Configurations></ExternalCallout>`, policy.Services{GRPC: inProcess{}})
	policytest.Bench(b, p, map[string]string{"request": "POST /v1/x?q=1\nContent-Type: application/json\nX-A: 1\n\n{\"a\":1}", "vars": "my.var = 1\nother = 2\n"})
}

// FuzzApply takes any answer of a server.
func FuzzApply(f *testing.F) {
	for _, c := range []*calloutpb.MessageContext{
		with("a", "b"), {Request: &calloutpb.Request{Headers: map[string]*calloutpb.Strings{"A": list("b")}, Content: "c"}},
		{Fault: &calloutpb.Fault{Name: "F"}}, {Target: &calloutpb.Target{Url: "x"}},
	} {
		data, err := proto.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	p := policytest.Compile(f, Kind, `<ExternalCallout name="EC"><GrpcConnection><Server name="s"/></GrpcConnection></ExternalCallout>`, policy.Services{GRPC: hanging{}}).(*step)
	f.Fuzz(func(t *testing.T, data []byte) {
		got := new(calloutpb.MessageContext)
		if proto.Unmarshal(data, got) != nil {
			return
		}
		fc := policytest.Context(t, nil)
		sent, err := p.describe(fc)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.apply(fc, sent, got); err == nil && got.GetFault().GetName() != "" {
			t.Error("no fault")
		}
		for name, value := range fc.Request.Header.All() {
			if strings.ContainsAny(name+value, "\r\n") {
				t.Errorf("header %q: %q", name, value)
			}
		}
		_ = fc.Get("a").Kind() == flow.Null
	})
}
