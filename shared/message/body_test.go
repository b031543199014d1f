package message

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"
)

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	b, err := encode("gzip", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEncodedBody sends a text as the header says when it is sent, whether text or
// header was set last, and passes on a body that nobody touched as it came.
func TestEncodedBody(t *testing.T) {
	arrived := func(m *Message) {
		m.Header.Set("Content-Encoding", "gzip")
		b := gzipped(t, "old")
		m.SetStream(io.NopCloser(bytes.NewReader(b)), int64(len(b)))
	}
	for name, tt := range map[string]struct {
		change func(m *Message)
		want   string
		coded  bool
	}{
		"untouched":           {arrived, "old", true},
		"read":                {func(m *Message) { arrived(m); m.Text() }, "old", true},
		"replaced":            {func(m *Message) { arrived(m); m.SetContent([]byte("new")) }, "new", true},
		"read and replaced":   {func(m *Message) { arrived(m); m.Text(); m.SetContent([]byte("new")) }, "new", true},
		"header removed":      {func(m *Message) { arrived(m); m.SetContent([]byte("new")); m.Header.Del("Content-Encoding") }, "new", false},
		"header after text":   {func(m *Message) { m.SetContent([]byte("new")); m.Header.Set("Content-Encoding", "gzip") }, "new", true},
		"header before text":  {func(m *Message) { m.Header.Set("Content-Encoding", "gzip"); m.SetContent([]byte("new")) }, "new", true},
		"a coding not known":  {func(m *Message) { m.Header.Set("Content-Encoding", "br"); m.SetContent([]byte("new")) }, "new", false},
		"no header":           {func(m *Message) { m.SetContent([]byte("new")) }, "new", false},
		"recoded to none":     {func(m *Message) { arrived(m); m.Recode("none") }, "old", false},
		"recoded to gzip":     {func(m *Message) { m.SetContent([]byte("new")); m.Recode("gzip") }, "new", true},
		"a form of another's": {func(m *Message) { arrived(m); m.Form().Set("a", "1") }, "a=1", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewResponse()
			tt.change(m)
			data, stream, length, err := m.Body()
			if err != nil {
				t.Fatal(err)
			}
			if stream != nil {
				if data, err = io.ReadAll(stream); err != nil {
					t.Fatal(err)
				}
			}
			if int64(len(data)) != length {
				t.Errorf("length is %d, want %d", length, len(data))
			}
			coded := len(data) > 1 && data[0] == 0x1f && data[1] == 0x8b
			if coded {
				r, err := gzip.NewReader(bytes.NewReader(data))
				if err != nil {
					t.Fatal(err)
				}
				if data, err = io.ReadAll(r); err != nil {
					t.Fatal(err)
				}
			}
			if string(data) != tt.want || coded != tt.coded {
				t.Errorf("got %q, coded %t, want %q, coded %t", data, coded, tt.want, tt.coded)
			}
		})
	}
}
