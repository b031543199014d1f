package bundle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
)

var declaredEncoding = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)
})

// usual are declarations that nearly all files begin with: for them the expression
// is not compiled, which would be in the first request's way.
var usual = [][]byte{[]byte(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`), []byte(`<?xml version="1.0" encoding="UTF-8"?>`)}

// toUTF8 decodes UTF-8, UTF-16 (by byte order mark or by the look of "<?"), and by
// declaration whatever else the XML parsers of Java read. A declaration of UTF-16
// on text of single bytes is not believed: the file was converted and only its
// first line was not.
func toUTF8(data []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return checkUTF8(data[3:])
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		return fromUTF16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		return fromUTF16(data[2:], binary.BigEndian)
	case bytes.HasPrefix(data, []byte("<\x00")):
		return fromUTF16(data, binary.LittleEndian)
	case bytes.HasPrefix(data, []byte("\x00<")):
		return fromUTF16(data, binary.BigEndian)
	}
	switch name := declared(data); name {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be":
		return checkUTF8(data)
	case "iso-8859-1", "latin1", "iso_8859-1": // not windows-1252, which it is on the Web
		return fromLatin1(data), nil
	default:
		enc, err := htmlindex.Get(name)
		if err != nil {
			return nil, fmt.Errorf("encoding %q is not supported", name)
		}
		return enc.NewDecoder().Bytes(data)
	}
}

func declared(data []byte) string {
	if !bytes.HasPrefix(data, []byte("<?xml")) {
		return ""
	}
	for _, u := range usual {
		if bytes.HasPrefix(data, u) {
			return "utf-8"
		}
	}
	m := declaredEncoding().FindSubmatch(data[:min(len(data), 256)])
	if m == nil {
		return ""
	}
	return strings.ToLower(string(m[1]))
}

func checkUTF8(data []byte) ([]byte, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("text is not valid UTF-8")
	}
	return data, nil
}

func fromUTF16(data []byte, order binary.ByteOrder) ([]byte, error) {
	if len(data)%2 != 0 {
		return nil, fmt.Errorf("odd number of bytes in UTF-16")
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return []byte(string(utf16.Decode(units))), nil
}

func fromLatin1(data []byte) []byte {
	out := make([]byte, 0, len(data)+len(data)/8)
	for _, b := range data {
		out = utf8.AppendRune(out, rune(b))
	}
	return out
}
