package jwt

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wycheproofDir names a directory with json_web_signature_test.json and its
// kin, the testvectors_v1 of C2SP/wycheproof. CI does not set it; the tests of
// refused_test.go are what was learned from it.
const wycheproofDir = "PERIGEE_WYCHEPROOF"

type wycheproofFile struct {
	Groups []struct {
		Comment         string
		Private, Public json.RawMessage
		Tests           []struct {
			ID       int `json:"tcId"`
			Comment  string
			JWS, JWE serialized
			PT       string
			Result   string
		}
	} `json:"testGroups"`
}

// serialized is a token: text, or the text of a JSON serialization.
type serialized string

func (s *serialized) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		text = string(data)
	}
	*s = serialized(text)
	return nil
}

// otherwise are signature vectors whose result is not what is expected here.
var otherwise = map[int]string{
	346: "invalid", // the token has PS384, the key is for PS256 only
	350: "invalid", // the same
	367: "valid",   // the same text as 357, which is valid: the padding was lost
	370: "valid",   // the same
	372: "invalid", // "?" in base64 (RFC 7515 section 2)
	373: "invalid", // the same
}

func TestWycheproof(t *testing.T) {
	dir := os.Getenv(wycheproofDir)
	if dir == "" {
		t.Skip(wycheproofDir + " is not set")
	}
	for _, name := range []string{"signature", "encryption", "key", "crypto"} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, "json_web_"+name+"_test.json"))
			if err != nil {
				t.Fatal(err)
			}
			var f wycheproofFile
			if err := json.Unmarshal(data, &f); err != nil {
				t.Fatal(err)
			}
			accepted, refused, skipped, different := 0, 0, 0, 0
			for _, g := range f.Groups {
				for _, tc := range g.Tests {
					payload, err := openVector(g.Private, g.Public, string(tc.JWS), string(tc.JWE))
					if errors.Is(err, errUnsupported) && tc.Result == "valid" {
						t.Logf("%d %s %s: %v", tc.ID, g.Comment, tc.Comment, err)
						skipped++
						continue
					}
					want := tc.Result
					if o, ok := otherwise[tc.ID]; ok && name == "signature" {
						want = o
						different++
					}
					if err == nil {
						accepted++
					} else {
						refused++
					}
					if (want == "valid") != (err == nil) {
						t.Errorf("%d %s %s: %v, want %s", tc.ID, g.Comment, tc.Comment, err, want)
					}
					if pt, _ := hex.DecodeString(tc.PT); err == nil && tc.JWE != "" && tc.PT != "" && payload != string(pt) {
						t.Errorf("%d %s: payload %q", tc.ID, tc.Comment, payload)
					}
				}
			}
			t.Logf("%d accepted, %d refused, %d valid ones of algorithms that Apigee lacks passed over, %d judged otherwise", accepted, refused, skipped, different)
		})
	}
}

var errUnsupported = errors.New("not an algorithm of Apigee")

// openVector verifies or decrypts with the keys of a group as a policy would be
// configured for them.
func openVector(private, public json.RawMessage, jws, jwe string) (string, error) {
	raw := private
	if len(public) > 0 && jwe == "" {
		raw = public
	}
	var one struct {
		Kty, Alg, K, Kid, Use string
		Keys                  []json.RawMessage
	}
	if err := json.Unmarshal(raw, &one); err != nil {
		return "", err
	}
	if len(one.Keys) == 1 {
		if err := json.Unmarshal(one.Keys[0], &one); err != nil {
			return "", err
		}
	}
	token := jws + jwe
	tok, err := Parse(token)
	if err != nil {
		return "", err
	}
	v := &Verifier{Keys: &Keys{}}
	if jwe != "" {
		return decryptVector(v, tok, one.Alg, one.K, raw)
	}
	alg := one.Alg
	if len(one.Keys) > 1 {
		// Sets are for public keys only: one secret is taken by its id.
		return verifySecretSet(v, tok, one.Keys)
	}
	if alg == "" {
		alg, _ = tok.Header.Text("alg")
	}
	a := SignatureNamed(alg)
	if a == nil {
		return "", fmt.Errorf("%w: %s", errUnsupported, alg)
	}
	v.Signatures = []*Signature{a}
	h, err := v.read(nil, tok)
	if err != nil {
		return "", err
	}
	var k *Key
	if one.Kty == "oct" {
		k, err = secretVector(one.K, a)
	} else {
		k, err = setVector(raw, one.Kid, h, a)
	}
	if err != nil {
		return "", err
	}
	return tok.Payload, v.open(tok, h, k, "InvalidJws")
}

func secretVector(text string, a *Signature) (*Key, error) {
	b, err := decodeAnyBase64(text)
	if err != nil {
		return nil, err
	}
	k := secretKey(b)
	return k, a.fits(k)
}

func setVector(raw json.RawMessage, kid string, h headers, a *Signature) (*Key, error) {
	s, err := parseSet(string(raw))
	if err != nil {
		return nil, err
	}
	if h.kid == "" {
		h.kid = kid
	}
	return s.find(purpose{kid: h.kid, alg: h.alg, use: "sig", ops: []string{"verify"}, fit: a.fits})
}

func verifySecretSet(v *Verifier, tok *Token, keys []json.RawMessage) (string, error) {
	kid, _ := tok.Header.Text("kid")
	var found []string
	for _, raw := range keys {
		var k struct{ Kty, Kid, Alg, K string }
		if err := json.Unmarshal(raw, &k); err != nil || k.Kty != "oct" || k.Alg != "HS256" {
			return "", errors.New("the keys are of different types")
		}
		if k.Kid == kid {
			found = append(found, k.K)
		}
	}
	if len(found) != 1 {
		return "", errors.New("the id names no single key")
	}
	v.Signatures = []*Signature{SignatureNamed("HS256")}
	h, err := v.read(nil, tok)
	if err != nil {
		return "", err
	}
	k, err := secretVector(found[0], v.Signatures[0])
	if err != nil {
		return "", err
	}
	return tok.Payload, v.open(tok, h, k, "InvalidJws")
}

func decryptVector(v *Verifier, tok *Token, alg, secret string, raw json.RawMessage) (string, error) {
	ka := keyAlgorithmNamed(alg)
	if ka == nil && strings.HasSuffix(alg, "GCM") {
		ka = keyAlgorithmNamed("dir") // the key of RFC 7520 figure 136 has the content's algorithm
	}
	if ka == nil {
		return "", fmt.Errorf("%w: %s", errUnsupported, alg)
	}
	v.Encryption = &Encryption{key: ka}
	h, err := v.read(nil, tok)
	if err != nil {
		return "", err
	}
	var k *Key
	if secret != "" {
		b, err := decodeAnyBase64(secret)
		if err != nil {
			return "", err
		}
		k = secretKey(b)
	} else if k, err = privateVector(raw); err != nil {
		return "", err
	}
	if err := ka.fits(k, contentNamed(h.enc)); err != nil {
		return "", err
	}
	err = v.open(tok, h, k, "InvalidToken")
	return tok.Payload, err
}
