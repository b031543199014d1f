package secretmanager

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"

	"github.com/perigee-gateway/perigee/shared/keystore"
)

// The annotations: what labels and names cannot hold.
const (
	annotationName    = "perigee-name"
	annotationLabels  = "perigee-labels"  // JSON
	annotationVersion = "perigee-version" // of the alias current
)

// labelOwner marks perigee's secrets among others.
const (
	labelOwner = "managed-by"
	owner      = "perigee"
)

// secret is a secret as read, or about to be made.
type secret struct {
	*secretmanagerpb.Secret
	made bool // by this write
}

// version is the version in force; empty if there is none yet.
func (s *secret) version() string {
	if s.GetVersionAliases()[aliasCurrent] == 0 {
		return ""
	}
	return s.GetAnnotations()[annotationVersion]
}

// label sets the labels.
func (s *secret) label(labels map[string]string) error {
	raw, err := json.Marshal(labels)
	if err != nil {
		return keystore.Errorf(keystore.Invalid, "labels: %w", err)
	}
	s.Labels = map[string]string{labelOwner: owner}
	for k, v := range labels {
		s.Labels[labelKey(k)] = labelValue(v)
	}
	s.annotate(annotationLabels, string(raw))
	return nil
}

// advance lets the alias current stand for a new version.
func (s *secret) advance(name, number, version string) {
	n, _ := strconv.ParseInt(number, 10, 64)
	aliases := map[string]int64{aliasCurrent: n}
	if old := s.GetVersionAliases()[aliasCurrent]; old != 0 {
		aliases[aliasPrevious] = old
	}
	s.VersionAliases = aliases
	s.annotate(annotationName, name)
	s.annotate(annotationVersion, version)
}

func (s *secret) annotate(key, value string) {
	s.Annotations = maps.Clone(s.Annotations)
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[key] = value
}

// entry is the secret as List yields it; not ok if it is not one, or not
// written yet.
func (s *secret) entry() (keystore.Entry, bool) {
	e := keystore.Entry{Name: s.GetAnnotations()[annotationName]}
	if e.Name == "" || s.version() == "" {
		return e, false
	}
	err := json.Unmarshal([]byte(s.GetAnnotations()[annotationLabels]), &e.Labels)
	return e, err == nil
}

// replication is where a new secret is kept.
func (d *Driver) replication() *secretmanagerpb.Replication {
	if len(d.locations) == 0 {
		return &secretmanagerpb.Replication{Replication: &secretmanagerpb.Replication_Automatic_{
			Automatic: &secretmanagerpb.Replication_Automatic{},
		}}
	}
	managed := &secretmanagerpb.Replication_UserManaged{}
	for _, l := range d.locations {
		managed.Replicas = append(managed.Replicas, &secretmanagerpb.Replication_UserManaged_Replica{Location: l})
	}
	return &secretmanagerpb.Replication{Replication: &secretmanagerpb.Replication_UserManaged_{UserManaged: managed}}
}

// The alphabets of labels, narrowed to ASCII, which filters take unquoted.
// https://cloud.google.com/resource-manager/docs/labels-overview#requirements
const (
	letters     = "abcdefghijklmnopqrstuvwxyz"
	digits      = "0123456789"
	punctuation = "_-"
)

// plain reports whether s has 1 to 63 characters of the alphabets, the first of
// them one of first.
func plain(s, first string) bool {
	return len(s) >= 1 && len(s) <= 63 && strings.IndexByte(first, s[0]) >= 0 &&
		strings.Trim(s, letters+digits+punctuation) == ""
}

// labelKey is a label's key as it is, or its hash.
func labelKey(k string) string {
	if plain(k, letters) {
		return k
	}
	return "h_" + hash(k)
}

// labelValue is a label's value as it is, or its hash. A value that looks like
// a hash is hashed no matter: what labels say is checked by the annotations.
func labelValue(v string) string {
	if plain(v, letters+digits) {
		return v
	}
	return "h_" + hash(v)
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:20])
}
