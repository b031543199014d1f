package jwt_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policies/verifyjwt"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// jwks is a set of public keys by id.
func jwks(t testing.TB, keys map[string]any) string {
	t.Helper()
	set := jwk.NewSet()
	for kid, key := range keys {
		k, err := jwk.Import(public(key))
		if err != nil {
			t.Fatal(err)
		}
		_ = k.Set(jwk.KeyIDKey, kid)
		_ = set.AddKey(k)
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func signed(t testing.TB, kid string, key any, payload string) string {
	t.Helper()
	h := jws.NewHeaders()
	_ = h.Set("kid", kid)
	token, err := jws.Sign([]byte(payload), jws.WithKey(jwa.RS256(), key, jws.WithProtectedHeaders(h)))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

// idp is where key sets come from.
type idp struct {
	mu      sync.Mutex
	body    string
	status  int
	err     error
	fetches atomic.Int32
	accept  string
	hold    chan struct{} // closed to let fetches go on
}

func (p *idp) Compile(*bundle.HTTPTargetConnection, *policy.Env) policy.Callout { return nil }

func (p *idp) Do(ctx context.Context, _ string, req *message.Message) (*message.Message, error) {
	p.fetches.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accept = req.Verb + " " + req.Header.Get("Accept")
	if p.hold != nil {
		select {
		case <-p.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if _, ok := ctx.Deadline(); !ok {
		return nil, errors.New("no deadline")
	}
	if p.err != nil {
		return nil, p.err
	}
	m := message.NewResponse()
	m.Status = p.status
	m.SetStream(io.NopCloser(strings.NewReader(p.body)), int64(len(p.body)))
	return m, nil
}

func (p *idp) set(body string, status int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body, p.status, p.err = body, status, err
}

// verifier runs VerifyJWT against an idp on a clock of its own.
type verifier struct {
	t   *testing.T
	idp *idp
	pol policy.Policy
	now time.Time
}

// newVerifier uses an address per test: the cache of sets outlives tests.
func newVerifier(t *testing.T, p *idp, jwks string) *verifier {
	if p.status == 0 {
		p.status = 200
	}
	xml := `<VerifyJWT name="V"><Algorithm>RS256</Algorithm><PublicKey><JWKS ` + jwks + `/></PublicKey><Source>token</Source></VerifyJWT>`
	return &verifier{t, p, policytest.Compile(t, verifyjwt.Kind, xml, policy.Services{Callouts: p}), policytest.Now}
}

// verify returns the name of the fault, "" for none.
func (v *verifier) verify(ctx context.Context, token string, vars ...string) string {
	fc := flow.New(&flow.Proxy{}, func() time.Time { return v.now })
	defer fc.Release()
	fc.PutText("token", token)
	for i := 0; i < len(vars); i += 2 {
		fc.PutText(vars[i], vars[i+1])
	}
	err := v.pol.Run(ctx, fc)
	var f *fault.Fault
	if errors.As(err, &f) {
		return f.ShortName()
	}
	if err != nil {
		v.t.Error(err)
	}
	return ""
}

func (v *verifier) expect(want string, fetches int32, token string) {
	v.t.Helper()
	if got := v.verify(v.t.Context(), token); got != want {
		v.t.Errorf("fault %q, want %q", got, want)
	}
	if n := v.idp.fetches.Load(); n != fetches {
		v.t.Errorf("%d fetches, want %d", n, fetches)
	}
}

func TestRemoteSet(t *testing.T) {
	one, other := private(t, "rsa.pem"), private(t, "rsa-other.pem")
	p := &idp{body: jwks(t, map[string]any{"k1": one})}
	v := newVerifier(t, p, `uri="https://idp.example/`+t.Name()+`"`)
	k1, k2 := signed(t, "k1", one, `{"sub":"a"}`), signed(t, "k2", other, `{"sub":"a"}`)

	v.expect("", 1, k1)
	v.expect("", 1, k1)
	if p.accept != "GET application/json" {
		t.Errorf("request %q", p.accept)
	}
	v.expect("NoMatchingPublicKey", 1, k2) // fetched a moment ago
	p.set(jwks(t, map[string]any{"k2": other}), 200, nil)
	v.now = v.now.Add(10 * time.Second)
	v.expect("", 2, k2)                                           // rotation: an unknown id fetches
	v.expect("NoMatchingPublicKey", 2, k1)                        // the old key is gone, verified before or not
	v.expect("NoMatchingPublicKey", 2, signed(t, "x", one, `{}`)) // and made-up ids fetch nothing
	v.now = v.now.Add(10 * time.Second)
	v.expect("NoMatchingPublicKey", 3, signed(t, "y", one, `{}`))

	p.set("", 503, nil)
	v.now = v.now.Add(299 * time.Second)
	v.expect("", 3, k2)
	v.now = v.now.Add(2 * time.Second)
	v.expect("", 4, k2) // too old, and the source is down
	v.expect("", 4, k2)
	v.now = v.now.Add(3 * time.Second)
	v.expect("", 5, k2) // tried again
	v.now = v.now.Add(300 * time.Second)
	v.expect("KeyParsingFailed", 6, k2) // not for ever
	p.set(jwks(t, map[string]any{"k2": other}), 200, nil)
	v.expect("KeyParsingFailed", 6, k2)
	v.now = v.now.Add(2 * time.Second)
	v.expect("", 7, k2)
}

func TestRemoteSetFaults(t *testing.T) {
	key := private(t, "rsa.pem")
	token := signed(t, "k1", key, `{}`)
	set := jwks(t, map[string]any{"k1": key})
	for _, tt := range []struct {
		name string
		p    *idp
		want string
	}{
		{"no answer", &idp{err: errors.New("refused")}, "KeyParsingFailed"},
		{"not found", &idp{status: 404, body: set}, "KeyParsingFailed"},
		{"no set", &idp{body: `<html>`}, "KeyParsingFailed"},
		{"too large", &idp{body: set + strings.Repeat(" ", 1<<20)}, "KeyParsingFailed"},
		{"empty", &idp{body: `{"keys":[]}`}, "NoMatchingPublicKey"},
		{"good", &idp{body: set}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			newVerifier(t, tt.p, `uri="https://idp.example/`+t.Name()+`"`).expect(tt.want, 1, token)
		})
	}
}

func TestRemoteSetFromVariable(t *testing.T) {
	key := private(t, "rsa.pem")
	token := signed(t, "k1", key, `{}`)
	p := &idp{body: jwks(t, map[string]any{"k1": key})}
	v := newVerifier(t, p, `uriRef="where"`)
	for _, tt := range []struct{ url, want string }{
		{"https://idp.example/" + t.Name(), ""},
		{"file:///etc/passwd", "KeyParsingFailed"},
		{"", "FailedToResolveVariable"},
	} {
		vars := []string{"where", tt.url}
		if tt.url == "" {
			vars = nil
		}
		if got := v.verify(t.Context(), token, vars...); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.url, got, tt.want)
		}
	}
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestRemoteSetTogether: many callers cost one fetch, and one that gives up
// leaves the others be.
func TestRemoteSetTogether(t *testing.T) {
	key := private(t, "rsa.pem")
	token := signed(t, "k1", key, `{}`)
	p := &idp{body: jwks(t, map[string]any{"k1": key}), hold: make(chan struct{})}
	v := newVerifier(t, p, `uri="https://idp.example/`+t.Name()+`"`)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan string)
	go func() { gone <- v.verify(ctx, token) }()
	for p.fetches.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	var wg sync.WaitGroup
	results := make([]string, 20)
	for i := range results {
		wg.Go(func() { results[i] = v.verify(t.Context(), token) })
	}
	cancel()
	if got := <-gone; got != "KeyParsingFailed" {
		t.Errorf("the caller that gave up: %q", got)
	}
	close(p.hold)
	wg.Wait()
	for i, r := range results {
		if r != "" {
			t.Errorf("caller %d: %q", i, r)
		}
	}
	if n := p.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want that of the caller that gave up and one more", n)
	}
}

// TestVerifiedBefore: what was verified is verified against the clock, the key
// and the policy of now.
func TestVerifiedBefore(t *testing.T) {
	one, other := private(t, "rsa.pem"), private(t, "rsa-other.pem")
	token := signed(t, "k1", one, `{"sub":"joe","exp":1775044860}`)
	xml := `<VerifyJWT name="V"><Algorithm>RS256</Algorithm><PublicKey><JWKS ref="set"/></PublicKey><Source>token</Source><Subject ref="who"/></VerifyJWT>`
	v := &verifier{t, nil, policytest.Compile(t, verifyjwt.Kind, xml, policy.Services{}), policytest.Now}
	good, bad := jwks(t, map[string]any{"k1": one}), jwks(t, map[string]any{"k1": other})
	for i, tt := range []struct {
		set, who string
		after    time.Duration
		want     string
	}{
		{good, "joe", 0, ""}, {good, "joe", 0, ""}, {good, "ann", 0, "InvalidClaim"}, {good, "joe", 0, ""},
		{bad, "joe", 0, "InvalidToken"}, {good, "joe", 0, ""},
		{good, "joe", 59 * time.Second, ""}, {good, "joe", 60 * time.Second, "TokenExpired"}, {good, "joe", 0, ""},
		{`{"keys":[]}`, "joe", 0, "NoMatchingPublicKey"},
	} {
		v.now = policytest.Now.Add(tt.after)
		if got := v.verify(t.Context(), token, "set", tt.set, "who", tt.who); got != tt.want {
			t.Errorf("%d: %q, want %q", i, got, tt.want)
		}
	}
}

// TestVerifiedBeforeWithSecret is TestVerifiedBefore for a MAC: a secret that
// changes, or is too short for the algorithm, finds nothing.
func TestVerifiedBeforeWithSecret(t *testing.T) {
	one, other := strings.Repeat("1", 32), strings.Repeat("2", 32)
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"joe","exp":1775044860}`))
	mac := hmac.New(sha256.New, []byte(one))
	mac.Write([]byte(head))
	token := head + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	xml := `<VerifyJWT name="V"><Algorithm>HS256</Algorithm><SecretKey><Value ref="private.key"/></SecretKey><Source>token</Source></VerifyJWT>`
	v := &verifier{t, nil, policytest.Compile(t, verifyjwt.Kind, xml, policy.Services{}), policytest.Now}
	for i, tt := range []struct {
		secret string
		after  time.Duration
		want   string
	}{
		{one, 0, ""}, {one, 0, ""}, {other, 0, "InvalidToken"}, {one, 0, ""}, {"short", 0, "InsufficientKeyLength"}, {one, 0, ""},
		{one, 59 * time.Second, ""}, {one, 60 * time.Second, "TokenExpired"}, {one, 0, ""},
	} {
		v.now = policytest.Now.Add(tt.after)
		if got := v.verify(t.Context(), token, "private.key", tt.secret); got != tt.want {
			t.Errorf("%d: %q, want %q", i, got, tt.want)
		}
	}
}

// TestConcurrent runs one policy from many goroutines, with keys that change.
func TestConcurrent(t *testing.T) {
	one, other := private(t, "rsa.pem"), private(t, "rsa-other.pem")
	tokens := []string{signed(t, "k", one, `{"a":1}`), signed(t, "k", other, `{"a":2}`)}
	keys := []string{read(t, "rsa.pub.pem"), read(t, "rsa-other.pub.pem")}
	xml := `<VerifyJWT name="V"><Algorithm>RS256</Algorithm><PublicKey><Value ref="key"/></PublicKey><Source>token</Source></VerifyJWT>`
	v := &verifier{t, nil, policytest.Compile(t, verifyjwt.Kind, xml, policy.Services{}), policytest.Now}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 40 {
				tok, key := (i+j)%2, j/2%2
				want := ""
				if tok != key {
					want = "InvalidToken"
				}
				if got := v.verify(t.Context(), tokens[tok], "key", keys[key]); got != want {
					t.Errorf("token %d, key %d: %q", tok, key, got)
				}
			}
		})
	}
	wg.Wait()
}

// TestRemoteSetStale: while one caller asks a slow source again, the others go
// on with the old set.
func TestRemoteSetStale(t *testing.T) {
	key := private(t, "rsa.pem")
	token := signed(t, "k1", key, `{}`)
	p := &idp{body: jwks(t, map[string]any{"k1": key})}
	v := newVerifier(t, p, `uri="https://idp.example/`+t.Name()+`"`)
	v.expect("", 1, token)
	p.hold = make(chan struct{})
	v.now = v.now.Add(301 * time.Second)
	slow := make(chan string)
	go func() { slow <- v.verify(t.Context(), token) }()
	for p.fetches.Load() == 1 {
		time.Sleep(time.Millisecond)
	}
	v.expect("", 2, token)
	close(p.hold)
	if got := <-slow; got != "" {
		t.Errorf("the caller that asks: %q", got)
	}
}
