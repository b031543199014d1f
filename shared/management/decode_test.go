package management

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

func callWith(body string) *call {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	return &call{server: &server{}, w: httptest.NewRecorder(), r: r, query: r.URL.Query()}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, body string
		into       any
		want       string
	}{
		{"empty", "", new(apigee.GoogleCloudApigeeV1Environment), `{}`},
		{"byte order mark", "\ufeff{\"name\":\"a\"}", new(apigee.GoogleCloudApigeeV1Environment), `{"name":"a"}`},
		{"snake case", `{"deployment_type":"PROXY","api_proxy_type":"PROGRAMMABLE"}`, new(apigee.GoogleCloudApigeeV1Environment),
			`{"apiProxyType":"PROGRAMMABLE","deploymentType":"PROXY"}`},
		{"raw control characters", "{\"name\":\"k\",\"value\":\"a\nb\tc\u0001\"}", new(apigee.GoogleCloudApigeeV1KeyValueEntry),
			"{\"name\":\"k\",\"value\":\"a\\nb\\tc\\u0001\"}"},
		{"backslash before a raw line break", "{\"name\":\"k\",\"value\":\"a\\\nb\"}", new(apigee.GoogleCloudApigeeV1KeyValueEntry), `{"name":"k","value":"a\nb"}`},
		{"line breaks outside of strings", "{\r\n\t\"name\" :\n\"k\"}\n", new(apigee.GoogleCloudApigeeV1KeyValueEntry), `{"name":"k"}`},
		{"escaped quote", `{"name":"a\"b\\"}`, new(apigee.GoogleCloudApigeeV1KeyValueEntry), `{"name":"a\"b\\"}`},
		{"boolean as string", `{"name":"m","encrypted":"true"}`, new(apigee.GoogleCloudApigeeV1KeyValueMap), `{"encrypted":true,"name":"m"}`},
		{"numbers as strings", `{"host":"h","port":"443","isEnabled":"FALSE"}`, new(entity.TargetServer), `{"host":"h","isEnabled":false,"port":443}`},
		{"enabled unless said otherwise", `{"host":"h","port":443.0}`, new(entity.TargetServer), `{"host":"h","isEnabled":true,"port":443}`},
		{"strings as numbers", `{"name":"p","quota":10,"quotaInterval":1}`, new(apigee.GoogleCloudApigeeV1ApiProduct), `{"name":"p","quota":"10","quotaInterval":"1"}`},
		{"quoted and unquoted 64 bit numbers", `{"createdAt":1700000000000,"lastModifiedAt":"1700000000001"}`, new(apigee.GoogleCloudApigeeV1Environment),
			`{"createdAt":"1700000000000","lastModifiedAt":"1700000000001"}`},
		{"case", `{"sslInfo":{"enabled":true},"host":"h","port":1}`, new(entity.TargetServer), `{"host":"h","isEnabled":true,"port":1,"sSLInfo":{"enabled":true}}`},
		{"nested", `{"properties":{"property":[{"name":"a","value":true}]}}`, new(apigee.GoogleCloudApigeeV1Environment), `{"properties":{"property":[{"name":"a","value":"true"}]}}`},
		{"null", `{"name":null,"properties":null}`, new(apigee.GoogleCloudApigeeV1Environment), `{}`},
		{"map", `{"namespaces":{"a":"b"}}`, new(apigee.GoogleCloudApigeeV1DebugMask), `{"namespaces":{"a":"b"}}`},
		{"float as string", `{"sampler":"PROBABILITY","samplingRate":"0.5"}`, new(apigee.GoogleCloudApigeeV1TraceSamplingConfig), `{"sampler":"PROBABILITY","samplingRate":0.5}`},
	} {
		if err := callWith(c.body).decode(c.into); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, err := json.Marshal(c.into)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	for body, want := range map[string]string{
		`{"name":"a"`:                        "Unexpected end of string.",
		`{"name":"a"}{}`:                     "something behind the object",
		`[]`:                                 "Root element must be a message.",
		`null`:                               "Root element must be a message.",
		"{\"name\":\"\xff\"}":                "not UTF-8",
		`{"nme":"a"}`:                        `Unknown name "nme": Cannot find field.`,
		`{"sSLInfo":{"enable":true}}`:        `Unknown name "enable" at 'sSLInfo': Cannot find field.`,
		`{"isEnabled":"maybe"}`:              `Invalid value at 'isEnabled' (TYPE_BOOL), "maybe"`,
		`{"port":"80a"}`:                     `Invalid value at 'port' (TYPE_INT64), "80a"`,
		`{"port":1.5}`:                       `Invalid value at 'port'`,
		`{"port":99999999999999999999}`:      `Invalid value at 'port'`,
		`{"host":{}}`:                        `Invalid value at 'host' (TYPE_STRING), {}`,
		`{"sSLInfo":"on"}`:                   `Invalid value at 'sSLInfo' (MESSAGE), "on"`,
		`{"sSLInfo":{"protocols":"TLSv1"}}`:  `Invalid value at 'sSLInfo.protocols' (LIST), "TLSv1"`,
		`{"sSLInfo":{"protocols":["a",{}]}}`: `Invalid value at 'sSLInfo.protocols[1]' (TYPE_STRING), {}`,
		deep:                                 "nested more than 64",
	} {
		err := callWith(body).decode(new(entity.TargetServer))
		if err == nil || !strings.Contains(err.Error(), want) || codeOf(err) != entity.InvalidArgument {
			t.Errorf("%s: error is %v, want %s", body, err, want)
		}
	}
	err := callWith(`{"b":1,"a":2,"port":"x"}`).decode(new(entity.TargetServer))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 3 {
		t.Errorf("all faults at once: %v", err)
	}
	err = callWith(`{"description":"` + strings.Repeat("x", maxJSON) + `"}`).decode(new(entity.TargetServer))
	if err == nil || codeOf(err) != entity.InvalidArgument {
		t.Errorf("large body: %v", err)
	}
}

func TestCompressedBody(t *testing.T) {
	a := newAPI(t)
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write([]byte(`{"name":"m"}`))
	_ = w.Close()
	a.do("POST", "keyvaluemaps", buf.String(), "Content-Encoding", "gzip").want(200, `"name":"m"`)
	a.do("POST", "keyvaluemaps", buf.String()[:12], "Content-Encoding", "gzip").want(400)
	a.do("POST", "keyvaluemaps", `{"name":"n"}`, "Content-Encoding", "gzip").want(400)
	a.do("POST", "keyvaluemaps", `{"name":"n"}`, "Content-Encoding", "br").want(400, "not supported")
	buf.Reset()
	w.Reset(&buf)
	_, _ = w.Write(bytes.Repeat([]byte(" "), maxJSON+1))
	_ = w.Close()
	a.do("POST", "keyvaluemaps", buf.String(), "Content-Encoding", "gzip").want(400, "exceeds the limit")
}

func TestPatch(t *testing.T) {
	for _, c := range []struct{ name, old, body, mask, want string }{
		{"without a mask the fields given", `{"description":"d","displayName":"n"}`, `{"description":"e"}`, "", `{"description":"e","displayName":"n"}`},
		{"with a mask its fields", `{"description":"d","displayName":"n"}`, `{"description":"e","displayName":"m"}`, "description", `{"description":"e","displayName":"n"}`},
		{"masked and missing is cleared", `{"description":"d","displayName":"n"}`, `{}`, "description", `{"displayName":"n"}`},
		{"star", `{"description":"d","displayName":"n"}`, `{"description":"e"}`, "*", `{"description":"e","displayName":"n"}`},
		{"snake case", `{"displayName":"n"}`, `{"display_name":"m"}`, "display_name", `{"displayName":"m"}`},
		{"several", `{"displayName":"n"}`, `{"displayName":"m","description":"d"}`, "displayName, description", `{"description":"d","displayName":"m"}`},
		{"inner", `{"nodeConfig":{"maxNodeCount":"5","minNodeCount":"1"}}`, `{"nodeConfig":{"minNodeCount":"2","maxNodeCount":"9"}}`, "node_config.min_node_count",
			`{"nodeConfig":{"maxNodeCount":"5","minNodeCount":"2"}}`},
		{"inner, made", `{}`, `{"nodeConfig":{"minNodeCount":2}}`, "nodeConfig.minNodeCount", `{"nodeConfig":{"minNodeCount":"2"}}`},
	} {
		call := callWith(c.body)
		call.query.Set("updateMask", c.mask)
		p, err := call.patch(new(environment))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		v := new(environment)
		if err := json.Unmarshal([]byte(c.old), v); err != nil {
			t.Fatal(err)
		}
		if err := p.apply(v); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got, _ := json.Marshal(v); string(got) != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	call := callWith(`{}`)
	call.query.Set("updateMask", "nothing")
	if _, err := call.patch(new(environment)); err == nil {
		t.Error("mask with an unknown field was taken")
	}
}

// FuzzDecode holds that what is taken comes out again when it is written and
// read once more, and that valid JSON keeps its strings.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"name":"a","port":"1"}`, "{\"host\":\"a\nb\"}", `{"sSLInfo":{"protocols":["a"],"commonName":{"value":"x"}}}`,
		`{"isEnabled":"true","is_enabled":false}`, "{\"name\":\"a\\\nb\"}", `{"port":1e2}`, `{"name":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fields, err := parseObject(data)
		if err != nil {
			return
		}
		v := new(entity.TargetServer)
		if assign(fields, v) != nil {
			return
		}
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseObject(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		w := new(entity.TargetServer)
		if err := assign(again, w); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if !reflect.DeepEqual(v, w) {
			t.Fatalf("%s: %+v is read as %+v", out, v, w)
		}
		if json.Valid(data) {
			var strict, tolerant any
			_ = json.Unmarshal(data, &strict)
			_ = json.Unmarshal(escapeControls(data), &tolerant)
			if !reflect.DeepEqual(strict, tolerant) {
				t.Fatalf("%q is changed", data)
			}
		}
	})
}
