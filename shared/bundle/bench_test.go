package bundle

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

const benchPolicy = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<AssignMessage async="false" continueOnError="false" enabled="true" name="AM-%d">
    <DisplayName>Assign %[1]d</DisplayName>
    <Properties/>
    <!-- headers the back end wants -->
    <Set>
        <Headers>
            <Header name="X-Tenant">{verifyapikey.VK-1.developer.app.name}</Header>
            <Header name="X-Trace">{messageid}</Header>
        </Headers>
        <Verb>POST</Verb>
        <Payload contentType="application/json" variablePrefix="@" variableSuffix="#"><![CDATA[{"id": "@id#", "name": "@name#"}]]></Payload>
    </Set>
    <AssignVariable>
        <Name>flow.assign.%[1]d</Name>
        <Value>a &amp; b</Value>
        <Ref>request.header.x</Ref>
    </AssignVariable>
    <IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables>
    <AssignTo createNew="false" transport="http" type="request"/>
</AssignMessage>
`

// fiftyFiles is a bundle of 50 files: 44 policies, each a step, and what holds
// them.
func fiftyFiles() fstest.MapFS {
	fsys := fstest.MapFS{}
	put := func(name, data string) { fsys["apiproxy/"+name] = &fstest.MapFile{Data: []byte(data)} }
	var flows strings.Builder
	for i := range 44 {
		put(fmt.Sprintf("policies/AM-%d.xml", i), fmt.Sprintf(benchPolicy, i))
		fmt.Fprintf(&flows, `
        <Flow name="Flow-%d">
            <Description>flow %[1]d</Description>
            <Condition>(proxy.pathsuffix MatchesPath "/pets/%[1]d") and (request.verb = "GET")</Condition>
            <Request>
                <Step><Name>AM-%[1]d</Name><Condition>request.header.x != null</Condition></Step>
            </Request>
            <Response/>
        </Flow>`, i)
	}
	put("big.xml", `<APIProxy name="big" revision="1"><Basepaths>/big</Basepaths></APIProxy>`)
	put("proxies/default.xml", `<ProxyEndpoint name="default">
    <PreFlow name="PreFlow"><Request/><Response/></PreFlow>
    <Flows>`+flows.String()+`
    </Flows>
    <PostFlow name="PostFlow"><Request/><Response/></PostFlow>
    <HTTPProxyConnection><BasePath>/big</BasePath></HTTPProxyConnection>
    <RouteRule name="default"><TargetEndpoint>default</TargetEndpoint></RouteRule>
</ProxyEndpoint>`)
	put("targets/default.xml", `<TargetEndpoint name="default"><HTTPTargetConnection><URL>https://example.com</URL></HTTPTargetConnection></TargetEndpoint>`)
	for i := range 3 {
		put(fmt.Sprintf("resources/jsc/%d.js", i), strings.Repeat("print('x');\n", 50))
	}
	return fsys
}

func BenchmarkLoadZip(b *testing.B) {
	loaded, err := LoadFS(fiftyFiles())
	if err != nil {
		b.Fatal(err)
	}
	data, err := Zip(loaded)
	if err != nil {
		b.Fatal(err)
	}
	if n := len(loaded.files); n != 50 {
		b.Fatalf("%d files", n)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := LoadZip(data, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseXML(b *testing.B) {
	data := fmt.Appendf(nil, benchPolicy, 1)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseXML("policies/AM-1.xml", data); err != nil {
			b.Fatal(err)
		}
	}
}
