// Package responsecache implements the <ResponseCache> policy: in a request flow
// it looks for a response kept earlier, in a response flow it keeps one.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/response-cache-policy
//
// On a hit the rest of the flow segment still runs; then the call goes on in the
// response flow, behind the step that keeps the response. Requests of any verb are
// looked up and kept under the key, which has no verb unless it is a fragment;
// SkipCacheLookup and SkipCachePopulation say which are not. Only a response to HEAD,
// which has no body to answer others with, is never kept. Of calls that miss at the
// same time in one instance one goes to the target; the others wait until it kept a
// response or is over, at most CacheLookupTimeoutInSeconds.
//
// Status, reason, all headers and the body are kept. A response larger than
// 256 KB, or with a key larger than 2 KB, is not kept. The key is that of the
// lookup, also when the response is kept in a target's flow.
//
// Variables: responsecache.P.cachename, responsecache.P.cachekey,
// responsecache.P.cachehit (true or false), responsecache.P.invalidentry (true if
// what was found is no response), responsecache.executed (1 if the cache was asked or
// filled, 0 if it was skipped).
//
// Faults: none. A cache that cannot be reached is a miss, and is logged.
//
// Refused at deployment: InvalidTimeout, ResponseCacheStepAttachmentNotAllowedReq,
// ResponseCacheStepAttachmentNotAllowedResp, InvalidMessagePatternForErrorCode.
// InvalidCacheResourceReference and CacheNotFound are Edge's: a cache comes into
// being by use.
package responsecache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/caching"
	"github.com/perigee-gateway/perigee/shared/condition"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the ResponseCache policy.
var Kind = policy.Define("ResponseCache", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	caching.Settings
	// CacheLookupTimeoutInSeconds is after how many seconds a lookup is a miss.
	CacheLookupTimeoutInSeconds int `xml:"CacheLookupTimeoutInSeconds,once" default:"30"`
	// ExcludeErrorResponse keeps only responses with a status from 200 to 205.
	ExcludeErrorResponse bool `xml:"ExcludeErrorResponse,once" default:"true"`
	// ExpirySettings says when the entry expires; 300 s if absent.
	ExpirySettings *caching.Expiry `xml:"ExpirySettings,once"`
	// SkipCacheLookup is a condition under which the call goes to the target.
	SkipCacheLookup Condition `xml:"SkipCacheLookup,once"`
	// SkipCachePopulation is a condition under which the response is not kept.
	SkipCachePopulation Condition `xml:"SkipCachePopulation,once"`
	// UseAcceptHeader makes what the client accepts a part of the key: Accept,
	// Accept-Encoding, Accept-Language, Accept-Charset.
	UseAcceptHeader bool `xml:"UseAcceptHeader,once"`
	// UseResponseCacheHeaders heeds the response's Cache-Control and Expires:
	// it is not kept longer than they and ExpirySettings say.
	UseResponseCacheHeaders bool `xml:"UseResponseCacheHeaders,once"`
	// SkipCacheIfElementSizeInKBExceeds leaves responses that are larger out of
	// the cache; 256 at most.
	SkipCacheIfElementSizeInKBExceeds int `xml:"SkipCacheIfElementSizeInKBExceeds,once"`
}

// Condition is a condition.
type Condition struct {
	bundle.Pos
	Text string `xml:",chardata"`
}

// accepted are the headers UseAcceptHeader adds to the key.
var accepted = []string{"Accept", "Accept-Encoding", "Accept-Language", "Accept-Charset"}

type step struct {
	policy     string
	caches     policy.Caches
	key        *caching.Key
	timeout    time.Duration
	lifetime   *caching.Lifetime
	errors     bool                 // errors are kept, too
	skipLookup *condition.Condition // nil: never
	skipKeep   *condition.Condition
	byAccept   bool
	byHeaders  bool
	limit      int

	cacheName, cacheKey, cacheHit, invalidEntry string // variables
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	if env.Caches == nil {
		return nil, errors.New("<ResponseCache> cannot run: there are no caches here")
	}
	if c.CacheLookupTimeoutInSeconds <= 0 {
		env.Errorf(env.Pos, "InvalidTimeout: CacheLookupTimeoutInSeconds %d value should be greater than zero", c.CacheLookupTimeoutInSeconds)
	}
	checkAttachment(env)
	env.UsesContent(false, true)
	prefix := "responsecache." + env.Name()
	return &step{
		policy: env.Name(), caches: env.Caches, key: c.Key(env),
		timeout:    time.Duration(c.CacheLookupTimeoutInSeconds) * time.Second,
		lifetime:   c.ExpirySettings.Compile(env),
		errors:     !c.ExcludeErrorResponse,
		skipLookup: c.SkipCacheLookup.compile(env),
		skipKeep:   c.SkipCachePopulation.compile(env),
		byAccept:   c.UseAcceptHeader, byHeaders: c.UseResponseCacheHeaders,
		limit:     c.SkipCacheIfElementSizeInKBExceeds << 10,
		cacheName: prefix + ".cachename", cacheKey: prefix + ".cachekey",
		cacheHit: prefix + ".cachehit", invalidEntry: prefix + ".invalidentry",
	}, nil
}

func (c *Condition) compile(env *policy.Env) *condition.Condition {
	text := strings.TrimSpace(c.Text)
	if text == "" {
		return nil
	}
	if _, err := condition.Compile(text); err != nil {
		env.Errorf(c.Pos, "InvalidMessagePatternForErrorCode: condition %q: %v", text, err)
		return nil
	}
	return env.Condition(c.Pos, text)
}

// session is the key in Context.Session under which a call's lookup is kept.
type session struct{ *step }

// lookup is what a call looked for.
type lookup struct {
	key policy.CacheKey
	hit bool
}

// Run looks up in request flows and keeps in response flows.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	switch {
	case fc.InError || fc.Phase == flow.PostClient:
	case fc.Phase >= flow.TargetResponse:
		s.keep(ctx, fc)
	default:
		s.look(ctx, fc)
	}
	return nil
}

func (s *step) look(ctx context.Context, fc *flow.Context) {
	l := s.lookup(fc)
	fc.Put(s.cacheHit, flow.BoolValue(false))
	fc.Put(s.invalidEntry, flow.BoolValue(false))
	if s.skipped(fc, s.skipLookup) {
		return
	}
	data, ok := caching.Lookup(ctx, fc, s.caches, l.key, s.timeout, fc.Request.Verb != "HEAD")
	if !ok {
		return
	}
	resp := decode(data)
	if resp == nil {
		fc.Put(s.invalidEntry, flow.BoolValue(true))
		return
	}
	l.hit = true
	fc.Put(s.cacheHit, flow.BoolValue(true))
	fc.EarlyBehind(resp, s.policy)
}

// skipped reports whether a condition keeps the call from the cache, and says so.
func (s *step) skipped(fc *flow.Context, c *condition.Condition) bool {
	skip := c != nil && c.True(fc)
	executed := int64(1)
	if skip {
		executed = 0
	}
	fc.Put("responsecache.executed", flow.IntValue(executed))
	return skip
}

// lookup is what this call looks for: the first time it runs decides.
func (s *step) lookup(fc *flow.Context) *lookup {
	if l, ok := fc.Session[session{s}].(*lookup); ok {
		return l
	}
	l := &lookup{key: s.key.Of(fc)}
	if s.byAccept {
		for _, name := range accepted {
			l.key.Key += "__" + fc.Request.Header.Joined(name)
		}
	}
	fc.PutText(s.cacheName, s.key.Name())
	fc.PutText(s.cacheKey, l.key.Key)
	if fc.Session == nil {
		fc.Session = map[any]any{}
	}
	fc.Session[session{s}] = l
	return l
}

func (s *step) keep(ctx context.Context, fc *flow.Context) {
	l := s.lookup(fc)
	resp := fc.Response
	if l.hit || resp == nil || fc.Request.Verb == "HEAD" {
		return
	}
	if !s.errors && (resp.Status < 200 || resp.Status > 205) || resp.Status == 101 || resp.Status == 206 || resp.Status == 304 {
		return // what answers a part or a condition is not the response
	}
	if s.skipped(fc, s.skipKeep) || tooLarge(resp) {
		return
	}
	until, ok := s.until(fc, resp)
	if !ok {
		return
	}
	data, err := encode(resp)
	if err != nil || s.limit > 0 && len(data) > s.limit {
		return
	}
	s.caches.Put(ctx, l.key, data, until)
}

// tooLarge reports whether a stream is too long to be kept, or of unknown length
// and so maybe without end: it is not read then.
func tooLarge(resp *message.Message) bool {
	return resp.Streaming() && (resp.Length() < 0 || resp.Length() > policy.MaxCacheValue)
}
