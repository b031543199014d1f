package keystore_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/keystore/local"
	"github.com/perigee-gateway/perigee/shared/keystore/memory"
	"github.com/perigee-gateway/perigee/shared/keystore/secretmanager"
	"github.com/perigee-gateway/perigee/shared/keystore/secretmanager/secretmanagertest"
)

var scope = keystore.Scope{Organization: "acme", Environment: "test"}

// drivers are one of each engine.
func drivers(t *testing.T) map[string]keystore.Driver {
	sm := secretmanager.New("acme", nil, secretmanagertest.Start(t).ClientOptions()...)
	t.Cleanup(func() { _ = sm.Close() })
	return map[string]keystore.Driver{
		"memory": memory.New(), "local": local.New(t.TempDir()), "secretmanager": sm,
	}
}

// mustCreate stores an alias made of files of testdata.
func mustCreate(t *testing.T, s *keystore.Store, sc keystore.Scope, ks, alias, certFile, keyFile string) keystore.Alias {
	t.Helper()
	a, err := s.CreateAlias(t.Context(), sc, ks, mustImport(t, alias, certFile, keyFile))
	if err != nil || a.Version == "" {
		t.Fatalf("create %s: version %q, %v", alias, a.Version, err)
	}
	return a
}

func TestStore(t *testing.T) {
	for name, d := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			ctx, s := t.Context(), keystore.New(d)
			for alias, files := range map[string][2]string{
				"rsa": {"rsa-chain.pem", "rsa.key"}, "EC Key": {"ec.pem", "ec.key"},
				"Ed.25519 ü": {"ed25519.pem", "ed25519.key"}, "trust": {"ca.pem", ""},
			} {
				want := mustImport(t, alias, files[0], files[1])
				want, err := s.CreateAlias(ctx, scope, "My Store", want)
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.GetAlias(ctx, scope, "My Store", alias)
				if err != nil || got.Version != want.Version || got.Type() != want.Type() || !bytes.Equal(got.ChainPEM(), want.ChainPEM()) {
					t.Errorf("%s: got %v, %v", alias, got, err)
				}
				if want.Key() != nil && !sameKey(got, want) {
					t.Errorf("%s: another key", alias)
				}
				if _, err := s.CreateAlias(ctx, scope, "My Store", want); keystore.CodeOf(err) != keystore.AlreadyExists || err == nil {
					t.Errorf("%s: second create: %v", alias, err)
				}
			}
			names, err := s.ListAliases(ctx, scope, "My Store")
			if want := []string{"EC Key", "Ed.25519 ü", "rsa", "trust"}; err != nil || !slices.Equal(names, want) {
				t.Errorf("list %q, %v", names, err)
			}
			certs, err := s.Certificates(ctx, scope, "My Store")
			if err != nil || len(certs) != 5 {
				t.Errorf("%d certificates, %v", len(certs), err)
			}
			pool, err := s.TrustPool(ctx, scope, "My Store")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := mustImport(t, "x", "ec.pem", "").Certs[0].Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now}); err != nil {
				t.Error(err)
			}
			if err := s.DeleteAlias(ctx, scope, "My Store", "rsa"); err != nil {
				t.Error(err)
			}
			wantCode(t, s.DeleteAlias(ctx, scope, "My Store", "rsa"), keystore.NotFound)
			_, err = s.GetAlias(ctx, scope, "My Store", "rsa")
			wantCode(t, err, keystore.NotFound)
			if err := s.DeleteAliases(ctx, scope, "My Store"); err != nil {
				t.Error(err)
			}
			if names, err := s.ListAliases(ctx, scope, "My Store"); err != nil || len(names) != 0 {
				t.Errorf("list %q, %v", names, err)
			}
			_, err = s.TrustPool(ctx, scope, "My Store")
			wantCode(t, err, keystore.NotFound)
		})
	}
}

func sameKey(a, b keystore.Alias) bool {
	ka, err := x509.MarshalPKCS8PrivateKey(a.Key())
	if err != nil {
		return false
	}
	kb, err := x509.MarshalPKCS8PrivateKey(b.Key())
	return err == nil && bytes.Equal(ka, kb)
}

// The same names in another organization, environment or keystore are others.
func TestScopes(t *testing.T) {
	s := keystore.New(memory.New())
	places := []struct {
		scope    keystore.Scope
		keystore string
	}{
		{keystore.Scope{Organization: "acme", Environment: "test"}, "ks"},
		{keystore.Scope{Organization: "acme", Environment: "prod"}, "ks"},
		{keystore.Scope{Organization: "other", Environment: "test"}, "ks"},
		{keystore.Scope{Organization: "acme", Environment: "test"}, "KS"},
	}
	for _, p := range places {
		mustCreate(t, s, p.scope, p.keystore, "a", "rsa.pem", "rsa.key")
	}
	if err := s.DeleteAliases(t.Context(), places[0].scope, "ks"); err != nil {
		t.Fatal(err)
	}
	for i, p := range places {
		_, err := s.GetAlias(t.Context(), p.scope, p.keystore, "a")
		if gone := keystore.IsNotFound(err); gone != (i == 0) {
			t.Errorf("place %d: %v", i, err)
		}
	}
}

func TestNames(t *testing.T) {
	ctx, s := t.Context(), keystore.New(memory.New())
	a := mustImport(t, "a", "rsa.pem", "rsa.key")
	for _, test := range []struct {
		scope    keystore.Scope
		keystore string
		alias    string
	}{
		{keystore.Scope{Organization: "acme"}, "ks", "a"},
		{keystore.Scope{Environment: "test"}, "ks", "a"},
		{scope, "", "a"},
		{scope, "k/s", "a"},
		{scope, strings.Repeat("k", 256), "a"},
		{scope, "ks", ""},
		{scope, "ks", "a/b"},
		{scope, "ks", strings.Repeat("a", 256)},
		{scope, "ks", "\xff"},
	} {
		_, err := s.GetAlias(ctx, test.scope, test.keystore, test.alias)
		wantCode(t, err, keystore.Invalid)
		wantCode(t, s.DeleteAlias(ctx, test.scope, test.keystore, test.alias), keystore.Invalid)
		b := a
		b.Name = test.alias
		_, err = s.PutAlias(ctx, test.scope, test.keystore, b)
		wantCode(t, err, keystore.Invalid)
	}
	for _, alias := range []string{strings.Repeat("ü", 255), ".", "..", "a b", "%2F"} {
		b := a
		b.Name = alias
		if _, err := s.PutAlias(ctx, scope, strings.Repeat("k", 255), b); err != nil {
			t.Error(err)
		}
	}
	_, err := s.PutAlias(ctx, scope, "ks", keystore.Alias{Name: "empty"})
	wantCode(t, err, keystore.Invalid)
}

func TestTooLarge(t *testing.T) {
	cert := mustImport(t, "a", "rsa.pem", "").Certs[0]
	a, err := keystore.NewAlias("a", slices.Repeat([]*x509.Certificate{cert}, 60), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = keystore.New(memory.New()).CreateAlias(t.Context(), scope, "ks", a)
	wantCode(t, err, keystore.Invalid)
}

// renewed is another certificate of an alias's key.
func renewed(t *testing.T, a keystore.Alias, serial int64) []*x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "renewed"},
		NotBefore: now, NotAfter: now.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.Key().Public(), a.Key())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{cert}
}

func TestUpdateCertificates(t *testing.T) {
	for name, d := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			ctx, s := t.Context(), keystore.New(d)
			old := mustCreate(t, s, scope, "ks", "a", "rsa-chain.pem", "rsa.key")
			certs := renewed(t, old, 7)
			updated, err := s.UpdateCertificates(ctx, scope, "ks", "a", certs)
			if err != nil || updated.Version == old.Version || updated.Certs[0] != certs[0] || !sameKey(updated, old) {
				t.Fatalf("updated %v, %v", updated, err)
			}
			got, err := s.GetAliasVersion(ctx, scope, "ks", "a", updated.Version)
			if err != nil || len(got.Certs) != 1 || !got.Certs[0].Equal(certs[0]) || !sameKey(got, old) {
				t.Errorf("got %v, %v", got, err)
			}
			// A version not kept any more is the current one.
			for _, version := range []string{"", "none"} {
				if got, err := s.GetAliasVersion(ctx, scope, "ks", "a", version); err != nil || got.Version != updated.Version {
					t.Errorf("version %q: %v at %q, %v", version, got, got.Version, err)
				}
			}
			_, err = s.UpdateCertificates(ctx, scope, "ks", "a", mustImport(t, "x", "ec.pem", "").Certs)
			wantCode(t, err, keystore.Invalid)
			_, err = s.UpdateCertificates(ctx, scope, "ks", "none", certs)
			wantCode(t, err, keystore.NotFound)
			_, err = s.UpdateCertificates(ctx, scope, "ks", "a", nil)
			wantCode(t, err, keystore.Invalid)
		})
	}
}

func TestConcurrentUpdates(t *testing.T) {
	s := keystore.New(memory.New())
	a := mustCreate(t, s, scope, "ks", "a", "ec.pem", "ec.key")
	var wg sync.WaitGroup
	for i := range 5 {
		certs := renewed(t, a, int64(i+1))
		wg.Go(func() {
			if _, err := s.UpdateCertificates(t.Context(), scope, "ks", "a", certs); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A CERT may be replaced by any certificate.
func TestUpdateTrust(t *testing.T) {
	s := keystore.New(memory.New())
	mustCreate(t, s, scope, "ks", "a", "ca.pem", "")
	got, err := s.UpdateCertificates(t.Context(), scope, "ks", "a", mustImport(t, "x", "ec.pem", "").Certs)
	if err != nil || got.Type() != keystore.Cert {
		t.Errorf("%v, %v", got, err)
	}
}

// A secret that is not an alias is an error, never half an alias.
func TestBrokenSecret(t *testing.T) {
	d := memory.New()
	s := keystore.New(d)
	mustCreate(t, s, scope, "ks", "a", "rsa.pem", "rsa.key")
	rsaPEM, ecKey := file(t, "rsa.pem"), file(t, "ec.key")
	for _, broken := range [][]byte{
		[]byte("x"), rsaPEM[:100], append(slices.Clone(ecKey), rsaPEM...),
		append(slices.Clone(rsaPEM), "trailing"...), file(t, "rsa-pkcs8.key"),
	} {
		for e := range d.List(t.Context(), nil) {
			if _, err := d.Put(t.Context(), e.Name, broken, e.Labels); err != nil {
				t.Fatal(err)
			}
		}
		_, err := s.GetAlias(t.Context(), scope, "ks", "a")
		wantCode(t, err, keystore.Invalid)
	}
}

func TestNewAliasWithOtherKey(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, err = keystore.NewAlias("a", mustImport(t, "a", "rsa.pem", "").Certs, key)
	wantCode(t, err, keystore.Invalid)
}
