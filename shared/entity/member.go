package entity

import "strings"

// Everywhere in the place of an organization is every organization, also those
// to come. No organization can have this name.
const Everywhere = "*"

// The names of roles. Each includes those before it.
const (
	RoleViewer    = "viewer"
	RoleDeveloper = "developer"
	RoleAdmin     = "admin"
)

// Member is a member's role in an organization.
type Member struct {
	// Member is the e-mail address of a user or service account in lower case,
	// or the numeric unique id of a service account whose tokens tell no address.
	Member string `json:"member"`
	// Role is one of the names of roles.
	Role string `json:"role"`
	// GrantedBy is who gave the role, GrantedAt when, in milliseconds since 1970.
	GrantedBy string `json:"grantedBy,omitempty"`
	GrantedAt int64  `json:"grantedAt,omitempty,string"`
}

// MemberName is the name a member is kept under: that of IAM policies loses its
// prefix (user:, serviceAccount:). It is an error of code InvalidArgument unless
// it is an e-mail address or the unique id of a service account.
func MemberName(s string) (string, error) {
	s = Email(s)
	for _, prefix := range []string{"user:", "serviceaccount:"} {
		s = strings.TrimPrefix(s, prefix)
	}
	if UniqueID(s) {
		return s, nil
	}
	return s, CheckEmail(s)
}

// UniqueID reports whether s has the form of a service account's unique id: 15
// to 30 digits.
func UniqueID(s string) bool {
	if len(s) < 15 || len(s) > 30 {
		return false
	}
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return true
}

// AuditEntry is a change made through the Management API.
type AuditEntry struct {
	// Time is when, in RFC 3339 with microseconds, UTC.
	Time string `json:"time"`
	// Actor is who.
	Actor string `json:"actor"`
	// Permission is what Apigee calls the right to it, with "apigee." before.
	Permission string `json:"permission"`
	Method     string `json:"method"`
	// Resource is the path without the version; Name is that of what was made in
	// a collection.
	Resource string `json:"resource"`
	Name     string `json:"name,omitempty"`
	// Remote is the peer's address.
	Remote string `json:"remote,omitempty"`
}
