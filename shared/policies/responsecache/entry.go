package responsecache

import (
	"encoding/binary"
	"strings"

	"github.com/perigee-gateway/perigee/shared/message"
)

// An entry is: 'r' and a version, status, reason, number of header fields, their
// names and values, body. Numbers are unsigned varints; texts have their length
// before them. The body is the content without its Content-Encoding, which is
// applied again when the response is sent.
const entryVersion = "r1"

// unkept are the fields that belong to one connection and are not the response's.
func unkept(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "trailer":
		return true
	}
	return false
}

func encode(m *message.Message) ([]byte, error) {
	body, err := m.Content()
	if err != nil {
		return nil, err
	}
	size := 64 + len(body)
	n := 0
	for i := range m.Header.Len() {
		if f := m.Header.At(i); !unkept(f.Name) {
			size += len(f.Name) + len(f.Value) + 6
			n++
		}
	}
	b := append(make([]byte, 0, size), entryVersion...)
	b = binary.AppendUvarint(b, uint64(m.Status))
	b = appendText(b, m.Reason)
	b = binary.AppendUvarint(b, uint64(n))
	for i := range m.Header.Len() {
		if f := m.Header.At(i); !unkept(f.Name) {
			b = appendText(appendText(b, f.Name), f.Value)
		}
	}
	return append(b, body...), nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decode is the response of an entry, nil if it holds none.
func decode(b []byte) *message.Message {
	rest, ok := strings.CutPrefix(string(b[:min(2, len(b))]), entryVersion)
	if !ok || rest != "" {
		return nil
	}
	r := reader{b: b[2:]}
	m := message.NewResponse()
	m.Status = int(r.number(999))
	m.Reason = r.text()
	n := r.number(uint64(len(r.b)))
	for range n {
		name := r.text()
		m.Header.Add(name, r.text())
	}
	if r.bad || m.Status < 100 {
		return nil
	}
	if len(r.b) > 0 {
		m.SetContent(r.b)
	}
	return m
}

// reader takes an entry apart; after something impossible it is bad and gives
// zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || v > limit {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string {
	n := r.number(uint64(len(r.b)))
	if n > uint64(len(r.b)) {
		r.bad = true
	}
	if r.bad {
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}
