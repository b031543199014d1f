package oasvalidation

import (
	"os"
	"testing"

	"github.com/perigee-gateway/perigee/shared/message"
)

// FuzzCompile: a document is refused, or judges a request, and the same one twice in
// the same way.
func FuzzCompile(f *testing.F) {
	data, err := os.ReadFile("testdata/pets.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, "q=x&limit=5", `{"name":"a"}`)
	f.Add([]byte(minimal), "", "")
	f.Add([]byte(`{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{"/pets":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/x"}}}}}}}}`), "a=1", "[")
	f.Fuzz(func(t *testing.T, source []byte, query, body string) {
		if len(source) > 64<<10 {
			return
		}
		doc, err := compile(source)
		if err != nil {
			return
		}
		judge := func() string {
			m := message.NewRequest()
			m.Verb, m.Path, m.Query = "POST", "/pets", message.ParseParams(query)
			m.Header.Add("Content-Type", "application/json")
			m.SetContent([]byte(body))
			r := report{}
			doc.request(&call{message: m, options: &everything, report: &r, verb: m.Verb, suffix: m.Path, path: "/v1" + m.Path})
			return r.String()
		}
		if a, b := judge(), judge(); a != b {
			t.Fatalf("judged %s, then %s", a, b)
		}
	})
}
