package policy

import (
	"context"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
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
	// Path is the path suffix of the call, or flow.resource.name where a policy
	// set it; BasePath is the proxy's, Method the verb.
	Path, BasePath, Method string
	// CacheExpiry bounds how old what is known of the key may be; 0 is 180 s,
	// and more than that counts as 180 s.
	CacheExpiry time.Duration
	// Operation is what else of the call an operation of a product can be about.
	Operation Operation
}

// Operation identifies an operation that is not told by path and method. It is
// filled in by the policies that read it from the body; what is empty matches no
// operation that asks for it.
type Operation struct {
	// GraphQLName and GraphQLType are the name of a GraphQL operation and its
	// type: query, mutation.
	GraphQLName, GraphQLType string
	// Model is the language model that is called.
	Model string
	// Payload is the operation ParsePayload found: "tools/call/get_weather".
	Payload string
}

// CallOf is the call in progress as products see it.
func CallOf(fc *flow.Context) APICall {
	call := APICall{Environment: fc.Proxy.Environment, Proxy: fc.Proxy.Name, Path: fc.PathSuffix, BasePath: fc.BasePath, Method: fc.Request.Verb}
	if v := resourceName.Get(fc); !v.IsNull() {
		call.Path = v.String()
	}
	call.Operation, _ = fc.Session[operationKey{}].(Operation)
	return call
}

// resourceName overrides the path suffix in the check of products.
// Source: management reference, "Resource matching"
var resourceName = flow.Compile("flow.resource.name")

type operationKey struct{}

// SetOperation tells the key and token checks that follow in the call what
// operation it is. Policies that read it from the body call it: GraphQL,
// ParsePayload.
func SetOperation(fc *flow.Context, change func(*Operation)) {
	op, _ := fc.Session[operationKey{}].(Operation)
	change(&op)
	if fc.Session == nil {
		fc.Session = map[any]any{}
	}
	fc.Session[operationKey{}] = op
}

// Grant is who may call, found from a key or a token. It is shared by calls.
type Grant struct {
	// Variables are the flow variables a policy sets from it, without the
	// policy's prefix.
	Variables flow.Source
	// Common are those that VerifyAPIKey sets without a prefix as well: client_id,
	// apiproduct.name, developer.app.name and their like, and Operation.
	Common flow.Source
	// Operation is apiproduct.operation and what is below it. Empty if the product
	// has none.
	Operation flow.Source
	// Caller is who it is about, for flow.Context.Caller.
	Caller *flow.Caller
}

// Entities reads registry entities for AccessEntity.
type Entities interface {
	// Entity is the profile of an entity; found is false if there is none, also
	// where the identifiers do not go with the kind.
	Entity(ctx context.Context, q EntityQuery) (profile []byte, found bool, err error)
}

// EntityQuery asks for an entity.
type EntityQuery struct {
	// Kind is the entity's type: apiproduct, app, developer ...
	Kind string
	// Primary names it; Secondary may be zero.
	Primary, Secondary Identifier
	// JSON asks for JSON instead of XML.
	JSON bool
}

// Identifier names an entity: by which property and with which value.
type Identifier struct{ Type, Value string }
