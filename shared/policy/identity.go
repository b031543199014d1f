package policy

import (
	"context"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
)

// Credentials verifies API keys against apps, developers and products.
type Credentials interface {
	// VerifyKey checks key for a call. Refusals are *fault.Fault with the codes
	// of VerifyAPIKey; a store that cannot be asked is a fault too: nothing is
	// let through unverified.
	VerifyKey(ctx context.Context, key string, call APICall) (*Grant, error)
}

// APICall is what products are matched against.
type APICall struct {
	Environment string
	Proxy       string
	// Path is the path suffix of the call, Method its verb, BasePath the proxy's.
	Path, Method, BasePath string
	// CacheExpiry bounds how long a positive result may be cached; 0 is 180 s.
	CacheExpiry time.Duration
}

// Grant is who may call, found from a key or a token. Variables are the flow
// variables a policy sets from it, without the policy's prefix, in order.
type Grant struct {
	Variables []Variable
	// Fault, when set, refuses a call that was identified all the same: its
	// variables are still set.
	Fault *fault.Fault
}

// Variable is a flow variable to set.
type Variable struct{ Name, Value string }

// Tokens is the OAuth 2.0 service. Its methods are with the OAuthV2 policy's
// own contract.
type Tokens interface{}

// Entities reads registry entities as XML for AccessEntity.
type Entities interface {
	Entity(ctx context.Context, kind string, primary, secondary Identifier) (xml []byte, found bool, err error)
}

// Identifier names an entity: by which property and with which value.
type Identifier struct{ Type, Value string }
