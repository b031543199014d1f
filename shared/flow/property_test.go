package flow

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/message"
)

// properties are what the flow variables of a message give. Null is "-".
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/variables-reference
const properties = `
request.verb | POST
request.path | /v1/pets
request.uri | /v1/pets?id=7&id=8&name=a%20b&empty=&Id=x
request.version | 1.1
request.querystring | id=7&id=8&name=a%20b&empty=&Id=x
request.url | -
request.content | f=1&f=2&g=a+b
request.content.as.base64 | Zj0xJmY9MiZnPWErYg==
request.content.as.url.safe.base64 | Zj0xJmY9MiZnPWErYg
request.header.x-list | a
request.header.X-LIST | a
request.header.X-List.1 | a
request.header.X-List.2 | b
request.header.X-List.3 | c
request.header.X-List.4 | -
request.header.X-List.0 | -
request.header.X-List.values | [a, b, c]
request.header.X-List.values.count | 3
request.header.X-List.values.string | a,b, c
request.header.X-Quoted | "a
request.header.Cookie | a=1, b=2
request.header.Authorization | Digest a="1", b="2"
request.header.If-Modified-Since | Wed, 21 Oct 2015 07:28:00 GMT
request.header.X-Empty | 
request.header.X-None | -
request.header.X-None.values | -
request.header.X-None.values.count | 0
request.header.X-None.values.string | -
request.header.x.dotted | d
request.headers.count | 9
request.headers.names | [Content-Type, X-List, X-Quoted, Cookie, Authorization, If-Modified-Since, X-Empty, x.dotted, Host]
request.headers.names.string | Content-Type, X-List, X-Quoted, Cookie, Authorization, If-Modified-Since, X-Empty, x.dotted, Host
request.queryparam.id | 7
request.queryparam.id.1 | 7
request.queryparam.id.2 | 8
request.queryparam.id.3 | -
request.queryparam.Id | x
request.queryparam.ID | -
request.queryparam.name | a b
request.queryparam.empty | 
request.queryparam.none | -
request.queryparam.id.values | [7, 8]
request.queryparam.id.values.count | 2
request.queryparams.count | 4
request.queryparams.names | [id, name, empty, Id]
request.queryparams.names.string | id, name, empty, Id
request.formparam.f | 1
request.formparam.f.2 | 2
request.formparam.f.values | [1, 2]
request.formparam.f.values.count | 2
request.formparam.g | a b
request.formparam.none | -
request.formparams.count | 2
request.formparams.names | [f, g]
request.formparams.names.string | f, g
request.formstring | f=1&f=2&g=a+b
request.status.code | -
request.reason.phrase | -
message.verb | POST
message.content | f=1&f=2&g=a+b
message.header.x-list.2 | b
response.status.code | -
response.content | -
error.status.code | -
mine.status.code | 418
mine.reason.phrase | I'm a teapot
mine.header.x-a | 1
mine.content | tea
mine.verb | -
mine.queryparam.a | -
mine.queryparams.count | -
mine.other | -
text.content | -
flow.header.x | custom
`

func TestMessageProperties(t *testing.T) {
	c := New(&Proxy{Name: "p"}, time.Now)
	defer c.Release()
	c.Request.Verb, c.Request.Path = "POST", "/v1/pets"
	c.Request.Query = message.ParseParams("id=7&id=8&name=a%20b&empty=&Id=x")
	for _, h := range []message.Field{
		{Name: "Content-Type", Value: "application/x-www-form-urlencoded; charset=utf-8"},
		{Name: "X-List", Value: "a,b"}, {Name: "X-Quoted", Value: `"a,b"`}, {Name: "Cookie", Value: "a=1, b=2"},
		{Name: "Authorization", Value: `Digest a="1", b="2"`}, {Name: "If-Modified-Since", Value: "Wed, 21 Oct 2015 07:28:00 GMT"},
		{Name: "X-Empty", Value: ""}, {Name: "x-list", Value: "c"}, {Name: "x.dotted", Value: "d"}, {Name: "Host", Value: "h"},
	} {
		c.Request.Header.Add(h.Name, h.Value)
	}
	c.Request.SetContent([]byte("f=1&f=2&g=a+b"))
	mine := message.NewResponse()
	mine.Status = 418
	mine.Header.Add("X-A", "1")
	mine.SetContent([]byte("tea"))
	c.Put("mine", MessageValue(mine))
	c.Put("text", StringValue("no message"))
	c.Put("flow.header.x", StringValue("custom"))
	for line := range strings.Lines(strings.TrimSpace(properties)) {
		name, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " | ")
		v := c.Get(name)
		got := v.String()
		if v.IsNull() {
			got = "-"
		}
		if got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestWriteProperties writes each kind of property and reads it back.
func TestWriteProperties(t *testing.T) {
	for _, tt := range []struct{ set, to, read, want string }{
		{"request.verb", "PUT", "request.verb", "PUT"},
		{"request.header.X-A", "a,b", "request.header.x-a.values.count", "2"},
		{"request.header.X-A.2", "second", "request.header.x-a.values", "[, second]"},
		{"request.header.X-A.values.string", "x, y", "request.header.x-a.2", "y"},
		{"request.queryparam.q", "a b&c", "request.querystring", "q=a%20b%26c"},
		{"request.queryparam.q.2", "z", "request.queryparam.q.values", "[, z]"},
		{"request.querystring", "a=1&a=2", "request.queryparam.a.2", "2"},
		{"request.formparam.f", "a b", "request.content", "f=a%20b"},
		{"request.formparam.f", "a b", "request.header.content-type", "application/x-www-form-urlencoded"},
		{"request.content", "new", "message.content", "new"},
		{"message.path", "/other", "request.path", "/other"},
		{"request.uri", "/p?x=1", "request.queryparam.x", "1"},
		{"response.status.code", "404", "response.reason.phrase", "Not Found"},
		{"response.content", "made", "response.content", "made"},
		{"mine.content", "text", "mine.content", "text"}, // no message: a variable of that name
		{"a.header.b", "text", "a.header.b", "text"},
	} {
		c := New(&Proxy{Name: "p"}, time.Now)
		if err := c.Set(tt.set, StringValue(tt.to)); err != nil {
			t.Errorf("%s: %v", tt.set, err)
		}
		c.Request.Text() // form parameters go into the body
		if got := c.Text(tt.read); got != tt.want {
			t.Errorf("%s = %s: %s is %q, want %q", tt.set, tt.to, tt.read, got, tt.want)
		}
		c.Release()
	}
}

func TestReadOnlyProperties(t *testing.T) {
	for _, name := range []string{
		"request.headers.count", "request.headers.names", "request.queryparams.count", "request.formparams.names",
		"request.content.as.base64", "request", "proxy.pathsuffix", "client.ip", "system.timestamp", "messageid",
		"organization.name", "environment.name", "apiproxy.name", "propertyset.a.b", "is.error",
	} {
		c := New(&Proxy{Name: "p"}, time.Now)
		if err := c.Set(name, StringValue("x")); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v, want %v", name, err, ErrReadOnly)
		}
		c.Release()
	}
}
