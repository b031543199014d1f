package target

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"

	"github.com/perigee-gateway/perigee/shared/message"
)

// needsLength refuses a POST or PUT that has neither a body nor a length.
func (x *exchange) needsLength() error {
	allowed := x.c.set.emptyPost
	switch x.req.Verb {
	case "POST":
	case "PUT":
		allowed = x.c.set.emptyPut
	default:
		return nil
	}
	if allowed || x.req.Length() != 0 || x.req.Changed() || strings.HasPrefix(x.req.Proto, "2") || x.req.Header.Has("Content-Length") {
		return nil
	}
	return lengthRequired()
}

// readBody takes the body out of the message, coded as compression.algorithm
// says, and in memory where HTTP/1.0 needs its length.
func (x *exchange) readBody() error {
	set := x.c.set
	if set.compression != "" {
		return x.compress(set.compression)
	}
	if x.c.base.http10 && x.req.Length() < 0 {
		if _, err := x.req.Content(); err != nil {
			return uploadFault(err)
		}
	}
	return x.asIs()
}

// compress codes the body with algorithm unless it is so already.
func (x *exchange) compress(algorithm string) error {
	now := strings.ToLower(strings.TrimSpace(x.req.Header.Get("Content-Encoding")))
	if now == algorithm || x.req.Length() == 0 {
		return x.asIs()
	}
	plain, err := x.req.Content()
	if err != nil {
		return uploadFault(err)
	}
	switch {
	case algorithm == "none":
		x.coding = "none"
	case now != "" && now != "gzip" && now != "x-gzip" && now != "deflate":
		return x.asIs() // a coding that cannot be undone, such as br
	default:
		x.coding = algorithm
		plain = encode(algorithm, plain)
	}
	x.body = payload{data: plain, length: int64(len(plain))}
	return nil
}

// asIs takes the body as the message would send it.
func (x *exchange) asIs() error {
	data, stream, length, err := x.req.Body()
	if err != nil {
		return uploadFault(err)
	}
	if stream != nil && length == 0 {
		stream.Close()
		stream = nil
	}
	x.body = payload{data: data, stream: stream, length: length}
	return nil
}

func encode(algorithm string, plain []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser = zlib.NewWriter(&b)
	if algorithm == "gzip" {
		w = gzip.NewWriter(&b)
	}
	w.Write(plain) // a bytes.Buffer takes everything
	w.Close()
	return b.Bytes()
}

// recoded names the coding of a body that was coded anew.
func (x *exchange) recoded(fields []message.Field) []message.Field {
	switch x.coding {
	case "":
		return fields
	case "none":
		return delField(append([]message.Field(nil), fields...), "Content-Encoding")
	}
	return setField(append([]message.Field(nil), fields...), "Content-Encoding", x.coding)
}
