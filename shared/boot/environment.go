package boot

import (
	"context"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/target"
)

// targetServers finds the TargetServers in an environment's configuration.
type targetServers func() *entity.Config

// TargetServer implements target.Servers.
func (config targetServers) TargetServer(name string) (target.Server, bool) {
	ts, ok := config().Targets[name]
	if !ok {
		return target.Server{}, false
	}
	return target.Server{
		Host: ts.Host, Port: int(ts.Port), Protocol: ts.Protocol,
		Enabled: ts.IsEnabled, SSLInfo: sslInfo(ts.SSLInfo),
	}, true
}

// sslInfo is the TLS part of a TargetServer in the form that bundles have.
func sslInfo(t *apigee.GoogleCloudApigeeV1TlsInfo) *bundle.SSLInfo {
	if t == nil {
		return nil
	}
	s := &bundle.SSLInfo{
		Enabled: boolText(t.Enabled), Enforce: t.Enforce, ClientAuthEnabled: boolText(t.ClientAuthEnabled),
		KeyStore: t.KeyStore, KeyAlias: t.KeyAlias, TrustStore: t.TrustStore,
		IgnoreValidationErrors: t.IgnoreValidationErrors,
		Ciphers:                t.Ciphers, Protocols: t.Protocols,
	}
	if t.CommonName != nil {
		s.CommonName = &bundle.CommonName{Value: t.CommonName.Value, WildcardMatch: t.CommonName.WildcardMatch}
	}
	return s
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return ""
}

// references resolves ref://name in an environment's configuration.
func references(config func() *entity.Config) keystore.Resolve {
	return func(_ context.Context, _ keystore.Scope, name string) (string, error) {
		if r, ok := config().References[name]; ok {
			return r.Refers, nil
		}
		return "", keystore.Errorf(keystore.NotFound, "reference %s does not exist", name)
	}
}

// enforcesTLS is the environment property features.SSLInfo.Enforce.
func enforcesTLS(config func() *entity.Config) func() (enforce, set bool) {
	return func() (bool, bool) {
		v, ok := property(config(), "features.SSLInfo.Enforce")
		return strings.EqualFold(v, "true"), ok
	}
}

func property(c *entity.Config, name string) (string, bool) {
	if c.Environment == nil || c.Environment.Properties == nil {
		return "", false
	}
	for _, p := range c.Environment.Properties.Property {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}
