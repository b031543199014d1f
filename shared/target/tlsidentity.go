package target

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"strings"
	"time"
)

// checking is how far a target's certificate is verified.
type checking uint8

const (
	checkAll  checking = iota // chain, validity and name
	checkName                 // the name alone: Apigee without <SSLInfo>
	checkNone                 // <IgnoreValidationErrors>
)

// expectedName is <CommonName>: the name that the certificate must bear
// instead of the host's.
type expectedName struct {
	value    string
	wildcard bool
}

// tlsIdentity is everything that a TLS connection to a target depends on,
// resolved. It is immutable.
type tlsIdentity struct {
	check    checking
	cert     *tls.Certificate // for the target, nil for none
	roots    *x509.CertPool   // nil is the host's
	trusted  []*x509.Certificate
	min, max uint16
	suites   []uint16 // TLS 1.2
	suites13 []uint16 // TLS 1.3: only checked, Go always offers all
	expected expectedName
	resume   bool
	http2    bool
	cache    tls.ClientSessionCache
}

// fingerprint tells two identities apart. It covers the certificates
// themselves, so that a rotated alias is another identity.
func (id *tlsIdentity) fingerprint() string {
	h := sha256.New()
	word := func(n int) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	text := func(s string) { word(len(s)); h.Write([]byte(s)) }
	flag := func(b bool) {
		if b {
			word(1)
		} else {
			word(0)
		}
	}
	word(int(id.check))
	word(int(id.min)<<16 | int(id.max))
	flag(id.resume)
	flag(id.expected.wildcard)
	text(id.expected.value)
	for _, list := range [][]uint16{id.suites, id.suites13} {
		word(len(list))
		for _, s := range list {
			word(int(s))
		}
	}
	word(len(id.trusted))
	for _, c := range id.trusted {
		text(string(c.Raw))
	}
	flag(id.roots != nil)
	if id.cert != nil {
		word(len(id.cert.Certificate))
		for _, c := range id.cert.Certificate {
			text(string(c))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// config returns the configuration of one connection to host. All of them
// share the session cache.
func (id *tlsIdentity) config(host string, now func() time.Time) *tls.Config {
	c := &tls.Config{
		ServerName:         host, // crypto/tls sends no SNI for an IP address
		MinVersion:         id.min,
		MaxVersion:         id.max,
		CipherSuites:       id.suites,
		Time:               now,
		InsecureSkipVerify: true, // verify is called instead, for resumed sessions too
		VerifyConnection:   func(cs tls.ConnectionState) error { return id.verify(host, now(), cs) },
	}
	if id.resume {
		c.ClientSessionCache = id.cache
	}
	if id.http2 {
		c.NextProtos = []string{"h2"}
	}
	if id.cert != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.cert, nil }
	}
	return c
}

var (
	errNoCertificate = errors.New("no certificate")
	errSuite         = errors.New("handshake_failure")
	errNoHTTP2       = errors.New("no_application_protocol")
)

// verify judges the target's certificate.
func (id *tlsIdentity) verify(host string, now time.Time, cs tls.ConnectionState) error {
	if cs.Version == tls.VersionTLS13 && len(id.suites13) > 0 && !slices.Contains(id.suites13, cs.CipherSuite) {
		return errSuite
	}
	if id.http2 && cs.NegotiatedProtocol != "h2" {
		return errNoHTTP2
	}
	if id.check == checkNone {
		return nil
	}
	if len(cs.PeerCertificates) == 0 {
		return errNoCertificate
	}
	leaf := cs.PeerCertificates[0]
	if id.check == checkAll {
		opts := x509.VerifyOptions{Roots: id.roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
		for _, c := range cs.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		if _, err := leaf.Verify(opts); err != nil {
			return err
		}
	}
	return id.verifyName(host, leaf)
}

func (id *tlsIdentity) verifyName(host string, leaf *x509.Certificate) error {
	if id.expected.value != "" {
		return id.expected.verify(leaf)
	}
	if net.ParseIP(host) == nil && len(leaf.DNSNames) == 0 && matchName(leaf.Subject.CommonName, host) {
		return nil // as Java: the common name counts where there is no alternative name
	}
	if err := leaf.VerifyHostname(host); err != nil {
		return &nameError{host: host, leaf: leaf}
	}
	return nil
}

// nameError says that a certificate is somebody else's.
type nameError struct {
	host string
	leaf *x509.Certificate
}

func (e *nameError) Error() string {
	switch {
	case net.ParseIP(e.host) != nil && len(e.leaf.IPAddresses)+len(e.leaf.DNSNames) == 0:
		return "java.security.cert.CertificateException: No subject alternative names present"
	case net.ParseIP(e.host) != nil:
		return "java.security.cert.CertificateException: No subject alternative names matching IP address " + e.host + " found"
	case len(e.leaf.DNSNames) == 0:
		return "java.security.cert.CertificateException: No name matching " + e.host + " found"
	}
	return "java.security.cert.CertificateException: No subject alternative DNS name matching " + e.host + " found."
}

// verify compares the expected name with the common name and the DNS names of
// a certificate. With wildcardMatch a "*" on either side stands for one label.
func (n expectedName) verify(leaf *x509.Certificate) error {
	for _, name := range append([]string{leaf.Subject.CommonName}, leaf.DNSNames...) {
		if strings.EqualFold(name, n.value) {
			return nil
		}
		if n.wildcard && (matchName(name, n.value) || matchName(n.value, name)) {
			return nil
		}
	}
	return &nameError{host: n.value, leaf: leaf}
}

// matchName reports whether a name of a certificate, which may begin with
// "*.", covers host (RFC 6125 section 6.4.3).
func matchName(pattern, host string) bool {
	if pattern == "" || host == "" {
		return false
	}
	if strings.EqualFold(pattern, host) {
		return true
	}
	rest, ok := strings.CutPrefix(pattern, "*.")
	if !ok {
		return false
	}
	label, parent, ok := strings.Cut(host, ".")
	return ok && label != "" && strings.EqualFold(rest, parent)
}
