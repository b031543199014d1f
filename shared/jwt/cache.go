package jwt

import (
	"crypto/sha256"
	"sync"

	"github.com/maypok86/otter/v2"
)

// Bounds of the cache of verified tokens, of all policies together.
const (
	maxCachedToken = 16 << 10 // bytes of a token; longer ones are verified each time
	maxCachedTotal = 32 << 20 // bytes, about
)

// verifiedTokens keeps tokens whose signature was verified, by the SHA-256 of
// the policy's salt and the token. A MAC is as quick as the look-up, but reading
// the JSON again is not. An entry says nothing of expiry and claims, which are
// checked at each use, and counts only while the policy's key has the same
// fingerprint.
var verifiedTokens = sync.OnceValue(func() *otter.Cache[[sha256.Size]byte, *verified] {
	return otter.Must(&otter.Options[[sha256.Size]byte, *verified]{
		MaximumWeight: maxCachedTotal,
		Weigher:       func(_ [sha256.Size]byte, d *verified) uint32 { return d.weight },
	})
})

// cacheID is the token's place in the cache; ok is false if it is not kept.
func (v *JWTVerifier) cacheID(token string) (id [sha256.Size]byte, ok bool) {
	if v.Encryption != nil || len(token) > maxCachedToken {
		return id, false
	}
	b := idBuffers.Get().(*[]byte)
	*b = append(append((*b)[:0], v.salt[:]...), token...)
	id = sha256.Sum256(*b)
	idBuffers.Put(b)
	return id, true
}

// idBuffers are lent to cacheID; none is larger than maxCachedToken by much.
var idBuffers = sync.Pool{New: func() any { return new([]byte) }}

func seen(id [sha256.Size]byte) *verified {
	d, _ := verifiedTokens().GetIfPresent(id)
	return d
}

// remember keeps d. The text of the claims is held about twice over, and each
// variable has a name.
func remember(id [sha256.Size]byte, d *verified, size int) {
	d.weight = uint32(3*size + 160*len(d.vars) + 512)
	verifiedTokens().Set(id, d)
}

// forget drops a token that will not be good again.
func forget(id [sha256.Size]byte) { verifiedTokens().Invalidate(id) }
