package target

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// address is where a request goes. Path and query stay as written, byte for
// byte, unless they hold bytes that HTTP does not allow.
type address struct {
	scheme string // "http" or "https"
	host   string // host, with port where the URL has one, as the Host header says it
	name   string // host without port and brackets
	port   int
	path   string // percent-encoded; "" or with leading "/"
	query  string // without "?"
}

var (
	errNotAbsolute = errors.New("not an absolute http or https URL")
	errHost        = errors.New("host is missing or malformed")
	errPort        = errors.New("port is not a number from 1 to 65535")
)

// parseAddress splits an absolute URL. A fragment is dropped: it is never sent
// (RFC 9110 section 7.1).
func parseAddress(raw string) (address, error) {
	raw = strings.TrimSpace(raw)
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return address{}, errNotAbsolute
	}
	a := address{}
	switch {
	case strings.EqualFold(scheme, "https"):
		a.scheme, a.port = "https", 443
	case strings.EqualFold(scheme, "http"):
		a.scheme, a.port = "http", 80
	default:
		return address{}, errNotAbsolute
	}
	if i := strings.IndexByte(rest, '#'); i >= 0 {
		rest = rest[:i]
	}
	a.host = rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		a.host, rest = rest[:i], rest[i:]
		a.path, a.query, _ = strings.Cut(rest, "?")
	}
	return a, a.splitHost()
}

// splitHost checks the authority and takes the port off it.
func (a *address) splitHost() error {
	if !validHost(a.host) {
		return errHost
	}
	name, port := a.host, ""
	if i := strings.LastIndexByte(a.host, ':'); i > strings.LastIndexByte(a.host, ']') {
		name, port = a.host[:i], a.host[i+1:]
		if port == "" {
			a.host = name
		}
	}
	if n := len(name); n > 1 && name[0] == '[' && name[n-1] == ']' {
		name = name[1 : n-1]
		if net.ParseIP(name) == nil {
			return errHost
		}
	} else if strings.ContainsAny(name, ":[]") {
		return errHost
	}
	if name == "" {
		return errHost
	}
	a.name = name
	if port == "" {
		return nil
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return errPort
	}
	a.port = n
	return nil
}

// validHost says whether an authority holds only bytes that may stand in one.
// User information is refused: credentials belong in a header.
func validHost(host string) bool {
	for i := 0; i < len(host); i++ {
		switch c := host[i]; {
		case c <= ' ' || c == 0x7f || strings.IndexByte(`@/\?#"<>^{}|`+"`", c) >= 0:
			return false
		}
	}
	return host != ""
}

// serverAddress is the address of a TargetServer.
func serverAddress(scheme, host string, port int) (address, error) {
	a := address{scheme: scheme, host: strings.TrimSpace(host)}
	if strings.Contains(a.host, ":") && net.ParseIP(a.host) != nil {
		a.host = "[" + a.host + "]"
	}
	if err := a.splitHost(); err != nil {
		return address{}, err
	}
	usual := 80
	if scheme == "https" {
		usual = 443
	}
	switch {
	case port == 0:
		if a.port == 0 {
			a.port = usual
		}
	case port < 0 || port > 65535:
		return address{}, errPort
	default:
		a.port = port
		if port != usual {
			a.host = joinPort(a.name, port)
		}
	}
	return a, nil
}

func joinPort(name string, port int) string {
	return net.JoinHostPort(name, strconv.Itoa(port))
}

// url returns the address as target.url reads.
func (a *address) url() string {
	if a.query == "" {
		return a.scheme + "://" + a.host + a.path
	}
	return a.scheme + "://" + a.host + a.path + "?" + a.query
}

// joinPath appends the path suffix of the call; where both sides have a slash
// one is enough.
func joinPath(base, suffix string) string {
	switch {
	case suffix == "":
		return base
	case base == "":
		if suffix[0] != '/' {
			return "/" + suffix
		}
		return suffix
	case base[len(base)-1] == '/' && suffix[0] == '/':
		return base + suffix[1:]
	case base[len(base)-1] != '/' && suffix[0] != '/':
		return base + "/" + suffix
	}
	return base + suffix
}

// joinQuery puts the call's parameters after the URL's own.
func joinQuery(own, call string) string {
	switch {
	case own == "":
		return call
	case call == "":
		return own
	}
	return own + "&" + call
}

// checkPath refuses what would end the request line early: a blank, a control
// character, a question mark. Apigee answers protocol.http.BadPath.
func checkPath(path string) error {
	for i := 0; i < len(path); i++ {
		if c := path[i]; c <= ' ' || c == 0x7f || c == '?' || c == '#' {
			return fmt.Errorf("%q in the path of the target URL", c)
		}
	}
	return nil
}

// encodeUnsafe percent-encodes bytes that may not be sent in a path or query
// (blanks, control characters, anything beyond ASCII) and leaves the rest,
// existing escapes included.
func encodeUnsafe(s string) string {
	i := 0
	for i < len(s) && safeByte(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, i, len(s)+8)
	copy(b, s)
	for ; i < len(s); i++ {
		if c := s[i]; safeByte(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func safeByte(c byte) bool { return c > ' ' && c < 0x7f && c != '#' }
