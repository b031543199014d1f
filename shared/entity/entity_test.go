package entity_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		rule   entity.NameRule
		good   string // separated by |
		bad    string
		reason string
	}{
		{entity.ProxyName, "a|A-b_c.9", "a b|a/b|ä", "letters, digits"},
		{entity.EnvironmentName, "test|test-1|a.b", "a b|a/b|a%", "letters, digits"},
		{entity.ProductName, "Gold plan|a$b%c", "a#b|a/b", "letters, digits, blanks"},
		{entity.KeystoreName, "ks|my ks.1", "a$|a/b", "letters, digits, blanks"},
		{entity.AliasName, "a b:c*", "a/b|a\nb", "anything but"},
		{entity.ResourceFileName, "lib/a.js|a b~`.xsl", "a?|a*b", "letters, digits"},
		{entity.DataCollectorName, "dc_a|dc_A-9", "dc_a.b", "letters, digits"},
		{entity.DataCollectorName, "dc_x", "a|dc_|DC_a", `must begin with "dc_"`},
		{entity.ProxyName, "x", ".|..|\xff", "is not allowed"},
	} {
		for name := range strings.SplitSeq(tt.good, "|") {
			if err := tt.rule.Check(name); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
		for name := range strings.SplitSeq(tt.bad, "|") {
			err := tt.rule.Check(name)
			if entity.CodeOf(err) != entity.InvalidArgument || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("%q: %v, want %q", name, err, tt.reason)
			}
		}
	}
	if err := entity.ProxyName.Check(""); err == nil || err.Error() != "API proxy name is missing" {
		t.Error(err)
	}
	if err := entity.ProxyName.Check(strings.Repeat("a", 256)); err == nil || !strings.Contains(err.Error(), "256 bytes") {
		t.Error(err)
	}
	if err := entity.ConsumerKeyName.Check(strings.Repeat("a", 2048)); err != nil {
		t.Error(err)
	}
}

func TestBasePaths(t *testing.T) {
	for _, good := range []string{"/", "/a", "/v1/orders", "/v1/*/weather", "/v1/*", "/a.b/c-d"} {
		if err := entity.CheckBasePath(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, part := range map[string]string{
		"": "begin with /", "a": "begin with /", "/*/a": "begins with a wildcard", "/*": "begins with a wildcard",
		"/a/**": "not a whole segment", "/a/b*": "not a whole segment", "/a//b": "empty", "/a/../b": "relative",
		"/" + strings.Repeat("a", 1000): "1001 bytes",
	} {
		if err := entity.CheckBasePath(bad); entity.CodeOf(err) != entity.InvalidArgument || !strings.Contains(err.Error(), part) {
			t.Errorf("%.20q: %v, want %q", bad, err, part)
		}
	}
	for in, want := range map[string]string{"": "/", "/": "/", "//": "/", "/a/": "/a", "/a/b": "/a/b"} {
		if got := entity.BasePath(in); got != want {
			t.Errorf("BasePath(%q) = %q, want %q", in, got, want)
		}
	}
	if got := entity.Segments("/a/*/b/"); !slices.Equal(got, []string{"a", "*", "b"}) || entity.Segments("/") != nil {
		t.Errorf("segments %q", got)
	}
}

func TestCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want entity.Code
	}{
		{nil, ""},
		{entity.Errorf(entity.FailedPrecondition, "x"), entity.FailedPrecondition},
		{fmt.Errorf("y: %w", entity.Errorf(entity.NotFound, "x")), entity.NotFound},
		{&store.Error{Code: store.Conflict}, entity.Aborted},
		{&store.Error{Code: store.Unavailable}, entity.Unavailable},
		{&store.Error{Code: store.Invalid}, entity.InvalidArgument},
		{errors.New("x"), entity.Internal},
	} {
		if got := entity.CodeOf(tt.err); got != tt.want {
			t.Errorf("%v has code %s, want %s", tt.err, got, tt.want)
		}
	}
	err := &entity.Error{Message: "deployment validations failed", Violations: []*apigee.GoogleRpcPreconditionFailureViolation{{Description: "a"}, {Description: "b"}}}
	if err.Error() != "deployment validations failed; a; b" {
		t.Error(err)
	}
}

// A target server is enabled unless it says no; that survives being stored.
func TestTargetServerJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"name":"a","host":"h","port":80}`:                             `{"host":"h","isEnabled":true,"name":"a","port":80}`,
		`{"isEnabled":false}`:                                           `{"isEnabled":false}`,
		`{"isEnabled":true,"sSLInfo":{"enabled":true}}`:                 `{"isEnabled":true,"sSLInfo":{"enabled":true}}`,
		`{"sSLInfo":{"commonName":{"value":"x","wildcardMatch":true}}}`: `{"isEnabled":true,"sSLInfo":{"commonName":{"value":"x","wildcardMatch":true}}}`,
	} {
		ts := new(entity.TargetServer)
		if err := json.Unmarshal([]byte(in), ts); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(ts)
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func TestInstanceJSON(t *testing.T) {
	in := entity.Instance{Attachments: []*apigee.GoogleCloudApigeeV1InstanceAttachment{{Name: "n", Environment: "e"}}}
	in.Name, in.Location = "i", "l"
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out entity.Instance
	if err := json.Unmarshal(data, &out); err != nil || out.Name != "i" || out.Location != "l" || out.Attachments[0].Environment != "e" {
		t.Errorf("%s: %+v, %v", data, out, err)
	}
}

func TestStamp(t *testing.T) {
	s := &entity.Stamp{
		Environments: []string{"a", "b", "c"},
		Groups: map[string]entity.Group{
			"g": {Hostnames: []string{"X.example", "y.example"}, Attachments: map[string]string{"1": "b", "2": "a"}},
			"h": {Hostnames: []string{"z.example"}, Attachments: map[string]string{"3": "b", "4": "c"}},
			"i": {Hostnames: []string{"empty.example"}},
		},
		Split: []string{"a/v1", "b/v1/x"},
	}
	hosts := s.Hosts()
	for host, want := range map[string][]string{"x.example": {"a", "b"}, "y.example": {"a", "b"}, "z.example": {"b", "c"}, "empty.example": nil} {
		if !slices.Equal(hosts[host], want) {
			t.Errorf("%s: %v, want %v", host, hosts[host], want)
		}
	}
	for env, want := range map[string][]string{"a": {"b"}, "b": {"a", "c"}, "c": {"b"}, "d": nil} {
		if got := s.Neighbours(env); !slices.Equal(got, want) {
			t.Errorf("neighbours of %s: %v, want %v", env, got, want)
		}
	}
	if !s.HasEnvironment("b") || s.HasEnvironment("d") {
		t.Error("environments")
	}
	if !s.IsSplit("c", "") || !s.IsSplit("a", "v1") || s.IsSplit("b", "v1") || !s.IsSplit("b", "v1/x") {
		t.Error("split nodes")
	}
}

// Ids of entries fit, and differ where names do.
func TestEntryKey(t *testing.T) {
	long := strings.Repeat("x", 2000)
	a, b := entity.EntryKey("m", long+"a"), entity.EntryKey("m", long+"b")
	if a == b || len(a.ID) > store.MaxIDBytes || entity.EntryKey("m", "a/b").ID != "m/a/b" {
		t.Errorf("%s, %s", a, b)
	}
	ids := map[string]bool{}
	for _, scope := range []entity.MapScope{{}, {Environment: "x"}, {Proxy: "x"}} {
		ids[entity.MapID("o", scope, "m")] = true
	}
	if len(ids) != 3 {
		t.Errorf("ids %v", ids)
	}
}
