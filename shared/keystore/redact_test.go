package keystore_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/keystore"
)

// An Ed25519 key is a plain byte slice, which every printer would show.
func TestKeyNeverShows(t *testing.T) {
	a := mustImport(t, "secretive", "ed25519.pem", "ed25519.key")
	seed := a.Key().(ed25519.PrivateKey).Seed()
	upload := keystore.Upload{FileFormat: keystore.KeyCertFile, Alias: "secretive", KeyFile: seed, File: seed, Password: string(seed)}

	type around struct {
		Shown  keystore.Alias
		hidden keystore.Alias
	}
	values := []any{a, &a, around{a, a}, &around{a, a}, []keystore.Alias{a}, map[string]keystore.Alias{"a": a}, upload, &upload}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "value", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "value", v)
		_ = json.NewEncoder(&out).Encode(v)
		_ = xml.NewEncoder(&out).Encode(v)
	}
	_ = gob.NewEncoder(&out).Encode(a)
	wantAbsent(t, out.Bytes(), seed)
	if !strings.Contains(out.String(), `alias "secretive" KEY_CERT CN=api.example.com`) {
		t.Errorf("printed as %.200s", out.String())
	}
}

// wantAbsent looks for a secret in the forms in which printers show bytes.
func wantAbsent(t *testing.T, out, secret []byte) {
	t.Helper()
	list := strings.Trim(fmt.Sprintf("%v", secret), "[]")
	dumped := strings.Split(strings.TrimSuffix(strings.SplitN(fmt.Sprintf("%#v", secret), "{", 2)[1], "}"), ", ")
	for _, form := range []string{
		string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)), list,
		strings.ReplaceAll(list, " ", ","), strings.Join(dumped, ", "),
		base64.StdEncoding.EncodeToString(secret)[:40], hex.EncodeToString(slices.Clone(secret)[:12]),
	} {
		if bytes.Contains(out, []byte(form)) {
			t.Errorf("the key shows as %q", form)
		}
	}
}

func TestErrorsDoNotQuoteKeys(t *testing.T) {
	key := file(t, "rsa.key")
	damaged := bytes.Replace(key, []byte("M"), []byte("A"), 3)
	for _, k := range [][]byte{damaged, bytes.ReplaceAll(key, []byte("RSA PRIVATE"), []byte("EC PRIVATE"))} {
		_, err := keystore.Import(keystore.Upload{
			FileFormat: keystore.KeyCertFile, Alias: "a", CertFile: file(t, "rsa.pem"), KeyFile: k, Password: "pass-word",
		}, now)
		wantCode(t, err, keystore.Invalid)
		if err != nil && (len(err.Error()) > 200 || strings.Contains(err.Error(), "pass-word")) {
			t.Errorf("error %v", err)
		}
	}
}
