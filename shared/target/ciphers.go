package target

import "crypto/tls"

// suites are the cipher suites that Go offers, by the names of the JVM. Those
// are IANA's, but for the older suites that the JVM calls SSL_.
func suiteIDs() map[string]uint16 {
	t := make(map[string]uint16, 32)
	for _, list := range [][]*tls.CipherSuite{tls.CipherSuites(), tls.InsecureCipherSuites()} {
		for _, s := range list {
			t[s.Name] = s.ID
		}
	}
	for jvm, iana := range map[string]string{
		"SSL_RSA_WITH_RC4_128_SHA":               "TLS_RSA_WITH_RC4_128_SHA",
		"SSL_RSA_WITH_3DES_EDE_CBC_SHA":          "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
		"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305":   "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
		"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
	} {
		if id, ok := t[iana]; ok {
			t[jvm] = id
		}
	}
	return t
}

// cipherSuites splits the names of <Ciphers> into suites of TLS 1.2, suites of
// TLS 1.3, and names that Go does not offer.
func cipherSuites(names []string) (tls12, tls13 []uint16, unknown []string) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	ids := suiteIDs()
	for _, n := range names {
		id, ok := ids[n]
		switch {
		case !ok:
			unknown = append(unknown, n)
		case id == tls.TLS_AES_128_GCM_SHA256 || id == tls.TLS_AES_256_GCM_SHA384 || id == tls.TLS_CHACHA20_POLY1305_SHA256:
			tls13 = append(tls13, id)
		default:
			tls12 = append(tls12, id)
		}
	}
	return tls12, tls13, unknown
}
