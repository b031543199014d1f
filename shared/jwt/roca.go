package jwt

import "math/big"

// rocaPrimes are the primes by which Infineon's generator gives itself away.
var rocaPrimes = []int64{
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
	101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
}

// hasROCA reports whether a modulus is a power of 65537 modulo each of the
// primes: moduli with the ROCA weakness (CVE-2017-15361) are, others by chance
// once in about 2^27.
func hasROCA(n *big.Int) bool {
	var r big.Int
	for _, p := range rocaPrimes {
		if !isPower(r.Mod(n, big.NewInt(p)).Int64(), p) {
			return false
		}
	}
	return true
}

// isPower reports whether x is a power of 65537 modulo p.
func isPower(x, p int64) bool {
	g := 65537 % p
	for v, i := int64(1), int64(0); i < p; i++ {
		if v == x {
			return true
		}
		v = v * g % p
	}
	return false
}
