package entity

import (
	"crypto/sha256"
	"encoding/hex"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"

	apigee "google.golang.org/api/apigee/v1"
)

// Statuses of developers and app groups, and of apps, keys and the products of
// keys.
const (
	Active   = "active"
	Inactive = "inactive"
	Approved = "approved"
	Revoked  = "revoked"
	Pending  = "pending"
)

// Never is the expiry of a key that does not expire.
const Never = -1

// Limits of what is published.
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/limits
const (
	MaxConsumerKeyBytes    = 2 << 10
	MaxConsumerSecretBytes = 2 << 10
	MaxKeyProducts         = 50
	MaxProductProxies      = 100
	MaxProductPaths        = 50
	MaxProductOperations   = 50
	MaxOperationAttributes = 3
	// MaxAppKeys is perigee's own: an app and its keys are one document. Apigee
	// speaks of 10.
	MaxAppKeys = 200
)

// App is the document of a developer's or an app group's app, with its keys.
type App struct {
	// Profile is the app as the Management API shows it, without ApiProducts
	// and Credentials. Either DeveloperId or AppGroup is set.
	Profile *apigee.GoogleCloudApigeeV1App `json:"profile"`
	// AppFamily is "default" unless it was given.
	AppFamily string `json:"appFamily,omitempty"`
	// Credentials are the app's keys, the newest first.
	Credentials []*Credential `json:"credentials,omitempty"`
}

// Credential is a consumer key and its secret as they are stored: encrypted.
type Credential struct {
	// ID is the KeyID of the consumer key.
	ID string `json:"id"`
	// Sealed is the encrypted KeyPair.
	Sealed []byte `json:"sealed"`
	// Public is the rest: status, times in milliseconds since 1970 (ExpiresAt
	// Never for no expiry), products with their status, scopes, attributes.
	Public *apigee.GoogleCloudApigeeV1Credential `json:"public"`
}

// KeyPair is what is secret of a credential.
type KeyPair struct {
	Key    string `json:"k"`
	Secret string `json:"s"`
}

// KeyRef is the document by which a consumer key is looked up: what to read
// next. The app decides what the key may do.
type KeyRef struct {
	App       string   `json:"app"`
	Developer string   `json:"developer,omitempty"`
	AppGroup  string   `json:"appgroup,omitempty"`
	Products  []string `json:"products,omitempty"`
}

// KeyID is the id of a consumer key: its SHA-256, in hexadecimal.
func KeyID(consumerKey string) string {
	sum := sha256.Sum256([]byte(consumerKey))
	return hex.EncodeToString(sum[:])
}

// Credential is the app's credential with that id, nil if it has none.
func (a *App) Credential(id string) *Credential {
	for _, c := range a.Credentials {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// Products are the names of the products of the app's keys, sorted.
func (a *App) Products() []string {
	var names []string
	for _, c := range a.Credentials {
		names = append(names, c.Products()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Products are the names of the key's products, in their order.
func (c *Credential) Products() []string {
	names := make([]string, len(c.Public.ApiProducts))
	for i, p := range c.Public.ApiProducts {
		names[i] = p.Apiproduct
	}
	return names
}

// Product is the key's association with a product, nil if there is none.
func (c *Credential) Product(name string) *apigee.GoogleCloudApigeeV1ApiProductRef {
	for _, p := range c.Public.ApiProducts {
		if p.Apiproduct == name {
			return p
		}
	}
	return nil
}

// Email is an e-mail address as developers are known by: in lower case.
func Email(address string) string { return strings.ToLower(strings.TrimSpace(address)) }

// CheckEmail is an error of code InvalidArgument unless the address is one.
func CheckEmail(address string) error {
	if address == "" {
		return Errorf(InvalidArgument, "email is missing")
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address || strings.ContainsAny(address, "/\\ \t") || len(address) > MaxNameBytes {
		return Errorf(InvalidArgument, "email %q is not an e-mail address", address)
	}
	return nil
}

// CheckAttributes is an error unless there are at most limit attributes with
// names and values of allowed length. Of attributes given twice the last counts.
func CheckAttributes(list []*apigee.GoogleCloudApigeeV1Attribute, limit int) ([]*apigee.GoogleCloudApigeeV1Attribute, error) {
	var out []*apigee.GoogleCloudApigeeV1Attribute
	for _, a := range list {
		if a == nil {
			continue
		}
		if err := CheckAttribute(a); err != nil {
			return nil, err
		}
		out = SetAttribute(out, a)
	}
	if len(out) > limit {
		return nil, Errorf(InvalidArgument, "%d attributes, at most %d are allowed", len(out), limit)
	}
	return out, nil
}

// CheckAttribute is an error if the name is missing, or name or value too long.
func CheckAttribute(a *apigee.GoogleCloudApigeeV1Attribute) error {
	switch {
	case a.Name == "":
		return Errorf(InvalidArgument, "name of an attribute is missing")
	case len(a.Name) > MaxAttributeNameBytes:
		return Errorf(InvalidArgument, "name of an attribute has %d bytes, at most %d are allowed", len(a.Name), MaxAttributeNameBytes)
	case len(a.Value) > MaxAttributeValueBytes:
		return Errorf(InvalidArgument, "value of attribute %q has %d bytes, at most %d are allowed", a.Name, len(a.Value), MaxAttributeValueBytes)
	}
	return nil
}

// SetAttribute is the list with the attribute in the place of its namesake, or
// behind the others.
func SetAttribute(list []*apigee.GoogleCloudApigeeV1Attribute, a *apigee.GoogleCloudApigeeV1Attribute) []*apigee.GoogleCloudApigeeV1Attribute {
	for i, have := range list {
		if have.Name == a.Name {
			list[i] = a
			return list
		}
	}
	return append(list, a)
}

// Attribute is the attribute of that name, nil if there is none.
func Attribute(list []*apigee.GoogleCloudApigeeV1Attribute, name string) *apigee.GoogleCloudApigeeV1Attribute {
	for _, a := range list {
		if a != nil && a.Name == name {
			return a
		}
	}
	return nil
}

// CheckCallbackURL is an error if the callback URL of an app is not a URL.
// Several may be given, separated by commas.
func CheckCallbackURL(urls string) error {
	for u := range strings.SplitSeq(urls, ",") {
		if u = strings.TrimSpace(u); u == "" {
			continue
		}
		if _, err := url.Parse(u); err != nil || len(u) > 4<<10 {
			return Errorf(InvalidArgument, "callbackUrl %q is not a URL", u)
		}
	}
	return nil
}

// Scopes is a list of scopes without blanks and repetitions: clients send
// [""] for none.
func Scopes(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// CheckQuota is an error unless limit, interval and unit are those of a quota;
// all three may be empty. what says whose they are. Units are those of the Quota
// policy, second, week and year included: the API's page does not list them, but
// products made with Google's own tools have them.
func CheckQuota(what, limit, interval, unit string) error {
	for _, n := range []struct{ name, text string }{{"", limit}, {"Interval", interval}} {
		if n.text == "" {
			continue
		}
		if v, err := strconv.ParseInt(n.text, 10, 64); err != nil || v < 0 || v == 0 && n.name != "" {
			return Errorf(InvalidArgument, "%s%s %q is not a positive number", what, n.name, n.text)
		}
	}
	if unit != "" && !slices.Contains([]string{"second", "minute", "hour", "day", "week", "month", "year"}, strings.ToLower(unit)) {
		return Errorf(InvalidArgument, "%sTimeUnit is %q, want minute, hour, day or month", what, unit)
	}
	return nil
}
