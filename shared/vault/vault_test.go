package vault_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/keystore/local"
	"github.com/perigee-gateway/perigee/shared/keystore/memory"
	"github.com/perigee-gateway/perigee/shared/keystore/secretmanager"
	"github.com/perigee-gateway/perigee/shared/keystore/secretmanager/secretmanagertest"
	"github.com/perigee-gateway/perigee/shared/vault"
)

func mustSeal(t *testing.T, c *vault.Cipher, plaintext, aad string) []byte {
	t.Helper()
	sealed, err := c.Seal(t.Context(), []byte(plaintext), []byte(aad))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(plaintext)) && plaintext != "" {
		t.Errorf("%q is in the clear", plaintext)
	}
	return sealed
}

func wantOpen(t *testing.T, c *vault.Cipher, sealed []byte, aad, want string) {
	t.Helper()
	got, err := c.Open(t.Context(), sealed, []byte(aad))
	if err != nil || string(got) != want {
		t.Errorf("open: %q, %v; want %q", got, err, want)
	}
}

func wantCode(t *testing.T, err error, code keystore.Code) {
	t.Helper()
	if err == nil || keystore.CodeOf(err) != code {
		t.Errorf("error %v, want one of code %q", err, code)
	}
}

func TestSealOpen(t *testing.T) {
	c := vault.New(memory.New())
	for _, plaintext := range []string{"", "secret", strings.Repeat("long", 1000)} {
		wantOpen(t, c, mustSeal(t, c, plaintext, "kvm/a"), "kvm/a", plaintext)
	}
	if one, two := mustSeal(t, c, "same", ""), mustSeal(t, c, "same", ""); bytes.Equal(one, two) {
		t.Error("two ciphertexts of one plaintext are equal")
	}
}

func TestAltered(t *testing.T) {
	c := vault.New(memory.New())
	sealed := mustSeal(t, c, "secret", "kvm/a")
	_, err := c.Open(t.Context(), sealed, []byte("kvm/b"))
	wantCode(t, err, keystore.Invalid)
	for i := range sealed {
		altered := slices.Clone(sealed)
		altered[i] ^= 1
		if _, err := c.Open(t.Context(), altered, []byte("kvm/a")); keystore.CodeOf(err) != keystore.Invalid {
			t.Errorf("byte %d altered: %v", i, err)
		}
	}
	for n := range sealed {
		_, err := c.Open(t.Context(), sealed[:n], []byte("kvm/a"))
		wantCode(t, err, keystore.Invalid)
	}
}

func TestOpenMakesNoKeyset(t *testing.T) {
	d := memory.New()
	sealed := mustSeal(t, vault.New(memory.New()), "secret", "")
	_, err := vault.New(d).Open(t.Context(), sealed, nil)
	wantCode(t, err, keystore.NotFound)
	_, _, err = d.Get(t.Context(), vault.DefaultName)
	wantCode(t, err, keystore.NotFound)
}

// All instances that start at once use the one keyset that won.
func TestFirstUseRace(t *testing.T) {
	dir, server := t.TempDir(), secretmanagertest.Start(t)
	for name, open := range map[string]func() keystore.Driver{
		"local":         func() keystore.Driver { return local.New(dir) },
		"secretmanager": func() keystore.Driver { return secretmanager.New("acme", nil, server.ClientOptions()...) },
	} {
		t.Run(name, func(t *testing.T) { firstUseRace(t, open) })
	}
}

func firstUseRace(t *testing.T, open func() keystore.Driver) {
	const n = 8
	ciphers, sealed := make([]*vault.Cipher, n), make([][]byte, n)
	var wg sync.WaitGroup
	for i := range n {
		d := open()
		t.Cleanup(func() { _ = d.Close() })
		ciphers[i] = vault.New(d)
		wg.Go(func() { sealed[i], _ = ciphers[i].Seal(t.Context(), []byte("plaintext"), nil) })
	}
	wg.Wait()
	for _, c := range ciphers {
		for _, s := range sealed {
			wantOpen(t, c, s, "", "plaintext")
		}
	}
	if ids, _, err := ciphers[0].Keys(t.Context()); err != nil || len(ids) != 1 {
		t.Errorf("keys %v, %v", ids, err)
	}
}

func TestRotate(t *testing.T) {
	ctx := t.Context()
	d := memory.New()
	here, there := vault.New(d), vault.New(d)
	old := mustSeal(t, here, "old", "")
	wantOpen(t, there, old, "", "old")

	id, err := here.Rotate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	fresh := mustSeal(t, here, "new", "")
	// An instance that has not heard of the rotation opens both.
	wantOpen(t, there, fresh, "", "new")
	wantOpen(t, there, old, "", "old")

	for _, test := range []struct {
		sealed []byte
		stale  bool
	}{{old, true}, {fresh, false}} {
		if stale, err := there.Stale(ctx, test.sealed); err != nil || stale != test.stale {
			t.Errorf("stale: %v, %v; want %v", stale, err, test.stale)
		}
	}
	ids, primary, err := here.Keys(ctx)
	if err != nil || len(ids) != 2 || primary != id || ids[1] != id {
		t.Fatalf("keys %v, primary %d, %v; want primary %d", ids, primary, err, id)
	}

	wantCode(t, here.Remove(ctx, primary), keystore.Invalid)
	if err := here.Remove(ctx, ids[0]); err != nil {
		t.Fatal(err)
	}
	_, err = here.Open(ctx, old, nil)
	wantCode(t, err, keystore.Invalid)
	wantOpen(t, here, fresh, "", "new")
	wantOpen(t, vault.New(d), fresh, "", "new")
}

func TestConcurrentRotations(t *testing.T) {
	d := memory.New()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := vault.New(d).Rotate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ids, _, err := vault.New(d).Keys(t.Context()); err != nil || len(ids) != 6 {
		t.Errorf("keys %v, %v", ids, err)
	}
}

func TestBrokenKeyset(t *testing.T) {
	d := memory.New()
	if _, err := d.Put(t.Context(), vault.DefaultName, []byte("not a keyset"), nil); err != nil {
		t.Fatal(err)
	}
	_, err := vault.New(d).Seal(t.Context(), []byte("plaintext"), nil)
	wantCode(t, err, keystore.Invalid)
}

// counting counts the reads of a driver, and fails them on demand.
type counting struct {
	keystore.Driver
	reads atomic.Int64
	fail  atomic.Bool
	late  atomic.Int64 // NotFound answers after which an existing secret shows
}

func (d *counting) Get(ctx context.Context, name string) ([]byte, string, error) {
	d.reads.Add(1)
	if d.fail.Load() {
		return nil, "", keystore.Errorf(keystore.Unavailable, "down")
	}
	if d.late.Add(-1) >= 0 {
		return nil, "", keystore.Errorf(keystore.NotFound, "not yet")
	}
	return d.Driver.Get(ctx, name)
}

func TestKeysetIsReadOnce(t *testing.T) {
	d := &counting{Driver: memory.New()}
	first := mustSeal(t, vault.New(d), "plaintext", "")
	d.reads.Store(0)
	c := vault.New(d)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { wantOpen(t, c, first, "", "plaintext") })
	}
	wg.Wait()
	if n := d.reads.Load(); n != 1 {
		t.Errorf("%d reads", n)
	}
}

func TestUnavailableIsRetried(t *testing.T) {
	d := &counting{Driver: memory.New()}
	c := vault.New(d)
	d.fail.Store(true)
	_, err := c.Seal(t.Context(), []byte("plaintext"), nil)
	wantCode(t, err, keystore.Unavailable)
	d.fail.Store(false)
	wantOpen(t, c, mustSeal(t, c, "plaintext", ""), "", "plaintext")
}

// Secret Manager may show a secret a moment after it refused to create it again.
func TestCreatedButNotYetVisible(t *testing.T) {
	d := &counting{Driver: memory.New()}
	sealed := mustSeal(t, vault.New(d), "plaintext", "")
	d.late.Store(2)
	c := vault.New(d)
	mustSeal(t, c, "another plaintext", "")
	wantOpen(t, c, sealed, "", "plaintext")
}

func BenchmarkSeal(b *testing.B) {
	c, data, aad := vault.New(memory.New()), make([]byte, 256), []byte("kvm/a")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Seal(b.Context(), data, aad); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	c, aad := vault.New(memory.New()), []byte("kvm/a")
	sealed, err := c.Seal(b.Context(), make([]byte, 256), aad)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Open(b.Context(), sealed, aad); err != nil {
			b.Fatal(err)
		}
	}
}
