package hosttest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Backend is the target of the matrix's proxies: it says what it received.
func Backend(t testing.TB) string {
	t.Helper()
	b := &backend{released: map[string]chan struct{}{}}
	s := httptest.NewServer(b)
	t.Cleanup(s.Close)
	return s.URL
}

type backend struct {
	mu       sync.Mutex
	released map[string]chan struct{}
	gates    gates
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.gates.serve(w, r) || upgrade(w, r) {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	h.Add("Set-Cookie", "a=1")
	h.Add("Set-Cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
	h.Add("X-Multi", "1")
	h.Add("X-Multi", "2")
	switch r.URL.Path {
	case "/gone":
		w.WriteHeader(http.StatusGone)
	case "/empty":
		w.WriteHeader(http.StatusNoContent)
		return
	case "/moved":
		h.Set("Location", "https://elsewhere.example.com/x")
		w.WriteHeader(http.StatusFound)
		return
	case "/unchanged":
		h.Set("ETag", `"7"`)
		w.WriteHeader(http.StatusNotModified)
		return
	case "/early":
		h.Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
	case "/binary":
		h.Set("Content-Type", "application/octet-stream")
		w.Write([]byte{0, 1, 0xff, 0xfe})
		return
	case "/gzip":
		h.Set("Content-Encoding", "gzip")
		w.Write(gzipped)
		return
	case "/sum":
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %x", len(body), sha256.Sum256(body))
		return
	case "/big":
		w.Write(large)
		return
	case "/cookie":
		io.WriteString(w, strings.Join(r.Header.Values("Cookie"), "|"))
		return
	case "/slow":
		time.Sleep(time.Second)
	case "/eof":
		panic(http.ErrAbortHandler)
	case "/dies", "/dies/known":
		if r.URL.Path == "/dies/known" {
			h.Set("Content-Length", "1000")
		}
		io.WriteString(w, "the first part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case "/events":
		b.events(w, r)
		return
	case "/release":
		close(b.channel(r.URL.Query().Get("id")))
		return
	}
	body, _ := io.ReadAll(r.Body)
	values := strings.Split(strings.ReplaceAll(strings.Join(r.Header.Values("X-Test"), ","), " ", ""), ",")
	fmt.Fprintf(w, "%s %s x=%s body=%s", r.Method, r.URL.RequestURI(), strings.Join(values, "|"), body)
}

// events sends one event, and the other when its reader has the first one.
func (b *backend) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, "data: first\n\n")
	w.(http.Flusher).Flush()
	select {
	case <-b.channel(r.URL.Query().Get("id")):
		io.WriteString(w, "data: second\n\n")
	case <-time.After(10 * time.Second):
		io.WriteString(w, "data: the first did not arrive\n\n")
	case <-r.Context().Done():
	}
}

func (b *backend) channel(id string) chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released[id] == nil {
		b.released[id] = make(chan struct{})
	}
	return b.released[id]
}

// large is a payload that needs more than a few buffers, and is no text. In
// base64 it is below the 6 MB that Lambda takes.
var large = func() []byte {
	out := make([]byte, 0, 4<<20)
	for i := 0; len(out) < 4<<20-10; i++ {
		out = append(strconv.AppendInt(out, int64(i)*7919, 36), 0xff)
	}
	return out
}()

var gzipped = func() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, "compressed by the target")
	w.Close()
	return b.Bytes()
}()
