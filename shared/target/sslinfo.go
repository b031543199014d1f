package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// text is a literal or a message template.
type text struct {
	literal  string
	template *template.Template // nil: literal
}

func newText(env *policy.Env, pos bundle.Pos, src string) text {
	src = strings.TrimSpace(src)
	if !strings.Contains(src, "{") {
		return text{literal: src}
	}
	if env == nil { // of a TargetServer: templates are not evaluated there
		return text{literal: src}
	}
	t := env.Template(pos, src)
	if s, ok := t.Constant(); ok {
		return text{literal: s}
	}
	return text{template: t}
}

// value evaluates the text. fc may be nil only for literals and constants.
func (t text) value(fc *flow.Context) (string, error) {
	if t.template == nil {
		return t.literal, nil
	}
	if fc == nil {
		return "", &template.Unresolved{Name: t.template.Source()}
	}
	s, err := t.template.Expand(fc, false)
	return strings.TrimSpace(s), err
}

func (t text) empty() bool { return t.template == nil && t.literal == "" }

// sslInfo is a compiled <SSLInfo>. The identity it resolves to is kept until
// one of its inputs changes: a certificate, a trust store, a variable.
type sslInfo struct {
	src                                                 *bundle.SSLInfo
	enabled, clientAuth, keyStore, keyAlias, trustStore text
	enforce, ignore                                     bool
	min, max                                            uint16
	suites, suites13                                    []uint16
	common                                              expectedName
	impossible                                          string // why no connection can be made: an old protocol, an unknown cipher

	latest atomic.Pointer[resolved]
}

// resolved is an identity and what it was made from.
type resolved struct {
	check     checking
	expected  expectedName
	key       []*x509.Certificate
	trust     []*x509.Certificate
	keyAlias  string // names as evaluated
	trustName string
	transport identity
	rt        roundTripper
}

// newSSLInfo compiles s, which may be nil. Without env, for a TargetServer,
// what is wrong fails the calls instead of the deployment.
func newSSLInfo(s *bundle.SSLInfo, env *policy.Env) *sslInfo {
	c := &sslInfo{min: tls.VersionTLS12}
	if s == nil {
		return c
	}
	c.src = s
	c.enabled, c.clientAuth = newText(env, s.Pos, s.Enabled), newText(env, s.Pos, s.ClientAuthEnabled)
	c.keyStore, c.keyAlias = newText(env, s.Pos, s.KeyStore), newText(env, s.Pos, s.KeyAlias)
	c.trustStore = newText(env, s.Pos, s.TrustStore)
	c.enforce, c.ignore = s.Enforce, s.IgnoreValidationErrors
	if s.CommonName != nil {
		c.common = expectedName{strings.TrimSpace(s.CommonName.Value), s.CommonName.WildcardMatch}
	}
	report := func(string, ...any) {}
	if env != nil {
		report = func(format string, args ...any) { env.Errorf(s.Pos, format, args...) }
	}
	c.versions(s.Protocols, report)
	c.ciphers(s, env, report)
	if env != nil && strings.TrimSpace(s.CRLStore) != "" {
		env.Warnf(s.Pos, "<CRLStore> has no effect: revocation lists are not checked")
	}
	return c
}

// versions keeps TLS 1.2 and 1.3 of the protocols named; older ones are gone.
func (c *sslInfo) versions(protocols []string, report func(string, ...any)) {
	has12, has13, named := false, false, false
	for _, p := range protocols {
		switch strings.TrimSpace(p) {
		case "":
			continue
		case "TLSv1.2":
			has12 = true
		case "TLSv1.3":
			has13 = true
		}
		named = true
	}
	switch {
	case !named || has12 && has13:
	case has12:
		c.max = tls.VersionTLS12
	case has13:
		c.min = tls.VersionTLS13
	default:
		c.impossible = "No appropriate protocol (protocol is disabled or cipher suites are inappropriate)"
		report("<Protocols> names neither TLSv1.2 nor TLSv1.3, and no other is offered")
	}
}

func (c *sslInfo) ciphers(s *bundle.SSLInfo, env *policy.Env, report func(string, ...any)) {
	var names []string
	for _, n := range s.Ciphers {
		if n = strings.TrimSpace(n); n != "" {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return
	}
	var unknown []string
	c.suites, c.suites13, unknown = cipherSuites(names)
	use12 := len(c.suites) > 0 && c.min <= tls.VersionTLS12
	use13 := len(c.suites13) > 0 && c.max == 0
	switch {
	case !use12 && !use13:
		c.impossible = "No appropriate protocol (protocol is disabled or cipher suites are inappropriate)"
		report("none of <Ciphers> is offered: %s", strings.Join(names, ", "))
	case !use12:
		c.min = tls.VersionTLS13
	case !use13:
		c.max = tls.VersionTLS12
	}
	if len(unknown) > 0 && c.impossible == "" && env != nil {
		env.Warnf(s.Pos, "<Ciphers> that are not offered: %s", strings.Join(unknown, ", "))
	}
}

// on reports whether the block asks for TLS where no URL says so.
func (c *sslInfo) on(fc *flow.Context) (bool, error) {
	s, err := c.enabled.value(fc)
	if err != nil {
		return false, err
	}
	b, _ := bundle.ParseBool(s)
	return b, nil
}

// inert reports whether the block is switched off for good and yet says how to
// verify: most likely a mistake.
func (c *sslInfo) inert() bool {
	if c.src == nil || c.enabled.template != nil {
		return false
	}
	on, _ := bundle.ParseBool(c.enabled.literal)
	return !on && (!c.trustStore.empty() || !c.keyStore.empty() || c.enforce)
}

// checking decides how far to verify. The environment's features.SSLInfo.Enforce
// wins over <Enforce>, <Enforce> over <IgnoreValidationErrors>.
func (c *sslInfo) checking(opts *Options) checking {
	enforce := c.enforce
	if opts.Enforce != nil {
		if v, set := opts.Enforce(); set {
			enforce = v
		}
	}
	switch {
	case enforce:
		return checkAll
	case c.ignore:
		return checkNone
	case c.trustStore.empty() && opts.ExactTLS:
		return checkName
	}
	return checkAll
}

// client returns the connections for calls with this TLS configuration. base
// is the rest of the identity, name what a policy expects in the certificate
// instead of <CommonName>. It costs few comparisons while nothing changed.
func (c *sslInfo) client(ctx context.Context, fc *flow.Context, p *Pool, base identity, resume bool, name string) (roundTripper, error) {
	if c.impossible != "" {
		return nil, sslFault(c.impossible)
	}
	var now resolved // stays on the stack while nothing changed
	now.check, now.expected = c.checking(&p.opts), c.common
	if name != "" {
		now.expected.value = name
	}
	if err := c.certificates(ctx, fc, p, &now); err != nil {
		return nil, err
	}
	old := c.latest.Load()
	if old != nil && old.transport.sameBase(base) && old.same(&now) {
		return old.rt, nil
	}
	id, err := c.identity(ctx, fc, p, &now, base, resume)
	if err != nil {
		return nil, err
	}
	base.tls = id.fingerprint()
	now.transport, now.rt = base, p.transport(base, id)
	kept := now
	c.latest.Store(&kept)
	if old != nil && old.transport != base && old.rotated(&kept) {
		p.transports.retire(old.transport)
	}
	return kept.rt, nil
}

// sameBase reports whether two identities differ in TLS only.
func (i identity) sameBase(j identity) bool {
	i.tls, j.tls = "", ""
	return i == j
}

// rotated reports whether o has the same names as r: if it is another identity
// all the same, a certificate was replaced.
func (r *resolved) rotated(o *resolved) bool {
	return r.check == o.check && r.expected == o.expected && r.keyAlias == o.keyAlias &&
		r.trustName == o.trustName && r.transport.sameBase(o.transport)
}

func (r *resolved) same(o *resolved) bool {
	return r.check == o.check && r.expected == o.expected && r.keyAlias == o.keyAlias &&
		sameCertificates(r.key, o.key) && sameCertificates(r.trust, o.trust)
}

func sameCertificates(a, b []*x509.Certificate) bool {
	return slices.EqualFunc(a, b, func(x, y *x509.Certificate) bool { return x == y || x.Equal(y) })
}

// certificates looks up what the connection depends on.
func (c *sslInfo) certificates(ctx context.Context, fc *flow.Context, p *Pool, r *resolved) error {
	if !c.trustStore.empty() {
		name, err := c.trustStore.value(fc)
		if err != nil {
			return unresolved(err)
		}
		r.trustName = name
		if r.trust, err = p.trusted(ctx, name); err != nil {
			return err
		}
	}
	auth, err := c.clientAuth.value(fc)
	if err != nil {
		return unresolved(err)
	}
	if on, _ := bundle.ParseBool(auth); !on {
		return nil
	}
	store, alias, err := c.keyNames(fc)
	if err != nil {
		return err
	}
	r.keyAlias = store + "/" + alias
	if p.opts.Keys == nil {
		return keyFault(store, alias, nil)
	}
	if r.key, err = p.opts.Keys.Certificates(ctx, store, alias); err != nil || len(r.key) == 0 {
		return keyFault(store, alias, err)
	}
	return nil
}

func (c *sslInfo) keyNames(fc *flow.Context) (store, alias string, err error) {
	if store, err = c.keyStore.value(fc); err != nil {
		return "", "", unresolved(err)
	}
	if alias, err = c.keyAlias.value(fc); err != nil {
		return "", "", unresolved(err)
	}
	return store, alias, nil
}

func (p *Pool) trusted(ctx context.Context, store string) ([]*x509.Certificate, error) {
	if p.opts.Keys == nil {
		return nil, trustFault(store, nil)
	}
	certs, err := p.opts.Keys.Certificates(ctx, store, "")
	if err != nil || len(certs) == 0 {
		return nil, trustFault(store, err)
	}
	return certs, nil
}

// identity makes the identity from what was looked up.
func (c *sslInfo) identity(ctx context.Context, fc *flow.Context, p *Pool, r *resolved, base identity, resume bool) (*tlsIdentity, error) {
	id := &tlsIdentity{
		check: r.check, expected: r.expected, trusted: r.trust, roots: p.opts.RootCAs,
		min: c.min, max: c.max, suites: c.suites, suites13: c.suites13, resume: resume, http2: base.http2,
		cache: tls.NewLRUClientSessionCache(256),
	}
	if len(r.trust) > 0 {
		id.roots = x509.NewCertPool()
		for _, cert := range r.trust {
			id.roots.AddCert(cert)
		}
	}
	if len(r.key) == 0 {
		return id, nil
	}
	store, alias, err := c.keyNames(fc)
	if err != nil {
		return nil, err
	}
	signer, chain, err := p.opts.Keys.Key(ctx, store, alias)
	if err != nil || signer == nil || len(chain) == 0 {
		return nil, keyFault(store, alias, err)
	}
	id.cert = &tls.Certificate{PrivateKey: signer, Leaf: chain[0]}
	for _, cert := range chain {
		id.cert.Certificate = append(id.cert.Certificate, cert.Raw)
	}
	return id, nil
}

func keyFault(store, alias string, err error) *fault.Fault {
	f := fault.New("security.util.KeyAliasNotFound", 500, "KeyAlias "+alias+" is not found in KeyStore "+store)
	f.Target, f.Cause = true, err
	return f
}

func trustFault(store string, err error) *fault.Fault {
	f := fault.New("security.util.TrustStoreWithNoCertificates", 500, "TrustStore "+store+" has no certificates")
	f.Target, f.Cause = true, err
	return f
}
