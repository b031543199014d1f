package bundle

import (
	"reflect"
	"slices"
	"testing"
)

// The parsers other packages use read and check what they are named after.
func TestParseConnections(t *testing.T) {
	for _, c := range []struct {
		parse func(*Element, *Problems) any
		doc   string
		want  string
	}{
		{func(e *Element, p *Problems) any { return ParseHTTPTargetConnection(e, p) },
			"<HTTPTargetConnection/>", "1: <HTTPTargetConnection> has neither <URL> nor <LoadBalancer>"},
		{func(e *Element, p *Problems) any { return ParseHTTPTargetConnection(e, p) },
			"<HTTPTargetConnection><URL>x</URL>\n<SSLInfo><Enabled>y</Enabled></SSLInfo></HTTPTargetConnection>",
			`2: <Enabled> is "y", want true, false or a template`},
		{func(e *Element, p *Problems) any { return ParseLocalTargetConnection(e, p) },
			"<LocalTargetConnection/>", "1: <LocalTargetConnection> needs <APIProxy> and <ProxyEndpoint>, or <Path>"},
		{func(e *Element, p *Problems) any { return ParseLoadBalancer(e, p) },
			"<LoadBalancer/>", "1: <LoadBalancer> has no <Server>"},
		{func(e *Element, p *Problems) any { return ParseHealthMonitor(e, p) },
			"<HealthMonitor><IsEnabled>1</IsEnabled></HealthMonitor>", "1: <HealthMonitor> has neither <TCPMonitor> nor <HTTPMonitor>"},
		{func(e *Element, p *Problems) any { return ParseSSLInfo(e, p) },
			"<SSLInfo><ClientAuthEnabled>true</ClientAuthEnabled></SSLInfo>", "1: <ClientAuthEnabled> needs <KeyStore> and <KeyAlias>"},
		{func(e *Element, p *Problems) any { return ParseAuthentication(e, p) },
			"<Authentication><GoogleAccessToken/></Authentication>", "1: <GoogleAccessToken> has no <Scope>"},
	} {
		var ps Problems
		got := c.parse(mustParse(t, c.doc), &ps)
		if reflect.ValueOf(got).IsNil() || ps.Err() == nil || ps.Error() != "policies/P.xml:"+c.want {
			t.Errorf("%s: %v, want %s", c.doc, ps, c.want)
		}
	}
}

func TestParseAuthenticationEmpty(t *testing.T) {
	var ps Problems
	if a := ParseAuthentication(mustParse(t, "<Authentication/>"), &ps); a != nil || len(ps.Warnings()) != 1 {
		t.Errorf("%v %v", a, ps)
	}
}

func TestUnhealthyCodes(t *testing.T) {
	var ps Problems
	lb := ParseLoadBalancer(mustParse(t, `<LoadBalancer><Server name="a"/><ServerUnhealthyResponse><ResponseCode>500</ResponseCode><ResponseCode>503</ResponseCode></ServerUnhealthyResponse></LoadBalancer>`), &ps)
	if got := lb.UnhealthyCodes(); !slices.Equal(got, []int{500, 503}) || len(ps) != 0 {
		t.Error(got, ps)
	}
	if got := new(LoadBalancer).UnhealthyCodes(); got != nil {
		t.Error(got)
	}
}

// A check travels with its type into the configuration of a policy.
func TestDecodeChecks(t *testing.T) {
	var got struct {
		Common
		SSL *SSLInfo `xml:"SSLInfo"`
	}
	const want = `1: <Protocol> is "TLS", want TLSv1.2 or TLSv1.3`
	if ps := decodeString(t, "<P name='p'><SSLInfo><Protocols><Protocol>TLS</Protocol></Protocols></SSLInfo></P>", &got); ps != want {
		t.Error(ps)
	}
}

// Apigee takes the usual misspelling of an element of SSLInfo.
// Source: https://github.com/apigee/apigeelint/issues/437
func TestMisspelling(t *testing.T) {
	var ps Problems
	ParseSSLInfo(mustParse(t, "<SSLInfo>\n<IgnoreValidationError>true</IgnoreValidationError></SSLInfo>"), &ps)
	want := "policies/P.xml:2: warning: <IgnoreValidationError> is not an element of <SSLInfo>"
	if got := ps.String(); ps.Err() != nil || got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
