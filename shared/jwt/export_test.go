package jwt

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// privateVector reads a private JWK, which policies never do.
func privateVector(raw json.RawMessage) (*Key, error) {
	k, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, err
	}
	var priv any
	if err := jwk.Export(k, &priv); err != nil {
		return nil, err
	}
	return privateKey(priv)
}

// testFile is a file of testdata.
func testFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
