package entity

import (
	"strings"
	"unicode/utf8"
)

// Limits of the Apigee product that concern what is configured.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/limits
const (
	MaxRevisions           = 250
	MaxHostnames           = 100 // of an environment group
	MaxTargetServers       = 1000
	MaxKeystores           = 100
	MaxAliases             = 100
	MaxResourceFiles       = 100 // of an environment
	MaxResourceBytes       = 15 << 20
	MaxPropertySets        = 10 // of an environment
	MaxPropertySetBytes    = 110 << 10
	MaxMapKeyBytes         = 2 << 10
	MaxMapValueBytes       = 10 << 10
	MaxMaps                = 100 // of an organization
	MaxEnvironmentMaps     = 900
	MaxSharedFlows         = 75 // deployed in an environment
	MaxAttributes          = 18
	MaxAttributeNameBytes  = 1 << 10
	MaxAttributeValueBytes = 2 << 10
	MaxNameBytes           = 255
)

// NameRule is which names something may have.
type NameRule struct {
	what   string
	ok     func(r rune) bool
	prefix string
	say    string
}

func alnum(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func oneOf(set string) func(rune) bool {
	return func(r rune) bool { return alnum(r) || strings.ContainsRune(set, r) }
}

// The rules. Where the API documents none, names are what can stand in a path.
// Source: reference of the Management API, the name field of each resource.
var (
	OrganizationName  = NameRule{what: "organization", ok: oneOf("-_."), say: "letters, digits, '-', '_' and '.'"}
	EnvironmentName   = NameRule{what: "environment", ok: oneOf("-_."), say: "letters, digits, '-', '_' and '.'"}
	EnvGroupName      = NameRule{what: "environment group", ok: oneOf("-_."), say: "letters, digits, '-', '_' and '.'"}
	InstanceName      = NameRule{what: "instance", ok: oneOf("-_."), say: "letters, digits, '-', '_' and '.'"}
	ProxyName         = NameRule{what: "API proxy", ok: oneOf("-_."), say: "letters, digits, '-', '_' and '.'"}
	SharedFlowName    = NameRule{what: "shared flow", ok: oneOf("-_."), say: "letters, digits, '-', '_' and '.'"}
	ProductName       = NameRule{what: "API product", ok: oneOf("-_.$ %"), say: "letters, digits, blanks and any of '._-$%'"}
	AppGroupName      = NameRule{what: "app group", ok: oneOf("-_.$ %"), say: "letters, digits, blanks and any of '._-$%'"}
	AppName           = NameRule{what: "app", ok: oneOf("-_.$ %#"), say: "letters, digits, blanks and any of '._-$%#'"}
	TargetServerName  = NameRule{what: "target server", ok: oneOf("-_.$ %"), say: "letters, digits, blanks and any of '._-$%'"}
	KeystoreName      = NameRule{what: "keystore", ok: oneOf("-_. "), say: "letters, digits, blanks, '_', '.' and '-'"}
	ReferenceName     = NameRule{what: "reference", ok: oneOf("-_. "), say: "letters, digits, blanks, '_', '.' and '-'"}
	AliasName         = NameRule{what: "alias", ok: noSlash, say: "anything but '/'"}
	MapName           = NameRule{what: "key value map", ok: oneOf("-_. $%:#&,;@!+=()'*~"), say: "letters, digits, blanks and punctuation"}
	CacheName         = NameRule{what: "cache", ok: noSlash, say: "anything but '/'"}
	ResourceFileName  = NameRule{what: "resource file", ok: oneOf(":/\\!@#$%^&{}[]()+-=,.~'` _"), say: "letters, digits, blanks and punctuation"}
	DataCollectorName = NameRule{what: "data collector", ok: oneOf("_-"), prefix: "dc_", say: "\"dc_\" and letters, digits, '_' and '-'"}
	ConsumerKeyName   = NameRule{what: "consumer key", ok: oneOf("-_.:"), say: "letters, digits, '-', '_', '.' and ':'"}
)

func noSlash(r rune) bool { return r != '/' && r >= ' ' && r != 0x7f }

// Check returns an error of code InvalidArgument if the name is not allowed.
func (n NameRule) Check(name string) error {
	max := MaxNameBytes
	if n.what == ConsumerKeyName.what {
		max = MaxMapKeyBytes
	}
	switch {
	case name == "":
		return Errorf(InvalidArgument, "%s name is missing", n.what)
	case len(name) > max:
		return Errorf(InvalidArgument, "%s name has %d bytes, at most %d are allowed", n.what, len(name), max)
	case !utf8.ValidString(name), name == ".", name == "..":
		return Errorf(InvalidArgument, "%s name %q is not allowed", n.what, name)
	case !strings.HasPrefix(name, n.prefix) || len(name) == len(n.prefix):
		return Errorf(InvalidArgument, "%s name %q must begin with %q", n.what, name, n.prefix)
	}
	for _, r := range name {
		if !n.ok(r) {
			return Errorf(InvalidArgument, "%s name %q is not allowed: it may have %s", n.what, name, n.say)
		}
	}
	return nil
}
