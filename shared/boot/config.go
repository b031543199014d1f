// Package boot is the composition root: from flags and environment variables
// to store, keystore, services and handlers. It is the only package that knows
// all the others; nothing is opened before it is used.
package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Config is how one process is set up. The zero value is not useful; start
// from FromEnv or Local.
type Config struct {
	// Organization that this process serves.
	Organization string
	// Environments that the gateway serves; empty means all of the organization.
	Environments []string
	// Store is "firestore:PROJECT[/DATABASE]", "embedded:DIR" or "memory:".
	Store string
	// Keystore is "secretmanager:PROJECT" or "local:DIR"; "memory:" for tests.
	Keystore string
	// Refresh is how often a warm gateway looks for changes.
	Refresh time.Duration
	// AnyHost makes the gateway answer host names that no environment group has.
	AnyHost bool
	// Ingress makes the gateway append the caller to X-Forwarded-For, as the
	// ingress in front of it does elsewhere.
	Ingress bool
	// LogFormat is "json" (Cloud Logging's fields) or "text".
	LogFormat string
	// LogLevel is debug, info, warn or error.
	LogLevel string
	// InsecureManagement leaves the Management API without authentication; only
	// for loopback listeners.
	InsecureManagement bool
	// Audiences are the values of aud that ID tokens for the Management API may
	// have: the URLs it is called at.
	Audiences []string
	// OAuthClients are those whose access tokens the Management API takes; empty
	// is any.
	OAuthClients []string
	// Admins are members with the role admin in every organization.
	Admins []string
	// Port is where container entry points listen.
	Port string
	// Project is the Google Cloud project, for the trace field of log lines.
	Project string
	// NoAnalytics keeps calls from being counted.
	NoAnalytics bool
	// AnalyticsInterval is how often an instance writes what it counted while calls
	// come; 0 is DefaultInterval, below that it writes with every call.
	AnalyticsInterval time.Duration
	// AnalyticsRetention is how long that is kept; 0 is DefaultRetention.
	AnalyticsRetention time.Duration
	// LogDir is where MessageLogging's <File> writes; empty refuses it.
	LogDir string
	// PubSubEmulator is the address of a Pub/Sub emulator to use instead.
	PubSubEmulator string
	// LoggingEndpoint is that of another service than Cloud Logging, called
	// without TLS and tokens; for tests.
	LoggingEndpoint string
	// Local is set by perigee serve.
	Local bool
	// PermissiveTLS verifies target certificates as Apigee does without
	// <SSLInfo>: the name, but not the chain.
	PermissiveTLS bool
}

// Defaults of analytics.
const (
	DefaultInterval  = 5 * time.Second
	DefaultRetention = 90 * 24 * time.Hour
)

// Variable documents one environment variable.
type Variable struct{ Name, Default, Doc string }

// Variables is every environment variable that configures perigee; the table in
// docs/CONFIGURATION.md is made from it.
var Variables = []Variable{
	{"PERIGEE_ORG", "local", "Organization this process serves."},
	{"PERIGEE_ENVIRONMENTS", "", "Comma list of environments the gateway serves; empty: all of the organization."},
	{"PERIGEE_STORE", "firestore:$GOOGLE_CLOUD_PROJECT", "Where configuration and state live: firestore:PROJECT[/DATABASE], embedded:DIR or memory:. FIRESTORE_EMULATOR_HOST is honoured."},
	{"PERIGEE_KEYSTORE", "secretmanager:$GOOGLE_CLOUD_PROJECT", "Where private keys live: secretmanager:PROJECT or local:DIR."},
	{"PERIGEE_REFRESH", "1s", "How often a warm gateway looks for changed deployments, entities and revocations, at most once per request."},
	{"PERIGEE_ANY_HOST", "false", "Answer host names that no environment group lists."},
	{"PERIGEE_LOG_FORMAT", "json", "json (Cloud Logging's structure) or text."},
	{"PERIGEE_LOG_LEVEL", "info", "debug, info, warn or error."},
	{"PERIGEE_ANALYTICS", "true", "Count calls for the stats resource of the Management API."},
	{"PERIGEE_ANALYTICS_INTERVAL", "5s", "How often an instance writes what it counted, with a call that ends; an instance that is killed loses what it counted since. 0 writes with every call."},
	{"PERIGEE_ANALYTICS_RETENTION", "2160h", "How long counted calls are kept."},
	{"PERIGEE_LOG_DIR", "", "Directory that MessageLogging's <File> writes beneath; without one such policies are refused. For hosts with a disk that stays."},
	{"PERIGEE_PERMISSIVE_TLS", "false", "Verify target certificates without <SSLInfo> as Apigee does: the host name, but not the chain."},
	{"PERIGEE_ADMINS", "", "Comma list of members (e-mail addresses of users or service accounts) with the role admin in every organization: who makes the first one and grants roles."},
	{"PERIGEE_AUDIENCE", "", "Comma list of the audiences that Google ID tokens for the Management API may have: its URLs. Without one only access tokens are taken."},
	{"PERIGEE_OAUTH_CLIENTS", "", "Comma list of the OAuth clients whose access tokens the Management API takes; empty: any, as long as the token has the scope cloud-platform."},
	{"PERIGEE_REGION", "", "Value of the flow variable system.region.name."},
	{"PERIGEE_LAMBDA_STREAMING", "false", "On Lambda: stream answers; the function URL's invoke mode must be RESPONSE_STREAM."},
	{"PERIGEE_GOOGLE_CREDENTIALS", "", "On Lambda: the external_account configuration (JSON, no secret in it) of workload identity federation; see docs/DEPLOY.md."},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "", "OpenTelemetry: base URL of an OTLP receiver (http/protobuf); traces and metrics are sent there. Also OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and ..._METRICS_ENDPOINT for one of them. Without any, and without the next two, OpenTelemetry is off."},
	{"OTEL_TRACES_EXPORTER", "", "otlp or none."},
	{"OTEL_METRICS_EXPORTER", "", "otlp or none."},
	{"OTEL_TRACES_SAMPLER", "parentbased_always_on", "Which calls are traced, with OTEL_TRACES_SAMPLER_ARG; for example parentbased_traceidratio and 0.01."},
	{"OTEL_METRIC_EXPORT_INTERVAL", "60000", "Milliseconds between exports of metrics; they are made by the first call after."},
	{"OTEL_SERVICE_NAME", "perigee-gateway", "service.name of what is exported; more attributes in OTEL_RESOURCE_ATTRIBUTES."},
	{"PORT", "8080", "Where perigee gateway and perigee management listen."},
	{"GOOGLE_CLOUD_PROJECT", "", "Google Cloud project used where no other is named."},
}

// FromEnv reads the configuration of a function or container.
func FromEnv() (Config, error) { return fromEnv(os.LookupEnv) }

func fromEnv(lookup func(string) (string, bool)) (Config, error) {
	get := func(name, otherwise string) string {
		if v, ok := lookup(name); ok && v != "" {
			return v
		}
		return otherwise
	}
	project := get("GOOGLE_CLOUD_PROJECT", "")
	c := Config{
		Organization: get("PERIGEE_ORG", "local"),
		Environments: list(get("PERIGEE_ENVIRONMENTS", "")),
		Store:        get("PERIGEE_STORE", "firestore:"+project),
		Keystore:     get("PERIGEE_KEYSTORE", "secretmanager:"+project),
		Admins:       list(get("PERIGEE_ADMINS", "")),
		Audiences:    list(get("PERIGEE_AUDIENCE", "")),
		OAuthClients: list(get("PERIGEE_OAUTH_CLIENTS", "")),
		LogFormat:    get("PERIGEE_LOG_FORMAT", "json"),
		LogLevel:     get("PERIGEE_LOG_LEVEL", "info"),
		Port:         get("PORT", "8080"),
		Project:      project,
		LogDir:       get("PERIGEE_LOG_DIR", ""),

		PubSubEmulator: get("PUBSUB_EMULATOR_HOST", ""),
	}
	var err error
	if c.Refresh, err = time.ParseDuration(get("PERIGEE_REFRESH", "1s")); err != nil {
		return c, fmt.Errorf("PERIGEE_REFRESH: %w", err)
	}
	if c.AnyHost, err = strconv.ParseBool(get("PERIGEE_ANY_HOST", "false")); err != nil {
		return c, fmt.Errorf("PERIGEE_ANY_HOST: %w", err)
	}
	if c.PermissiveTLS, err = strconv.ParseBool(get("PERIGEE_PERMISSIVE_TLS", "false")); err != nil {
		return c, fmt.Errorf("PERIGEE_PERMISSIVE_TLS: %w", err)
	}
	counted, err := strconv.ParseBool(get("PERIGEE_ANALYTICS", "true"))
	if err != nil {
		return c, fmt.Errorf("PERIGEE_ANALYTICS: %w", err)
	}
	c.NoAnalytics = !counted
	if c.AnalyticsInterval, err = time.ParseDuration(get("PERIGEE_ANALYTICS_INTERVAL", DefaultInterval.String())); err != nil {
		return c, fmt.Errorf("PERIGEE_ANALYTICS_INTERVAL: %w", err)
	}
	if c.AnalyticsInterval == 0 {
		c.AnalyticsInterval = -1
	}
	if c.AnalyticsRetention, err = time.ParseDuration(get("PERIGEE_ANALYTICS_RETENTION", DefaultRetention.String())); err != nil {
		return c, fmt.Errorf("PERIGEE_ANALYTICS_RETENTION: %w", err)
	}
	return c, nil
}

// KeystoreOf is the keystore that goes with a store when none is named: next to
// an embedded store, whose entries its keys encrypt, or of the project of
// Firestore; "" if there is none to be told.
func KeystoreOf(store string) string {
	engine, where, _ := strings.Cut(store, ":")
	project, _, _ := strings.Cut(where, "/")
	switch {
	case where == "":
		return ""
	case engine == "embedded":
		return "local:" + filepath.Join(where, "keystore")
	case engine == "firestore":
		return "secretmanager:" + project
	}
	return ""
}

func list(s string) []string {
	var out []string
	for p := range strings.SplitSeq(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}
