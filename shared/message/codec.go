package message

import (
	"compress/zlib"
	"io"
)

// newDeflater writes zlib data, which is what Content-Encoding: deflate means
// (RFC 9110 section 8.4.1.2).
func newDeflater(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }
