package gateway

import (
	"net/http"

	"github.com/perigee-gateway/perigee/shared/fault"
)

// Limits of a request's head, in bytes.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/limits
const (
	maxLine   = 10 << 10
	maxHeader = 60 << 10
)

// tooBig is the fault of a request whose first line or headers are larger than
// Apigee takes, nil for others. The host's own bound is higher, so that callers
// see this one.
// Source: https://docs.apigee.com/api-platform/troubleshoot/runtime/414-toobigline
func tooBig(r *http.Request) *fault.Fault {
	uri := len(r.RequestURI)
	if uri == 0 { // not from an HTTP server
		uri = len(r.URL.Path) + len("?") + len(r.URL.RawQuery)
	}
	if len(r.Method)+len(" ")+uri+len(" HTTP/1.1") > maxLine {
		return fault.New("protocol.http.TooBigLine", http.StatusRequestURITooLong, "request line size exceeding 10,240")
	}
	size := 0
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(": ") + len(v) + len("\r\n")
		}
	}
	if size > maxHeader {
		return fault.New("protocol.http.TooBigHeaders", http.StatusRequestHeaderFieldsTooLarge, "request headers size exceeding 61,440")
	}
	return nil
}
