package parsepayload

import (
	"encoding/json"
	"testing"

	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) { policytest.Run(t, Kind) }

const xml = `<ParsePayload name="PP-1"><PayloadType>JSON-RPC-2.0</PayloadType><Protocol>MCP</Protocol></ParsePayload>`

// TestPayloads reads requests; "-" asks for nothing, "!" is refused.
func TestPayloads(t *testing.T) {
	p := policytest.Compile(t, Kind, xml, policy.Services{})
	for _, tt := range []struct{ body, want string }{
		{``, "-"},
		{" \r\n", "-"},
		{`{"jsonrpc":"2.0","method":"tools/list","id":1}`, "tools/list"},
		{`{"id":null,"method":"notifications/initialized","jsonrpc":"2.0"}`, "notifications/initialized"},
		{`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"arguments":{"name":"other","x":[{"name":1}]},"name":"get_weather"}}`, "tools/call/get_weather"},
		{`{"jsonrpc":"2.0","id":1,"params":{"n\u0061me":"a/b"},"meth\u006fd":"tools\/call"}`, "tools/call/a/b"},
		{`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"x","name":{"a":1}}}`, "resources/read"},
		{`{"jsonrpc":"2.0","id":1,"method":"x","params":[1,{"name":"a"}]}`, "x"},
		{`{"jsonrpc":"2.0","id":1,"result":{"method":"tools/call"}}`, "-"},
		{`{"jsonrpc":"2.0","id":1,"error":{"code":1}}`, "-"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["get_weather"]}`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""}}`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"params":{}}`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/list","METHOD":"tools/call"}`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":""}`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":7}`, "!"},
		{`{"jsonrpc":"2.0","id":{},"method":"a"}`, "!"},
		{`{"jsonrpc":"1.0","id":1,"method":"a"}`, "!"},
		{`{"id":1,"method":"a"}`, "!"},
		{`{"jsonrpc":"2.0","id":1}`, "!"},
		{`[{"jsonrpc":"2.0","id":1,"method":"a"}]`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":"a"} {}`, "!"},
		{`{"jsonrpc":"2.0","id":1,"method":"a",}`, "!"},
		{`"tools/list"`, "!"},
		{`tools/list`, "!"},
	} {
		fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /mcp\nContent-Type: text/plain\n\n" + tt.body)})
		err := p.Run(t.Context(), fc)
		got := policy.CallOf(fc).Operation.Payload
		switch {
		case err != nil:
			got = "!"
		case got != fc.Text("parsepayload.PP-1.operation"):
			t.Errorf("%s: %q and %q", tt.body, got, fc.Text("parsepayload.PP-1.operation"))
		case got == "":
			got = "-"
		}
		if got != tt.want {
			t.Errorf("%s: %s (%v), want %s", tt.body, got, err, tt.want)
		}
	}
}

// TestAgain checks that what a payload asked for is not what the next one does.
func TestAgain(t *testing.T) {
	p := policytest.Compile(t, Kind, xml, policy.Services{})
	fc := policytest.Context(t, map[string][]byte{"request": []byte("POST /mcp\n\n" + `{"jsonrpc":"2.0","method":"tools/list"}`)})
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	fc.Request.SetContent(nil)
	if err := p.Run(t.Context(), fc); err != nil || policy.CallOf(fc).Operation.Payload != "" {
		t.Errorf("%q, %v", policy.CallOf(fc).Operation.Payload, err)
	}
}

// FuzzParse holds what is accepted against the decoder of the standard library.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","method":"x","params":[1]}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":"q","result":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parse(body)
		if err != nil || r.method == "" {
			return
		}
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			return // it began with a byte order mark
		}
		if m["method"] != r.method {
			t.Errorf("%s: method %q", body, r.method)
		}
		if params, ok := m["params"].(map[string]any); ok && r.method == callTool && params["name"] != r.tool {
			t.Errorf("%s: tool %q", body, r.tool)
		}
	})
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, xml, policy.Services{})
	policytest.Bench(b, p, map[string]string{"request": "POST /mcp\nContent-Type: application/json\n\n" +
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather","arguments":{"location":"New York","days":[1,2,3]}}}`})
}
