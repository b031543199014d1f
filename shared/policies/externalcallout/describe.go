package externalcallout

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policies/externalcallout/calloutpb"
)

// describe is the call as it is sent.
func (s *step) describe(fc *flow.Context) (*calloutpb.MessageContext, error) {
	c := &calloutpb.MessageContext{
		ApiProxy:         &calloutpb.ApiProxy{Name: fc.Proxy.Name, Revision: fc.Proxy.Revision},
		Client:           clientOf(fc),
		CurrentFlow:      &calloutpb.CurrentFlow{Name: fc.FlowName, Description: fc.FlowDescription},
		MessageId:        fc.MessageID(),
		OrganizationName: fc.Proxy.Organization,
		EnvironmentName:  fc.Proxy.Environment,
		Proxy: &calloutpb.Proxy{
			EndpointName: fc.Proxy.Endpoint, ClientIp: read(proxyClientIP, fc), BasePath: fc.Proxy.BasePath,
			PathSuffix: fc.PathSuffix, Url: read(proxyURL, fc),
		},
		Route:  &calloutpb.Route{Name: fc.RouteName, Target: fc.RouteTarget},
		Target: targetOf(fc),
	}
	var err error
	switch {
	case fc.InError:
		err = s.describeError(fc, c)
	case fc.Phase <= flow.TargetRequest:
		c.Request, err = s.request(fc.Request)
	case fc.Response != nil:
		c.Response, err = response(fc.Response, s.send.responseHeaders, s.send.responseContent)
	}
	if err != nil {
		return nil, err
	}
	c.AdditionalFlowVariables = s.variables(fc)
	return c, nil
}

func (s *step) describeError(fc *flow.Context, c *calloutpb.MessageContext) error {
	c.Error = &calloutpb.Error{Message: read(errorMessage, fc)}
	if f := fc.Fault; f != nil {
		c.Fault = &calloutpb.Fault{Name: f.ShortName(), Type: read(faultType, fc), Category: read(faultCategory, fc), FaultString: f.Text}
	}
	if fc.Error == nil {
		return nil
	}
	var err error
	c.Error.Response, err = response(fc.Error, s.send.responseHeaders, s.send.responseContent)
	return err
}

func (s *step) request(m *message.Message) (*calloutpb.Request, error) {
	r := &calloutpb.Request{Uri: m.URI(), Verb: m.Verb, HttpVersion: m.Proto, QueryParams: params(&m.Query)}
	if s.send.requestHeaders {
		r.Headers = headers(&m.Header)
	}
	if !s.send.requestContent {
		return r, nil
	}
	body, err := m.Content()
	if err != nil {
		return nil, err
	}
	if r.Content = utf8(string(body)); m.IsForm() {
		r.FormParams = params(m.Form())
	}
	return r, nil
}

func response(m *message.Message, withHeaders, withContent bool) (*calloutpb.Response, error) {
	r := &calloutpb.Response{StatusCode: int32(m.Status), ReasonPhrase: m.ReasonPhrase()}
	if withHeaders {
		r.Headers = headers(&m.Header)
	}
	if !withContent {
		return r, nil
	}
	body, err := m.Content()
	r.Content = utf8(string(body))
	return r, err
}

// utf8 is what may be a string of the protocol.
func utf8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func headers(h *message.Header) map[string]*calloutpb.Strings {
	out := map[string]*calloutpb.Strings{}
	for name, value := range h.All() {
		add(out, name, value, strings.EqualFold)
	}
	return out
}

func params(p *message.Params) map[string]*calloutpb.Strings {
	out := map[string]*calloutpb.Strings{}
	for name, value := range p.All() {
		add(out, name, value, nil)
	}
	return out
}

// add appends a value under a name, or under one that is the same.
func add(to map[string]*calloutpb.Strings, name, value string, same func(a, b string) bool) {
	name = utf8(name)
	list := to[name]
	for have, l := range to {
		if list == nil && same != nil && same(have, name) {
			list = l
		}
	}
	if list == nil {
		list = &calloutpb.Strings{}
		to[name] = list
	}
	list.Strings = append(list.Strings, utf8(value))
}

func clientOf(fc *flow.Context) *calloutpb.Client {
	return &calloutpb.Client{
		Cn: read(clientCN, fc), Country: read(clientCountry, fc), EmailAddress: read(clientEmail, fc),
		Host: fc.Client.Host, Ip: fc.Client.IP, Locality: read(clientLocality, fc),
		Organization: read(clientOrganization, fc), OrganizationUnit: read(clientUnit, fc),
		Port: int32(fc.Client.Port), Scheme: fc.Client.Scheme, State: read(clientState, fc), SslEnabled: fc.Client.Scheme == "https",
	}
}

func targetOf(fc *flow.Context) *calloutpb.Target {
	return &calloutpb.Target{
		BasePath: fc.Target.BasePath, CopyPathSuffix: truth(copyPathSuffix, fc), CopyQueryParams: truth(copyQueryParams, fc),
		Country: read(targetCountry, fc), Cn: read(targetCN, fc), EmailAddress: read(targetEmail, fc), ExpectedCn: read(expectedCN, fc),
		Host: fc.Target.Host, Ip: fc.Target.IP, Locality: read(targetLocality, fc), Name: fc.Target.Name,
		Organization: read(targetOrganization, fc), OrganizationUnit: read(targetUnit, fc), Port: int32(fc.Target.Port),
		Scheme: fc.Target.Scheme, State: read(targetState, fc), SslEnabled: fc.Target.Scheme == "https", Url: read(targetURL, fc),
	}
}

// The variables that are not fields of the context.
var (
	proxyClientIP = flow.Compile("proxy.client.ip")
	proxyURL      = flow.Compile("proxy.url")
	errorMessage  = flow.Compile("error.message")
	faultType     = flow.Compile("fault.type")
	faultCategory = flow.Compile("fault.category")

	clientCN           = flow.Compile("client.cn")
	clientCountry      = flow.Compile("client.country")
	clientEmail        = flow.Compile("client.email.address")
	clientLocality     = flow.Compile("client.locality")
	clientOrganization = flow.Compile("client.organization")
	clientUnit         = flow.Compile("client.organization.unit")
	clientState        = flow.Compile("client.state")

	targetCN           = flow.Compile("target.cn")
	targetCountry      = flow.Compile("target.country")
	targetEmail        = flow.Compile("target.email.address")
	targetLocality     = flow.Compile("target.locality")
	targetOrganization = flow.Compile("target.organization")
	targetUnit         = flow.Compile("target.organization.unit")
	targetState        = flow.Compile("target.state")

	// These the server may change.
	targetURL       = flow.Compile("target.url")
	expectedCN      = flow.Compile("target.expectedcn")
	copyPathSuffix  = flow.Compile("target.copy.pathsuffix")
	copyQueryParams = flow.Compile("target.copy.queryparams")
)

func read(v flow.Var, fc *flow.Context) string { return utf8(v.Get(fc).String()) }

// truth is a switch that is on where nobody set it.
func truth(v flow.Var, fc *flow.Context) bool {
	val := v.Get(fc)
	return val.IsNull() || val.Truth()
}

// variables are those of every <FlowVariable>, and all that are below one.
func (s *step) variables(fc *flow.Context) map[string]*calloutpb.FlowVariable {
	if len(s.vars) == 0 {
		return nil
	}
	out := map[string]*calloutpb.FlowVariable{}
	for _, v := range s.vars {
		put(out, v.own.Name(), v.own.Get(fc))
	}
	for name, value := range fc.Variables() {
		for _, v := range s.vars {
			if strings.HasPrefix(name, v.prefix) {
				put(out, name, value)
			}
		}
	}
	return out
}

func put(to map[string]*calloutpb.FlowVariable, name string, v flow.Value) {
	if !v.IsNull() {
		to[name] = encode(v)
	}
}

func encode(v flow.Value) *calloutpb.FlowVariable {
	switch v.Kind() {
	case flow.Int:
		n, _ := v.Int()
		return &calloutpb.FlowVariable{Value: &calloutpb.FlowVariable_Int64{Int64: n}}
	case flow.Float:
		f, _ := v.Float()
		return &calloutpb.FlowVariable{Value: &calloutpb.FlowVariable_Double{Double: f}}
	case flow.Bool:
		return &calloutpb.FlowVariable{Value: &calloutpb.FlowVariable_Bool{Bool: v.Truth()}}
	}
	return &calloutpb.FlowVariable{Value: &calloutpb.FlowVariable_String_{String_: utf8(v.String())}}
}
