package policy

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// Services are what policies use beyond the call itself. A field may be nil
// where the host does not offer it; a policy that cannot run without one
// refuses the deployment.
type Services struct {
	// Now is the clock. Never nil.
	Now func() time.Time
	// Resources finds resource files of the environment and organization.
	Resources Resources
	// SharedFlows finds deployed shared flows.
	SharedFlows SharedFlows
	// KeyValueMaps reads and writes key value maps.
	KeyValueMaps KeyValueMaps
	// Callouts makes HTTP calls for ServiceCallout and scripts.
	Callouts Callouts
	// LocalCallouts calls other proxies of the environment for ServiceCallout.
	LocalCallouts LocalCallouts
	// Caches are the environment's caches.
	Caches Caches
	// Quotas counts for Quota and its kin.
	Quotas Quotas
	// Credentials verifies API keys.
	Credentials Credentials
	// Tokens issues and verifies OAuth tokens.
	Tokens Tokens
	// Entities reads registry entities for AccessEntity.
	Entities Entities
	// Keys finds keys and certificates of the environment's keystores.
	Keys Keys
	// GoogleTokens mints tokens for the deployment's service account.
	GoogleTokens GoogleTokens
	// Logs writes to Cloud Logging.
	Logs Logs
	// Syslog writes to syslog servers.
	Syslog Syslog
	// LogFiles writes to log files; nil where the host has no directory for them.
	LogFiles LogFiles
	// Publisher publishes to Pub/Sub.
	Publisher Publisher
	// Analytics records data for the stats API.
	Analytics Analytics
	// Collectors are the organization's data collectors.
	Collectors Collectors
	// GRPC calls gRPC services for ExternalCallout.
	GRPC GRPC
	// Integrations runs integrations of Application Integration.
	Integrations Integrations
	// Monetization knows subscriptions and balances; nil where products are not
	// monetized.
	Monetization Monetization
	// JVM runs what needs a Java virtual machine.
	JVM JVM
}

// Resources finds resource files outside the bundle: the environment's, then
// the organization's.
type Resources interface {
	Resource(typ, name string) ([]byte, bool)
}

// SharedFlow is a deployed shared flow.
type SharedFlow interface {
	// Run executes the steps in the caller's context.
	Run(ctx context.Context, fc *flow.Context) error
	// UsesContent reports whether a step touches the bodies.
	UsesContent() (request, response bool)
}

// SharedFlows finds the shared flow deployed under a name at this moment; false
// if there is none.
type SharedFlows interface {
	SharedFlow(name string) (SharedFlow, bool)
}

// MapScope says which key value map of a name is meant.
type MapScope struct {
	// Level is "organization", "environment", "apiproxy" or "policy"
	// (revision-scoped maps of Edge count as apiproxy).
	Level string
	// Proxy is the API proxy's name, for levels apiproxy and policy.
	Proxy string
}

// KeyValueMaps are the key value maps of an organization and environment.
// Values are encrypted at rest.
type KeyValueMaps interface {
	// Get returns an entry. maxAge bounds how old a cached value may be; 0 is
	// the default of 300 s, negative reads through. found is false if the map
	// or the key does not exist.
	Get(ctx context.Context, scope MapScope, name, key string, maxAge time.Duration) (value string, found bool, err error)
	// Put writes an entry, creating the map if there is none. Without override
	// an entry that exists is left alone.
	Put(ctx context.Context, scope MapScope, name, key, value string, override bool) error
	// Delete removes an entry; one that does not exist is no error.
	Delete(ctx context.Context, scope MapScope, name, key string) error
}

// Callout is a compiled HTTPTargetConnection that can be called any number of
// times.
type Callout interface {
	// Send sends req and returns the response. fc gives variables for
	// templates in the connection; it may be nil for script callouts. Errors
	// are *fault.Fault with Apigee's codes for target errors; the caller wraps
	// them as its policy documents. The response body is a stream.
	Send(ctx context.Context, fc *flow.Context, req *message.Message) (*message.Message, error)
}

// Callouts makes outbound HTTP calls.
type Callouts interface {
	// Compile prepares the connection of a ServiceCallout. Problems go to env.
	Compile(c *bundle.HTTPTargetConnection, env *Env) Callout
	// Do sends a request to an absolute URL with default settings (scripts,
	// JWKS, REST APIs of Google).
	Do(ctx context.Context, url string, req *message.Message) (*message.Message, error)
}

// LocalCallouts calls other proxies of the environment in process.
type LocalCallouts interface {
	// CompileLocal prepares the LocalTargetConnection of a ServiceCallout.
	// Problems go to env.
	CompileLocal(c *bundle.LocalTargetConnection, env *Env) Callout
}

// CacheKey names a cache entry: a cache and a key made of its fragments.
type CacheKey struct {
	// Cache is the cache resource; "" is the environment's shared default.
	Cache string
	Key   string
}

// Limits of cache entries. What is larger is not cached; the call goes on.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/limits
const (
	MaxCacheKey    = 2 << 10
	MaxCacheValue  = 256 << 10
	MaxCacheExpiry = 30 * 24 * time.Hour
)

// Caches are the value and response caches of an environment. They never fail a
// call: a store that cannot be asked is logged, and looks like a miss.
type Caches interface {
	// Get returns an entry that has not expired. The value must not be changed.
	// Where the store must be asked, it is for at most timeout (0: until ctx
	// ends); no answer by then is a miss.
	Get(ctx context.Context, key CacheKey, timeout time.Duration) (value []byte, ok bool)
	// Put writes an entry that expires at the given time; the zero time is the
	// cache's own default, 300 s. The value belongs to the cache from then on.
	// Whoever waits in Lead for the key goes on.
	Put(ctx context.Context, key CacheKey, value []byte, expireAt time.Time)
	// Delete removes an entry, or with prefix every entry whose key starts
	// with the key.
	Delete(ctx context.Context, key CacheKey, prefix bool)
	// Lead makes concurrent misses of one key in one instance cost one fill.
	// The first caller gets a done that it must call when its call is over,
	// filled or not. The others wait until then, until Put, or until ctx ends,
	// get nil and should Get once more. A call that leads must not wait for
	// another key: it takes the miss as it is.
	Lead(ctx context.Context, key CacheKey) (done func())
}

// WindowKind says how the interval of a quota moves.
type WindowKind uint8

// The kinds of window.
const (
	FixedWindow   WindowKind = iota // from Start to End
	FlexiWindow                     // from the first use on
	RollingWindow                   // the time before each use
)

// Window is the interval that a use of a quota falls into.
type Window struct {
	Kind WindowKind
	// Interval and Unit are the configured length ("2", "hour"): counters of
	// different lengths are different counters.
	Interval int64
	Unit     string
	// Start and End bound a fixed window; for the others End minus Start is the
	// length.
	Start, End time.Time
}

// Counter names what is counted. It is comparable.
type Counter struct {
	Proxy string
	// Name is the policy's, or the SharedName.
	Name              string
	Class, Identifier string
}

// QuotaRequest is one use of a quota.
type QuotaRequest struct {
	Counter Counter
	Window  Window
	Limit   int64
	Weight  int64
	// Exact asks that nothing is taken ahead (Synchronous true): every use is in
	// the store before the call goes on.
	Exact bool
	// CountOnly counts past the limit without refusing; EnforceOnly looks
	// without counting.
	CountOnly, EnforceOnly bool
}

// QuotaResult is the state of a counter after a use.
type QuotaResult struct {
	Allowed bool
	// Used counts within the window, this use included; what other instances
	// have taken ahead counts as used.
	Used int64
	// ExpiresAt is when the window ends.
	ExpiresAt time.Time
}

// Quotas counts uses so that never more than the limit are allowed, over all
// instances.
type Quotas interface {
	// Use counts one use. An error means that nothing was counted, and that
	// nobody can say whether the call is within the quota.
	Use(ctx context.Context, r QuotaRequest) (QuotaResult, error)
	// Settle gives back what was taken ahead and is not going to be used, where
	// that is due. It is cheap when nothing is; calls run it when they are over.
	Settle(ctx context.Context)
	// Reset lowers the count of a counter by amount, at most to zero; amount 0
	// clears it.
	Reset(ctx context.Context, c Counter, w Window, amount int64) error
}

// Keys finds keys and certificates. Names are keystore and alias names, or
// references (ref://name); the environment is the deployment's.
type Keys interface {
	// Key returns the private key and chain of an alias.
	Key(ctx context.Context, keystore, alias string) (crypto.Signer, []*x509.Certificate, error)
	// Certificates returns the certificates of an alias, or of the whole
	// keystore when alias is empty.
	Certificates(ctx context.Context, keystore, alias string) ([]*x509.Certificate, error)
}

// GoogleTokens mints tokens for the service account a revision was deployed
// with (serviceAccount "" is the host's own). Tokens are cached until they are
// about to expire.
type GoogleTokens interface {
	IDToken(ctx context.Context, serviceAccount, audience string, includeEmail bool) (string, error)
	AccessToken(ctx context.Context, serviceAccount string, scopes []string, lifetime time.Duration) (string, error)
}

// LogEntry is one entry for Cloud Logging.
type LogEntry struct {
	LogName  string // projects/P/logs/L
	Labels   map[string]string
	Severity string // Cloud Logging's: INFO, WARNING, ERROR, ALERT
	Text     string
	JSON     map[string]any // instead of Text
	Resource string         // monitored resource type
	Time     time.Time
	// InsertID tells the entry apart when it is sent twice.
	InsertID string
}

// ErrTooManyPending is the error of Logs.Write while more entries wait to be
// sent than may.
var ErrTooManyPending = errors.New("too many pending logging requests")

// Logs writes log entries. Write keeps an entry; Flush returns when everything
// written so far was sent or is lost, which the implementation logs. Flush
// bounds itself.
type Logs interface {
	Write(ctx context.Context, serviceAccount string, e LogEntry) error
	Flush(ctx context.Context)
}

// LogServer is a syslog server.
type LogServer struct {
	Pos  bundle.Pos // of the element, for problems
	Host string
	Port int
	// TCP sends over TCP, with TLS if SSLInfo has it enabled; else UDP.
	TCP     bool
	SSLInfo *bundle.SSLInfo
}

// Syslog opens ways to syslog servers.
type Syslog interface {
	// OpenSyslog prepares the way to a server. Problems go to env; nothing is
	// dialled.
	OpenSyslog(s LogServer, env *Env) LogSink
}

// LogFile is a file that messages are appended to.
type LogFile struct {
	// Organization, Environment, Proxy, Revision and Policy say whose it is.
	Organization, Environment, Proxy, Revision, Policy string
	Name                                               string
}

// Rotation says when a log file makes room for a new one.
type Rotation struct {
	// AtStart begins with a new file.
	AtStart bool
	// MaxBytes and Every are when it is time; zero is never.
	MaxBytes int64
	Every    time.Duration
	// Keep is how many old files are kept.
	Keep int
}

// LogFiles writes log files.
type LogFiles interface {
	// Append writes a line to a file.
	Append(f LogFile, r Rotation, line []byte) error
}

// LogSink takes messages. What cannot be delivered is logged by the sink and
// lost: a call never fails for it. Send bounds itself.
type LogSink interface {
	Send(ctx context.Context, message []byte)
}

// Publisher publishes messages to Pub/Sub topics (projects/P/topics/T) and
// returns the message's id.
type Publisher interface {
	Publish(ctx context.Context, serviceAccount, topic string, data []byte, attributes map[string]string) (id string, err error)
}

// Analytics records dimensions and metrics that policies collect.
type Analytics interface {
	// Record adds a value to the call's analytics record: a string or boolean is
	// a dimension, an int64 or float64 a metric. The record is kept in the call
	// and written when it ends; of two values of one name the last counts.
	Record(fc *flow.Context, name string, value any)
	// Reserved reports whether a name is one of the dimensions and metrics that
	// every call has.
	Reserved(name string) bool
}

// Collectors are the data collectors of an organization.
type Collectors interface {
	// Collector returns the type of a data collector (INTEGER, FLOAT, STRING,
	// BOOLEAN, DATETIME; "" where it is not known and any will do) and whether
	// there is one of that name.
	Collector(name string) (typ string, ok bool)
}

// GRPC calls gRPC services for ExternalCallout.
type GRPC interface {
	// Server returns the host name of a target server and whether there is one
	// that takes calls.
	Server(targetServer string) (host string, ok bool)
	// Invoke calls a unary method ("/package.Service/Method") of a target server
	// with encoded messages. An error is a *fault.Fault where TLS cannot be set
	// up, else one that google.golang.org/grpc/status understands.
	Invoke(ctx context.Context, targetServer, method string, request []byte, metadata map[string]string) (response []byte, err error)
}

// IntegrationCall is a call to run an integration: what SetIntegrationRequest
// makes and IntegrationCallout and IntegrationEndpoint send.
type IntegrationCall struct {
	// Project, Region and Name say which integration.
	Project, Region, Name string
	// Async asks not to wait for the result: it is scheduled.
	Async bool
	// Body is the JSON of the request.
	Body []byte
}

// Integrations runs integrations.
type Integrations interface {
	// Run sends the call and returns the answer, whatever its status, and the URL
	// that was called. Errors are *fault.Fault with the codes of target errors.
	Run(ctx context.Context, serviceAccount string, c *IntegrationCall) (resp *message.Message, url string, err error)
}

// Monetization knows what developers have bought.
type Monetization interface {
	// Limits says whether a caller may use the product that allowed the call. The
	// caller is nil where nobody has been verified.
	Limits(ctx context.Context, caller *flow.Caller) (Limits, error)
}

// Limits is what MonetizationLimitsCheck finds.
type Limits struct {
	// Monetized says that the product has an active rate plan; if not, nothing else
	// is set.
	Monetized bool
	// Blocked is why the call may not go on ("mint.service.
	// subscription_not_found_for_developer"), "" if it may.
	Blocked string
	// Subscribed says that there is an active subscription, from Start to End; a zero
	// End is none.
	Subscribed bool
	Start, End time.Time
	// Product is the product that was bought; Balance and Currency are of a prepaid
	// developer's wallet, or "".
	Product, Balance, Currency string
	// Plan is the id of the rate plan, which is in force from PlanStart to PlanEnd; a
	// zero PlanEnd is none.
	Plan               string
	PlanStart, PlanEnd time.Time
}

// JVM runs what only Java can: JavaCallout, Python scripts, what package xslt refuses
// of XSLT 2 and 3, XSD and WSDL validation. Without one such policies are refused at
// deployment.
type JVM interface {
	// Compile prepares a policy from its XML and resources.
	Compile(p *bundle.Policy, resources func(url string) ([]byte, error)) (Policy, error)
}
