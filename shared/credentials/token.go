package credentials

import (
	"iter"
	"slices"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// CoversProxy reports whether a product without operations is for the proxy and
// the environment of a call, whatever its resource.
func (p *Product) CoversProxy(call *policy.APICall) bool {
	return !p.grouped && (len(p.environments) == 0 || slices.Contains(p.environments, call.Environment)) &&
		(len(p.proxies) == 0 || slices.Contains(p.proxies, call.Proxy))
}

// Variables are those of VerifyAPIKey for the client, without a product's.
func (c *Client) Variables() flow.Source { return clientVariables{c} }

type clientVariables struct{ client *Client }

// Variable implements flow.Source.
func (v clientVariables) Variable(name string) flow.Value { return v.client.vars()[name] }

// Variables implements flow.Source.
func (v clientVariables) Variables() iter.Seq2[string, flow.Value] {
	return func(yield func(string, flow.Value) bool) {
		for name, value := range v.client.vars() {
			if !yield(name, value) {
				return
			}
		}
	}
}
