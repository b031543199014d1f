// Package verifyapikey implements the <VerifyAPIKey> policy: it lets a call
// through only with the key of an app that may make it, and sets variables about
// the app, its developer and the API product.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/verify-api-key-policy
//
// On success verifyapikey.P.failed is false and the variables under
// verifyapikey.P. that the page lists are set. Set without the prefix as well are
// apiproduct.operation and what is below it, client_id, apiproduct.name,
// apiproduct.developer.quota.*, developer.id, developer.email, developer.app.id
// and developer.app.name; under apigee. client_id, apiproduct.name, developer.id,
// developer.email and developer.app.name once more. On failure verifyapikey.P.failed,
// oauthV2.P.failed, oauthV2.P.fault.name and oauthV2.P.fault.cause are.
//
// Faults, 401 unless noted:
//
//   - steps.oauth.v2.FailedToResolveAPIKey: the variable of the key is not set
//   - oauth.v2.InvalidApiKey: there is no such key
//   - oauth.v2.InvalidApiKeyForGivenResource: no approved API product of the key
//     allows the call
//   - oauth.v2.ApiKeyNotApproved: the key is revoked
//   - keymanagement.service.consumer_key_expired: the key has expired
//   - keymanagement.service.invalid_client-app_not_approved: its app is revoked
//   - keymanagement.service.DeveloperStatusNotActive: its developer is inactive
//   - keymanagement.service.CompanyStatusNotActive: its app group is inactive
//   - keymanagement.service.consumer_key_missing_api_product_association (400):
//     the key has no API product
//   - datastore.ErrorWhileAccessingDataStore (500): the key cannot be looked up
//
// Refused at deployment: SpecifyValueOrRefApiKey.
package verifyapikey

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the VerifyAPIKey policy.
var Kind = policy.Define("VerifyAPIKey", New)

// maxExpiry bounds CacheExpiryInSeconds, in seconds; it is the default too.
const maxExpiry = 180

// Config is the policy's XML.
type Config struct {
	policy.Header
	// APIKey is the key to check: the variable in ref, or text where that is
	// not set.
	APIKey *Text `xml:"APIKey,once,required"`
	// CacheExpiryInSeconds bounds how old what is known of the key may be, from
	// 1 to 180 seconds; 180 if absent.
	CacheExpiryInSeconds *Text `xml:"CacheExpiryInSeconds,once"`
}

// Text is a literal, or the value of the variable in ref if that is set.
type Text struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`
}

// step is the compiled policy.
type step struct {
	prefix      string // verifyapikey.P.
	failed      string
	name        string
	credentials policy.Credentials
	key         flow.Var
	literal     string
	expiry      time.Duration
	expiryRef   flow.Var
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Credentials == nil {
		env.Errorf(bundle.Pos{}, "this host cannot verify API keys")
	}
	s := &step{prefix: "verifyapikey." + env.Name() + ".", name: env.Name(), credentials: env.Credentials, expiry: maxExpiry * time.Second}
	s.failed = s.prefix + "failed"
	s.compileKey(c, env)
	s.compileExpiry(c.CacheExpiryInSeconds, env)
	return s, nil
}

func (s *step) compileKey(c *Config, env *policy.Env) {
	if c.APIKey == nil {
		return
	}
	s.literal = strings.TrimSpace(c.APIKey.Text)
	if c.APIKey.Ref != "" {
		s.key = env.Var(c.APIKey.Ref)
	}
	if s.key.IsZero() && s.literal == "" {
		env.Errorf(c.APIKey.Pos, "SpecifyValueOrRefApiKey: Either value or ref needs to be specified for APIKey element")
	}
}

func (s *step) compileExpiry(t *Text, env *policy.Env) {
	if t == nil {
		return
	}
	if t.Ref != "" {
		s.expiryRef = env.Var(t.Ref)
	}
	text := strings.TrimSpace(t.Text)
	if text == "" {
		return
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		env.Errorf(t.Pos, "<CacheExpiryInSeconds> is %q, want a number of seconds from 1 to %d", text, maxExpiry)
		return
	}
	if n > maxExpiry {
		env.Warnf(t.Pos, "<CacheExpiryInSeconds> is %d; what is known of a key is kept for %d seconds at most", n, maxExpiry)
	}
	s.expiry = time.Duration(min(n, maxExpiry)) * time.Second
}

// Run checks the key.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	key, ok := s.resolve(fc)
	if !ok {
		return s.fail(fc, fault.New("steps.oauth.v2.FailedToResolveAPIKey", 401, "Failed to resolve API Key variable "+s.key.Name()))
	}
	call := policy.CallOf(fc)
	call.CacheExpiry = s.cacheExpiry(fc)
	grant, err := s.credentials.VerifyKey(ctx, key, call)
	if err != nil {
		return s.fail(fc, err)
	}
	fc.Provide(s.prefix, grant.Variables)
	fc.Provide("", grant.Common)
	fc.Put(s.failed, flow.BoolValue(false))
	fc.Caller = grant.Caller
	return nil
}

func (s *step) resolve(fc *flow.Context) (key string, ok bool) {
	if !s.key.IsZero() {
		if v := s.key.Get(fc); !v.IsNull() {
			return v.String(), true
		}
	}
	return s.literal, s.literal != ""
}

// cacheExpiry is how old what is known of the key may be. A variable that holds
// no number of seconds counts as not set.
func (s *step) cacheExpiry(fc *flow.Context) time.Duration {
	if s.expiryRef.IsZero() {
		return s.expiry
	}
	n, ok := s.expiryRef.Get(fc).Int()
	if !ok || n < 1 {
		return s.expiry
	}
	return time.Duration(min(n, maxExpiry)) * time.Second
}

// fail adds to a refusal what the policy sets. An error that is none refuses the
// call as well.
func (s *step) fail(fc *flow.Context, err error) error {
	var f *fault.Fault
	if !errors.As(err, &f) {
		return err
	}
	fc.PutText("oauthV2."+s.name+".fault.name", f.ShortName())
	fc.PutText("oauthV2."+s.name+".fault.cause", f.Text)
	return f.Failed(s.failed, "oauthV2."+s.name+".failed")
}
