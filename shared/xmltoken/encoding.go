package xmltoken

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// maxDeclaration bounds the XML declaration, in bytes.
const maxDeclaration = 256

// ErrEncoding says that the bytes are not what their encoding says.
var ErrEncoding = errors.New("text is not in its encoding")

// Decode returns a document in UTF-8 and without byte order mark. The encoding
// is told by a byte order mark, else by the XML declaration, else by charset,
// which may be empty, else it is UTF-8. A document that is UTF-8 is not copied.
func Decode(doc []byte, charset string) ([]byte, error) {
	switch {
	case bytes.HasPrefix(doc, []byte("\xef\xbb\xbf")):
		return doc[3:], nil
	case bytes.HasPrefix(doc, []byte("\xff\xfe")), bytes.HasPrefix(doc, []byte("<\x00")):
		return convert(doc, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM))
	case bytes.HasPrefix(doc, []byte("\xfe\xff")), bytes.HasPrefix(doc, []byte("\x00<")):
		return convert(doc, unicode.UTF16(unicode.BigEndian, unicode.UseBOM))
	}
	name := declared(doc)
	if name == "" {
		name = charset
	}
	switch strings.ToLower(name) {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be":
		return doc, nil // of UTF-16 the first bytes would have told
	}
	enc, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("encoding %q is not supported", name)
	}
	return convert(doc, enc)
}

func convert(doc []byte, enc encoding.Encoding) ([]byte, error) {
	out, err := enc.NewDecoder().Bytes(doc)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrEncoding, err)
	}
	return out, nil
}

// declaration is what Redeclare writes.
const declaration = `<?xml version="1.0" encoding="UTF-8"?>`

// Redeclare makes the XML declaration of a document that is UTF-8 say so, whatever
// encoding the document was in when it was declared; without a declaration the
// document stays as it is.
func Redeclare(doc []byte) []byte {
	doc = bytes.TrimPrefix(doc, []byte("\xef\xbb\xbf"))
	if !bytes.HasPrefix(doc, []byte("<?xml")) {
		return doc
	}
	end := bytes.Index(doc[:min(len(doc), maxDeclaration)], []byte("?>"))
	if end < 0 || !validDeclaration(doc[len("<?xml"):end]) {
		return doc
	}
	return append([]byte(declaration), doc[end+len("?>"):]...)
}

// declared returns the encoding that the XML declaration names.
func declared(doc []byte) string {
	if !bytes.HasPrefix(doc, []byte("<?xml")) {
		return ""
	}
	head, _, ok := bytes.Cut(doc[:min(len(doc), maxDeclaration)], []byte("?>"))
	if !ok {
		return ""
	}
	for rest := head[len("<?xml"):]; ; {
		var name, value []byte
		if name, value, rest, ok = pseudoAttr(rest); !ok {
			return ""
		}
		if string(name) == "encoding" {
			return string(value)
		}
	}
}

// validDeclaration checks what stands between <?xml and ?>.
func validDeclaration(decl []byte) bool {
	order := []string{"version", "encoding", "standalone"}
	for first := true; ; first = false {
		if len(bytes.TrimLeft(decl, " \t\r\n")) == 0 {
			return !first
		}
		name, value, rest, ok := pseudoAttr(decl)
		if !ok || first && string(name) != "version" {
			return false
		}
		for len(order) > 0 && order[0] != string(name) {
			order = order[1:]
		}
		if len(order) == 0 || !validPseudo(string(name), value) {
			return false
		}
		order = order[1:]
		decl = rest
	}
}

func validPseudo(name string, value []byte) bool {
	switch name {
	case "version":
		return bytes.HasPrefix(value, []byte("1.")) && len(value) > 2
	case "standalone":
		return string(value) == "yes" || string(value) == "no"
	}
	return len(value) > 0
}

// pseudoAttr reads one name="value" of the XML declaration.
func pseudoAttr(b []byte) (name, value, rest []byte, ok bool) {
	trimmed := bytes.TrimLeft(b, " \t\r\n")
	if len(trimmed) == len(b) {
		return nil, nil, nil, false
	}
	name, rest, ok = bytes.Cut(trimmed, []byte("="))
	rest = bytes.TrimLeft(rest, " \t\r\n")
	if !ok || len(rest) < 2 || rest[0] != '"' && rest[0] != '\'' {
		return nil, nil, nil, false
	}
	value, rest, ok = bytes.Cut(rest[1:], rest[:1])
	return bytes.TrimRight(name, " \t\r\n"), value, rest, ok
}
