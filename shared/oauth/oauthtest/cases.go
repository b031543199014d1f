package oauthtest

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// Cases are the services of policytest's cases for policies about tokens: a token
// service in memory that holds what the cases name. The name of a case that
// begins with store_down breaks the store, one that begins with no_service is
// given none.
//
// The apps (keys NAME-key, secrets NAME-secret) are app, of products with the
// scopes read and write; other; and these, whose tokens bear the app's name:
//
//	bare         a key without a product
//	elsewhere    a product of the environment prod
//	paths        a product of the paths /pets/** of the proxy "proxy"
//	app-revoked  the app is revoked
//	key-revoked  the key is revoked
//	key-expired  the key has expired
//	idle         the developer is inactive
//
// Tokens of app are good, never, expired and revoked, each with a refresh token
// NAME-refresh; read has the scope read only; theirs is of other. Codes are good-code and
// expired-code; pkce-code has the challenge of RFC 7636 appendix B.
func Cases(t *testing.T) policy.Services {
	name := t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]
	if strings.HasPrefix(name, "no_service") {
		return policy.Services{}
	}
	e := World(t)
	e.Break(strings.HasPrefix(name, "store_down"))
	return e.Services()
}

// World is the token service of Cases.
func World(t testing.TB) *Env {
	t.Helper()
	e := Memory(t)
	e.Product("reads", "read")
	e.Product("writes", "read", "write")
	e.ProductOf(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "prod", DisplayName: "prod", Environments: []string{"prod"}})
	e.ProductOf(&apigee.GoogleCloudApigeeV1ApiProduct{Name: "pets", DisplayName: "pets", Proxies: []string{"proxy"}, ApiResources: []string{"/pets/**"}})
	e.App("app", "reads", "writes")
	for app, product := range map[string]string{
		"other": "reads", "elsewhere": "prod", "paths": "pets", "app-revoked": "reads", "key-revoked": "reads", "key-expired": "reads",
	} {
		e.App(app, product)
	}
	e.App("bare")
	idle := e.AppOf("idle@example.com", "idle", "reads")
	e.Wait(-time.Hour)
	e.keep("app", "expired", time.Minute)
	e.code(&policy.CodeRequest{External: "expired-code"})
	e.Wait(time.Hour)
	for _, text := range []string{"good", "revoked", "read"} {
		e.keep("app", text, 30*time.Minute)
	}
	e.keep("app", "never", policy.NeverExpires)
	e.keep("other", "theirs", 30*time.Minute)
	for _, app := range []string{"bare", "elsewhere", "paths", "app-revoked", "key-revoked", "key-expired", "idle"} {
		e.keep(app, app, 30*time.Minute)
	}
	e.code(&policy.CodeRequest{External: "good-code", RedirectURI: Callback, EndUser: "joe", State: "xyz", Attributes: []policy.TokenAttribute{{Name: "tier", Value: "gold"}}})
	e.code(&policy.CodeRequest{External: "pkce-code", RedirectURI: Callback, Challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", ChallengeMethod: "S256"})
	e.ok(e.SetApproved(t.Context(), policy.AccessToken, "revoked", false, true))
	e.turn(idle.Profile.DeveloperId)
	return e
}

// keep issues a token with a text of its own.
func (e *Env) keep(app, text string, life time.Duration) {
	e.t.Helper()
	r := Request(policy.GrantPassword, app)
	r.External, r.ExternalRefresh, r.ExpiresIn, r.RefreshExpiresIn = text, text+"-refresh", life, life
	r.EndUser, r.Attributes = "joe", []policy.TokenAttribute{{Name: "tier", Value: "gold"}, {Name: "note", Value: "inner", Hidden: true}}
	if text == "read" {
		r.Scope = "read"
	}
	_, err := e.Issue(e.t.Context(), r)
	e.ok(err)
}

func (e *Env) code(r *policy.CodeRequest) {
	e.t.Helper()
	r.ClientID, r.Environment, r.Proxy = "app-key", "test", "oauth"
	_, err := e.Authorize(e.t.Context(), r)
	e.ok(err)
}

// turn takes the rights of those that are to have none.
func (e *Env) turn(idle string) {
	e.t.Helper()
	ctx := e.t.Context()
	ada, err := e.Registry.DeveloperID(ctx, Org, "ada@example.com")
	e.ok(err)
	for name, change := range map[string]func(*entity.App){
		"app-revoked": func(a *entity.App) { a.Profile.Status = entity.Revoked },
		"key-revoked": func(a *entity.App) { a.Credentials[0].Public.Status = entity.Revoked },
		"key-expired": func(a *entity.App) { a.Credentials[0].Public.ExpiresAt = Start.UnixMilli() },
	} {
		_, err := e.Registry.EditApp(ctx, Org, registry.Owner{Developer: ada}, name, func(a *entity.App) error { change(a); return nil })
		e.ok(err)
	}
	_, err = e.Registry.Developers.Update(ctx, func(d *apigee.GoogleCloudApigeeV1Developer) error {
		d.Status = entity.Inactive
		return nil
	}, Org, idle)
	e.ok(err)
	e.Changed()
}

// issued finds what is made at random: tokens and codes, app and developer ids,
// JWTs.
var issued = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b([A-Za-z0-9]{28}|[A-Za-z0-9]{32})\b`)

// names are as long as what is made at random.
var names = []string{"FailedToResolveAuthorizationCode", "ErrorWhileAccessingDataStore", "GenerateAccessTokenImplicitGrant"}

// Mask puts {jwt}, {uuid}, {28} and {32} in the place of what the service makes
// at random: JWTs, ids, access tokens, and refresh tokens and codes.
func Mask(s string) string {
	return issued.ReplaceAllStringFunc(s, func(text string) string {
		switch {
		case strings.HasPrefix(text, "eyJ"):
			return "{jwt}"
		case slices.Contains(names, text):
			return text
		case len(text) == 36:
			return "{uuid}"
		case len(text) == 28:
			return "{28}"
		}
		return "{32}"
	})
}
