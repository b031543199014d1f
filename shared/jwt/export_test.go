package jwt

import (
	"encoding/json"

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
