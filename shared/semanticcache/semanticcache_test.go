package semanticcache

import (
	"bytes"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// FuzzDecode: an entry is the same once it was decoded and encoded again.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"application/json\n{}", "\n", "text/plain\na\nb\n", "a/b\n\x00\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, entry []byte) {
		if !bytes.Contains(entry, []byte("\n")) {
			entry = append(entry, '\n')
		}
		m, body := Decode(entry)
		if m.Text() != body && strings.ToValidUTF8(body, "") == body {
			t.Fatalf("%q has the body %q", body, m.Text())
		}
		again, err := Encode(m)
		if err != nil || !bytes.Equal(again, entry) {
			t.Fatalf("%q became %q: %v", entry, again, err)
		}
	})
}

// TestKeys: prompts to different proxies have different datapoints and answers.
func TestKeys(t *testing.T) {
	a := &flow.Proxy{Organization: "o", Environment: "e", Name: "a"}
	b := &flow.Proxy{Organization: "o", Environment: "e", Name: "b"}
	once, again := ID(a, "x"), ID(a, "x")
	if once == ID(b, "x") || once == ID(a, "y") || once != again || Key(a, "1") == Key(b, "1") {
		t.Error("ids or keys are not apart")
	}
}
