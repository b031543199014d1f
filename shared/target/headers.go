package target

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/message"
)

// hopByHop reports whether a field belongs to one connection and is never
// passed on (RFC 9110 section 7.6.1 and, for older senders, RFC 2616 section
// 13.5.1).
func hopByHop(name string) bool {
	switch len(name) {
	case 2:
		return strings.EqualFold(name, "TE")
	case 7:
		return strings.EqualFold(name, "Trailer") || strings.EqualFold(name, "Upgrade")
	case 10:
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case 16:
		return strings.EqualFold(name, "Proxy-Connection")
	case 17:
		return strings.EqualFold(name, "Transfer-Encoding")
	case 18:
		return strings.EqualFold(name, "Proxy-Authenticate")
	case 19:
		return strings.EqualFold(name, "Proxy-Authorization")
	}
	return false
}

// remade reports whether a request field is written anew for the target: Host
// and Content-Length from what is sent, Expect not at all since the caller was
// already told to go on.
func remade(name string) bool {
	switch len(name) {
	case 4:
		return strings.EqualFold(name, "Host")
	case 6:
		return strings.EqualFold(name, "Expect")
	case 14:
		return strings.EqualFold(name, "Content-Length")
	}
	return false
}

// named returns the fields that Connection makes hop-by-hop, in lower case.
func named(h *message.Header) []string {
	var out []string
	for i := range h.Len() {
		f := h.At(i)
		if len(f.Name) != 10 || !strings.EqualFold(f.Name, "Connection") {
			continue
		}
		for n := range strings.SplitSeq(f.Value, ",") {
			if n = strings.TrimSpace(n); n != "" {
				out = append(out, n)
			}
		}
	}
	return out
}

func contains(list []string, name string) bool {
	for _, n := range list {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// upgrade returns the protocol a message asks to change to, "" for none. Only
// WebSocket is passed on; h2c and TLS upgrades end here.
func upgrade(h *message.Header, connection []string) string {
	if len(connection) == 0 || !contains(connection, "Upgrade") {
		return ""
	}
	if v := h.Get("Upgrade"); strings.EqualFold(strings.TrimSpace(v), "websocket") {
		return v
	}
	return ""
}

// appendOutgoing appends the fields of h that go to the target.
func appendOutgoing(dst []message.Field, h *message.Header, keep *retained) []message.Field {
	connection := named(h)
	for i := range h.Len() {
		f := h.At(i)
		switch {
		case hopByHop(f.Name), remade(f.Name):
		case len(connection) > 0 && contains(connection, f.Name):
		case !keep.keeps(f.Name) && !describesBody(f.Name):
		default:
			dst = append(dst, f)
		}
	}
	if proto := upgrade(h, connection); proto != "" {
		dst = append(dst, message.Field{Name: "Connection", Value: "Upgrade"}, message.Field{Name: "Upgrade", Value: proto})
	}
	return dst
}

// describesBody: without its coding a body could not be read, so the retain
// properties never drop it.
func describesBody(name string) bool {
	return len(name) == 16 && strings.EqualFold(name, "Content-Encoding")
}

// acceptsTrailers reports whether the caller can take trailers; gRPC servers
// insist on hearing so.
func acceptsTrailers(h *message.Header) bool {
	te, ok := h.Lookup("TE")
	if !ok {
		return false
	}
	for v := range strings.SplitSeq(te, ",") {
		if v, _, _ = strings.Cut(v, ";"); strings.EqualFold(strings.TrimSpace(v), "trailers") {
			return true
		}
	}
	return false
}

// setField replaces the fields called name, or appends one.
func setField(fields []message.Field, name, value string) []message.Field {
	kept := delField(fields, name)
	return append(kept, message.Field{Name: name, Value: value})
}

func delField(fields []message.Field, name string) []message.Field {
	kept := fields[:0]
	for _, f := range fields {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	return kept
}

// single are the response fields that may stand only once.
var single = []string{
	"Age", "Content-Length", "Content-Location", "Content-Range", "Content-Type", "Date",
	"ETag", "Expires", "Last-Modified", "Location", "Retry-After",
}

func isSingle(name string) bool {
	for _, s := range single {
		if strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}
