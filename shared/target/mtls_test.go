package target

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"
	"time"
)

// remove takes an alias out of a keystore.
func (k *keystores) remove(store, alias string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.certs, store+"/"+alias)
	delete(k.keys, store+"/"+alias)
}

// TestMTLSMatrix calls targets that want a client certificate. Every kind of
// certificate a target may show, and every one that we may lack, with each
// combination of Enforce and IgnoreValidationErrors, over TLS 1.2 and 1.3: the
// exact status, fault code and text.
func TestMTLSMatrix(t *testing.T) {
	ca, stranger, clients := newAuthority(t, "CA"), newAuthority(t, "Stranger"), newAuthority(t, "Clients")
	expired := localhost()
	expired.NotBefore, expired.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	valid := issue(t, ca, localhost())
	shown := map[string]tls.Certificate{
		"valid": valid, "missing client certificate": valid, "revoked alias": valid,
		"expired":     issue(t, ca, expired),
		"self-signed": issue(t, nil, localhost()),
		"wrong host":  issue(t, ca, &x509.Certificate{Subject: pkix.Name{CommonName: "elsewhere"}, DNSNames: []string{"elsewhere.example.com"}}),
		"wrong CA":    issue(t, stranger, localhost()),
	}
	const (
		handshake = `503 messaging.adaptors.http.flow.SslHandshakeFailed "SSL Handshake failed `
		path      = handshake + `sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path to requested target"`
		name      = handshake + `java.security.cert.CertificateException: No subject alternative DNS name matching localhost found."`
		noKey     = `500 security.util.KeyAliasNotFound "KeyAlias revoked is not found in KeyStore store"`
	)
	late := handshake + "java.security.cert.CertificateExpiredException: NotAfter: " + expired.NotAfter.UTC().Format("Mon Jan 02 15:04:05 UTC 2006") + `"`
	alerts := map[uint16]string{
		tls.VersionTLS12: handshake + `Received fatal alert: handshake_failure"`,
		tls.VersionTLS13: handshake + `Received fatal alert: certificate_required"`,
	}
	const enforce, ignore = "<Enforce>true</Enforce>", "<IgnoreValidationErrors>true</IgnoreValidationErrors>"
	variants := []struct {
		name, ssl string
		exact     bool // as Apigee: no chain without Enforce and TrustStore
		chain     bool // is checked
		host      bool // is checked
	}{
		{"neither", "", false, true, true},
		{"neither, as Apigee", "", true, false, true},
		{"Enforce", enforce, false, true, true},
		{"Enforce, as Apigee", enforce, true, true, true},
		{"IgnoreValidationErrors", ignore, false, false, false},
		{"both", enforce + ignore, false, true, true},
		{"Enforce false", "<Enforce>false</Enforce>" + ignore, false, false, false},
	}
	rows := 0
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for kind, cert := range shown {
			port := serveTLS(t, cert, func(c *tls.Config) {
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clients.pool()
				c.MinVersion, c.MaxVersion = version, version
			})
			for _, v := range variants {
				rows++
				want := ""
				switch kind {
				case "expired":
					want = late
				case "self-signed", "wrong CA":
					want = path
				case "wrong host":
					want = name
				case "missing client certificate":
					want = alerts[version]
				case "revoked alias":
					want = noKey
				}
				if kind == "wrong host" && !v.host || kind != "wrong host" && (want == path || want == late) && !v.chain {
					want = ""
				}
				t.Run(fmt.Sprintf("%s/%s/%s", tls.VersionName(version), kind, v.name), func(t *testing.T) {
					keys := new(keystores)
					keys.put("store", "revoked", issue(t, clients, &x509.Certificate{Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}))
					ssl := "<Enabled>true</Enabled>" + v.ssl
					if kind != "missing client certificate" {
						ssl += "<ClientAuthEnabled>true</ClientAuthEnabled><KeyStore>store</KeyStore><KeyAlias>revoked</KeyAlias>"
					}
					p := newPool(t, Options{RootCAs: ca.pool(), Keys: keys, ExactTLS: v.exact})
					c := connect(t, p, "<URL>https://localhost:"+port+"</URL><SSLInfo>"+ssl+"</SSLInfo>")
					if kind == "revoked alias" { // it was good, and its connection is still open
						if err := send(c, call(t, "GET", "", "")); err != nil {
							t.Fatal(err)
						}
						keys.remove("store", "revoked")
					}
					fc := call(t, "GET", "", "")
					got := ""
					if err := send(c, fc); err != nil {
						got = short(faultOf(t, err))
					} else if text := fc.Response.Text(); !strings.HasPrefix(text, tls.VersionName(version)) || !strings.Contains(text, " client ") {
						t.Errorf("the target saw %s", text)
					}
					if got != want {
						t.Errorf("got %s, want %s", got, want)
					}
				})
			}
		}
	}
	if rows != 2*7*len(variants) {
		t.Errorf("%d rows", rows)
	}
}

// TestSessionResumption is allow.tls.session.resumption.
func TestSessionResumption(t *testing.T) {
	ca := newAuthority(t, "CA")
	port := serveTLS(t, issue(t, ca, localhost()), nil)
	for value, want := range map[string]bool{"": true, "true": true, "false": false} {
		properties := ""
		if value != "" {
			properties = withProperty("allow.tls.session.resumption", value)
		}
		p := newPool(t, Options{RootCAs: ca.pool()})
		c := connect(t, p, "<URL>https://localhost:"+port+"</URL><Properties>"+properties+"</Properties>")
		resumed := false
		for range 2 {
			fc := call(t, "GET", "", "")
			if err := send(c, fc); err != nil {
				t.Fatal(err)
			}
			fc.Response.Text()
			resumed = fc.Target.TLS.DidResume
			p.CloseIdle()
		}
		if resumed != want {
			t.Errorf("%q: the session is resumed: %v, want %v", value, resumed, want)
		}
	}
}

// TestSSLInfoVariables: the elements of <SSLInfo> that may hold variables are
// evaluated for each call.
func TestSSLInfoVariables(t *testing.T) {
	ca, clients := newAuthority(t, "CA"), newAuthority(t, "Clients")
	port := serveTLS(t, issue(t, ca, localhost()), func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, clients.pool() })
	plain := serve(t, echo)
	keys := new(keystores)
	client := func(name string) tls.Certificate {
		return issue(t, clients, &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	keys.put("s1", "k1", client("one"))
	keys.put("s2", "k2", client("two"))
	keys.put("trust", "ca", tls.Certificate{Leaf: ca.cert})
	keys.put("strangers", "ca", tls.Certificate{Leaf: newAuthority(t, "Stranger").cert})
	env := &environment{servers: map[string]Server{"tls": at("localhost:" + port), "plain": at(plain.URL)}}
	p := newPool(t, Options{Keys: keys, Servers: env})
	const ssl = "<SSLInfo><Enabled>{on}</Enabled><ClientAuthEnabled>{mutual}</ClientAuthEnabled><KeyStore>{store}</KeyStore><KeyAlias>{alias}</KeyAlias><TrustStore>{trust}</TrustStore></SSLInfo>"
	balanced := func(server string) string {
		return `<LoadBalancer><Server name="` + server + `"/></LoadBalancer>` + ssl
	}
	for _, tt := range []struct {
		name, conn string
		vars       string // on mutual store alias trust
		want       string
	}{
		{"one", balanced("tls"), "true true s1 k1 trust", " one "},
		{"two", balanced("tls"), "true true s2 k2 trust", " two "},
		{"no client certificate", balanced("tls"), "true false s1 k1 trust", " - "},
		{"other trust store", balanced("tls"), "true true s1 k1 strangers", "SslHandshakeFailed"},
		{"other alias", balanced("tls"), "true true s1 k2 trust", "KeyAliasNotFound"},
		{"off", balanced("plain"), "false true s1 k1 trust", "GET /"},
		{"https decides", "<URL>https://localhost:" + port + "</URL>" + strings.ReplaceAll(ssl, "{on}", "true"), "true true s2 k2 trust", " two "},
		{"http decides", "<URL>" + plain.URL + "</URL>" + ssl, "true true s1 k1 trust", "GET /"},
	} {
		c := connect(t, p, tt.conn)
		fc := call(t, "GET", "", "")
		for i, v := range strings.Fields(tt.vars) {
			fc.PutText([]string{"on", "mutual", "store", "alias", "trust"}[i], v)
		}
		got := ""
		if err := send(c, fc); err != nil {
			got = short(faultOf(t, err))
		} else {
			got = fc.Response.Text()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
