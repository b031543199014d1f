// Package vault encrypts what perigee stores in its database: encrypted key
// value maps, secrets of applications. The keys are a Tink keyset, kept as one
// secret by a keystore.Driver; the database alone is worth nothing to a thief.
//
// The keyset is made by the first Seal, read once and then kept. Its key is
// XAES-256-GCM, whose 192-bit random nonce sets no practical limit on the
// number of messages. Rotate adds a key for what is sealed from then on; other
// instances learn of it when they first open such a ciphertext.
//
// It is made for data perigee stored itself: opening a ciphertext of an unknown
// key costs a read of the keyset, so nothing a caller sends may be opened.
package vault

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/perigee-gateway/perigee/shared/keystore"
)

// DefaultName is the name of the keyset's secret unless WithName gives
// another.
const DefaultName = "vault/keyset"

// labels mark the secret in Secret Manager's console.
var labels = map[string]string{"kind": "keyset"}

// Cipher seals and opens. Make one and share it; it may be used concurrently.
type Cipher struct {
	driver  keystore.Driver
	name    string
	current atomic.Pointer[keys]
	loading chan struct{} // holds a token while one goroutine loads
}

// keys is a keyset as loaded; immutable.
type keys struct {
	handle  *keyset.Handle
	aead    tink.AEAD
	ids     map[uint32]bool
	primary uint32
	version string
}

// Option changes a Cipher.
type Option func(*Cipher)

// WithName sets the name of the keyset's secret; default DefaultName.
func WithName(name string) Option { return func(c *Cipher) { c.name = name } }

// New makes a Cipher whose keyset the driver keeps. It reads nothing yet.
func New(d keystore.Driver, opts ...Option) *Cipher {
	c := &Cipher{driver: d, name: DefaultName, loading: make(chan struct{}, 1)}
	for _, o := range opts {
		o(c)
	}
	return c
}

// Seal encrypts plaintext and binds it to aad, which Open must be given again:
// the place the ciphertext is stored at, so that it is worthless elsewhere.
func (c *Cipher) Seal(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	k, err := c.keys(ctx, create)
	if err != nil {
		return nil, err
	}
	sealed, err := k.aead.Encrypt(plaintext, aad)
	if err != nil {
		return nil, keystore.Errorf(keystore.Invalid, "vault: seal: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made. It is Invalid if the ciphertext or aad was
// altered, or its key removed, and NotFound if there is no keyset at all.
func (c *Cipher) Open(ctx context.Context, ciphertext, aad []byte) ([]byte, error) {
	id, ok := keyID(ciphertext)
	if !ok {
		return nil, errOpen()
	}
	k, err := c.keys(ctx, mustExist)
	if err != nil {
		return nil, err
	}
	if !k.ids[id] { // sealed since a rotation, perhaps
		if k, err = c.reload(ctx, k, mustExist); err != nil {
			return nil, err
		}
	}
	plaintext, err := k.aead.Decrypt(ciphertext, aad)
	if err != nil {
		return nil, errOpen()
	}
	return plaintext, nil
}

// errOpen says nothing of the reason, as the library does not.
func errOpen() error {
	return keystore.Errorf(keystore.Invalid, "vault: the ciphertext cannot be opened")
}

// Stale reports whether a ciphertext was sealed with a key that is no longer
// the primary one, so that it should be sealed again before the key's removal.
func (c *Cipher) Stale(ctx context.Context, ciphertext []byte) (bool, error) {
	k, err := c.keys(ctx, mustExist)
	if err != nil {
		return false, err
	}
	id, ok := keyID(ciphertext)
	return !ok || id != k.primary, nil
}

// Rotate adds a key and seals with it from now on. Older keys stay for what
// they sealed. It returns the new key's id.
func (c *Cipher) Rotate(ctx context.Context) (id uint32, err error) {
	err = c.change(ctx, func(m *keyset.Manager) error {
		if id, err = m.Add(template()); err != nil {
			return err
		}
		return m.SetPrimary(id)
	})
	return id, err
}

// Remove destroys a key that is not the primary one: what it sealed cannot be
// opened any more.
func (c *Cipher) Remove(ctx context.Context, id uint32) error {
	return c.change(ctx, func(m *keyset.Manager) error { return m.Delete(id) })
}

// Keys lists the ids of the keyset's keys, oldest first, and which of them
// seals.
func (c *Cipher) Keys(ctx context.Context) (ids []uint32, primary uint32, err error) {
	k, err := c.fetch(ctx, mustExist)
	if err != nil {
		return nil, 0, err
	}
	for _, info := range k.handle.KeysetInfo().GetKeyInfo() {
		ids = append(ids, info.GetKeyId())
	}
	return ids, k.primary, nil
}

// change edits the stored keyset; of concurrent edits none is lost.
func (c *Cipher) change(ctx context.Context, edit func(*keyset.Manager) error) error {
	for {
		k, err := c.fetch(ctx, create)
		if err != nil {
			return err
		}
		m := keyset.NewManagerFromHandle(k.handle)
		if err := edit(m); err != nil {
			return keystore.Errorf(keystore.Invalid, "vault: %w", err)
		}
		edited, err := m.Handle()
		if err != nil {
			return keystore.Errorf(keystore.Invalid, "vault: %w", err)
		}
		data, err := marshal(edited)
		if err != nil {
			return err
		}
		version, err := c.driver.Replace(ctx, c.name, k.version, data)
		if keystore.CodeOf(err) == keystore.Conflict {
			continue
		}
		if err != nil {
			return fmt.Errorf("vault: store the keyset: %w", err)
		}
		return c.adopt(data, version)
	}
}

func (c *Cipher) adopt(data []byte, version string) error {
	k, err := parse(data, version)
	if err == nil {
		c.current.Store(k)
	}
	return err
}

// absent says what to do without a keyset.
type absent bool

const (
	create    absent = true
	mustExist absent = false
)

// keys is the keyset at hand, loaded if it is the first use.
func (c *Cipher) keys(ctx context.Context, a absent) (*keys, error) {
	if k := c.current.Load(); k != nil {
		return k, nil
	}
	return c.reload(ctx, nil, a)
}

// reload loads the keyset, unless another goroutine has replaced old already.
func (c *Cipher) reload(ctx context.Context, old *keys, a absent) (*keys, error) {
	select {
	case c.loading <- struct{}{}:
		defer func() { <-c.loading }()
	case <-ctx.Done():
		return nil, keystore.Errorf(keystore.Unavailable, "vault: %w", ctx.Err())
	}
	if k := c.current.Load(); k != nil && k != old {
		return k, nil
	}
	k, err := c.fetch(ctx, a)
	if err != nil {
		return nil, err
	}
	c.current.Store(k)
	return k, nil
}

// fetch reads the stored keyset. Of several instances that find none, one
// creates it and all use that one.
func (c *Cipher) fetch(ctx context.Context, a absent) (*keys, error) {
	data, version, err := c.driver.Get(ctx, c.name)
	if a == create && keystore.IsNotFound(err) {
		data, version, err = c.create(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("vault: read the keyset: %w", err)
	}
	return parse(data, version)
}

// createTries bounds the reads after another instance has created the keyset:
// Secret Manager may show it a moment later.
const createTries = 6

func (c *Cipher) create(ctx context.Context) (data []byte, version string, err error) {
	handle, err := keyset.NewHandle(template())
	if err != nil {
		return nil, "", keystore.Errorf(keystore.Unavailable, "make a key: %w", err)
	}
	if data, err = marshal(handle); err != nil {
		return nil, "", err
	}
	version, err = c.driver.Create(ctx, c.name, data, labels)
	if keystore.CodeOf(err) != keystore.AlreadyExists {
		return data, version, err
	}
	for try := range createTries {
		data, version, err = c.driver.Get(ctx, c.name)
		if !keystore.IsNotFound(err) {
			return data, version, err
		}
		if err := sleep(ctx, 50*time.Millisecond<<try); err != nil {
			return nil, "", err
		}
	}
	return nil, "", keystore.Errorf(keystore.Unavailable, "the keyset exists but cannot be read yet")
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return keystore.Errorf(keystore.Unavailable, "%w", ctx.Err())
	}
}

var template = aead.XAES256GCM192BitNonceKeyTemplate

func marshal(h *keyset.Handle) ([]byte, error) {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&b)); err != nil {
		return nil, keystore.Errorf(keystore.Invalid, "vault: write the keyset: %w", err)
	}
	return b.Bytes(), nil
}

func parse(data []byte, version string) (*keys, error) {
	h, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(data)))
	if err != nil {
		return nil, keystore.Errorf(keystore.Invalid, "vault: the stored keyset is not one")
	}
	primitive, err := aead.New(h)
	if err != nil {
		return nil, keystore.Errorf(keystore.Invalid, "vault: the stored keyset cannot seal")
	}
	info := h.KeysetInfo()
	k := &keys{handle: h, aead: primitive, ids: map[uint32]bool{}, primary: info.GetPrimaryKeyId(), version: version}
	for _, key := range info.GetKeyInfo() {
		k.ids[key.GetKeyId()] = true
	}
	return k, nil
}

// keyID reads the id of the key from Tink's prefix: one byte of 1, then the
// id, big-endian (https://developers.google.com/tink/wire-format).
func keyID(ciphertext []byte) (uint32, bool) {
	if len(ciphertext) < 5 || ciphertext[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(ciphertext[1:]), true
}
