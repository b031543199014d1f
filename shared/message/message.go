// Package message is perigee's HTTP message: what flow variables read and
// policies change. Headers and parameters are ordered multimaps, a body is
// bytes or a stream. It knows nothing of net/http; adapters at the edge turn
// a Message into whatever the host speaks.
package message

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Kind tells which properties a message has.
type Kind uint8

// The kinds of message. An error message reads like a response.
const (
	Request Kind = iota
	Response
)

// DefaultLimit is the largest body that is buffered unless the endpoint says
// otherwise with request.payload.parse.limit: 10 MB.
const DefaultLimit = 10 << 20

// ErrTooBig is what reading a body over its limit returns. The pipeline turns
// it into protocol.http.TooBigBody.
var ErrTooBig = errors.New("body buffer overflow")

// ErrEncoding is what reading a body with broken gzip or deflate data returns.
var ErrEncoding = errors.New("decompression failure")

// Message is a request or a response. It belongs to one call and is not safe
// for concurrent use.
type Message struct {
	Kind   Kind
	Verb   string // request method
	Path   string // request path without query, percent-encoding as received
	Proto  string // "1.1", "2.0"
	Status int    // response status code
	Reason string // response reason phrase; empty means the standard one
	Header Header
	Query  Params

	// Limit is the largest body that Content buffers, in bytes; 0 is
	// DefaultLimit, negative is no limit.
	Limit int64

	body    []byte
	stream  io.ReadCloser
	length  int64 // of stream; -1 when not known
	read    bool  // body holds the content, decoded
	changed bool  // body was replaced
	encoded string
	form    *Params
	err     error
	trailer func() []Field
}

// NewRequest returns an empty GET request for /.
func NewRequest() *Message { return &Message{Kind: Request, Verb: "GET", Path: "/", Proto: "1.1"} }

// NewResponse returns an empty response with status 200.
func NewResponse() *Message { return &Message{Kind: Response, Status: 200, Proto: "1.1"} }

// IsRequest reports whether m is a request.
func (m *Message) IsRequest() bool { return m.Kind == Request }

// SetStream makes r the body. length is its size in bytes, -1 if not known.
func (m *Message) SetStream(r io.ReadCloser, length int64) {
	m.body, m.stream, m.length = nil, r, length
	m.read, m.changed, m.encoded, m.form, m.err = false, false, "", nil, nil
}

// SetTrailer registers a source of trailers that is valid once the stream is
// at its end.
func (m *Message) SetTrailer(f func() []Field) { m.trailer = f }

// Trailer returns the trailers that followed the body, nil before its end.
func (m *Message) Trailer() []Field {
	if m.trailer == nil {
		return nil
	}
	return m.trailer()
}

// Bound makes a streamed body end with ErrTooBig where it gets longer than n
// bytes, for bodies that are passed on without being read.
func (m *Message) Bound(n int64) {
	if m.stream != nil {
		m.stream = &bounded{m.stream, n}
	}
}

type bounded struct {
	io.ReadCloser
	left int64 // of what may come
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n + int(b.left), ErrTooBig
	}
	return n, err
}

// Streaming reports whether the body is a stream that nobody has read.
func (m *Message) Streaming() bool { return m.stream != nil }

// Changed reports whether the body was replaced since it arrived.
func (m *Message) Changed() bool { return m.changed }

// Length returns the size of the body as it will be sent, -1 if not known.
func (m *Message) Length() int64 {
	m.flushForm()
	if m.stream != nil {
		return m.length
	}
	return int64(len(m.body))
}

// Content returns the body, decoded of gzip or deflate, reading the stream on
// first use. The slice must not be changed. After an error it returns what
// Err returns from then on.
func (m *Message) Content() ([]byte, error) {
	m.flushForm()
	if m.stream == nil || m.err != nil {
		return m.body, m.err
	}
	m.body, m.err = m.readAll()
	m.stream = nil
	m.read = true
	return m.body, m.err
}

// Err returns the error that reading the body met, if any.
func (m *Message) Err() error { return m.err }

func (m *Message) limit() int64 {
	switch {
	case m.Limit == 0:
		return DefaultLimit
	case m.Limit < 0:
		return 1<<63 - 2
	}
	return m.Limit
}

func (m *Message) readAll() ([]byte, error) {
	defer m.stream.Close()
	limit := m.limit()
	if m.length > limit {
		return nil, ErrTooBig
	}
	data, err := readLimited(m.stream, m.length, limit)
	if err != nil || len(data) == 0 {
		return data, err
	}
	return m.decode(data, limit)
}

func (m *Message) decode(data []byte, limit int64) ([]byte, error) {
	enc := strings.ToLower(strings.TrimSpace(m.Header.Get("Content-Encoding")))
	var r io.Reader
	var err error
	switch enc {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(data))
	case "deflate":
		r, err = newInflater(data)
	default:
		return data, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrEncoding, err)
	}
	plain, err := readLimited(r, -1, limit)
	if errors.Is(err, ErrTooBig) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrEncoding, err)
	}
	m.encoded = enc
	return plain, nil
}

// newInflater reads zlib data (RFC 9110 section 8.4.1.2) and the bare deflate
// data that some senders use.
func newInflater(data []byte) (io.Reader, error) {
	if len(data) > 2 && data[0]&0x0f == 8 && (uint(data[0])<<8|uint(data[1]))%31 == 0 {
		return flate.NewReader(bytes.NewReader(data[2:])), nil
	}
	return flate.NewReader(bytes.NewReader(data)), nil
}

func readLimited(r io.Reader, length, limit int64) ([]byte, error) {
	size := int64(512)
	if length >= 0 && length <= limit {
		size = length + 1 // one more, so that EOF is seen without growing
	}
	buf := make([]byte, 0, min(size, 1<<20))
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			return nil, ErrTooBig
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// Text returns the body as a string; an unreadable body is empty, and Err says why.
func (m *Message) Text() string {
	b, err := m.Content()
	if err != nil {
		return ""
	}
	return string(b)
}

// SetContent replaces the body by a text that is not encoded; it is encoded when
// it is sent, as the Content-Encoding header says by then. The message keeps b.
func (m *Message) SetContent(b []byte) {
	m.Release()
	m.body, m.form, m.err = b, nil, nil
	m.changed = true
}

// Recode has the body sent in another coding: gzip, deflate or none. A body
// whose coding cannot be undone stays as it is, and so does an empty one.
func (m *Message) Recode(codec string) error {
	now := strings.ToLower(strings.TrimSpace(m.Header.Get("Content-Encoding")))
	if now == codec || now == "" && codec == "none" || now != "" && codecOf(now) == "" || m.Length() == 0 {
		return nil
	}
	if _, err := m.Content(); err != nil {
		return err
	}
	if codec == "none" {
		m.Header.Del("Content-Encoding")
		m.encoded = ""
		return nil
	}
	m.Header.Set("Content-Encoding", codec)
	m.encoded = codec
	return nil
}

func codecOf(encoding string) string {
	switch enc := strings.ToLower(strings.TrimSpace(encoding)); enc {
	case "gzip", "x-gzip", "deflate":
		return enc
	}
	return ""
}

// Release closes an unread stream.
func (m *Message) Release() {
	if m.stream != nil {
		m.stream.Close()
		m.stream = nil
	}
}

// Body returns what is to be sent: the stream, or the bytes, encoded as the
// Content-Encoding header says if the content had been decoded or replaced,
// whichever of header and content was set last. Exactly one of
// the two is set unless there is no body. The stream then belongs to the caller.
func (m *Message) Body() (data []byte, stream io.ReadCloser, length int64, err error) {
	m.flushForm()
	if m.stream != nil {
		s := m.stream
		m.stream, m.read = nil, true
		return nil, s, m.length, nil
	}
	if m.err != nil {
		return nil, nil, 0, m.err
	}
	codec := codecOf(m.Header.Get("Content-Encoding"))
	if m.encoded == "" && !m.changed || len(m.body) == 0 || codec == "" {
		return m.body, nil, int64(len(m.body)), nil
	}
	out, err := encode(codec, m.body)
	return out, nil, int64(len(out)), err
}

func encode(codec string, b []byte) ([]byte, error) {
	var buf bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&buf)
	if codec == "deflate" {
		w = newDeflater(&buf)
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// FormContentType is the content type whose body holds form parameters.
const FormContentType = "application/x-www-form-urlencoded"

// IsForm reports whether the content type says that the body is a form.
func (m *Message) IsForm() bool { return m.MediaType() == FormContentType }

// MediaType is the content type without its parameters, in lower case; "" if the
// message has none.
func (m *Message) MediaType() string {
	ct, _, _ := strings.Cut(m.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(ct))
}

// Charset is the parameter charset of the content type, or "".
func (m *Message) Charset() string {
	_, params, _ := strings.Cut(m.Header.Get("Content-Type"), ";")
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "charset") {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

// Form returns the form parameters of the body; changes to it change the
// body. It is empty when the content type is not a form.
func (m *Message) Form() *Params {
	if m.form != nil {
		return m.form
	}
	p := Params{parsed: true}
	if m.IsForm() {
		p = ParseParams(m.Text())
	}
	m.form = &p
	return m.form
}

// flushForm writes changed form parameters back into the body.
func (m *Message) flushForm() {
	if m.form == nil || !m.form.dirty {
		return
	}
	form := m.form
	m.SetContent([]byte(form.Encode()))
	if !m.IsForm() {
		m.Header.Set("Content-Type", FormContentType)
	}
	form.raw, form.dirty = string(m.body), false
	m.form = form
}

// URI returns path and query.
func (m *Message) URI() string {
	if q := m.Query.Encode(); q != "" {
		return m.Path + "?" + q
	}
	return m.Path
}

// Clone returns a deep copy. A streamed body is read first.
func (m *Message) Clone() *Message {
	body, err := m.Content()
	c := *m
	c.Header, c.Query = m.Header.Clone(), m.Query.Clone()
	c.body, c.err, c.form = append([]byte(nil), body...), err, nil
	return &c
}

// Reset empties m for use by another call and keeps the memory of its header.
func (m *Message) Reset(kind Kind) {
	m.Release()
	h := m.Header
	h.Reset()
	*m = Message{Kind: kind, Header: h, Proto: "1.1"}
	if kind == Response {
		m.Status = 200
	}
}

// ReasonPhrase returns the reason phrase: the one set, or the standard one.
func (m *Message) ReasonPhrase() string {
	if m.Reason != "" {
		return m.Reason
	}
	return statusText(m.Status)
}
