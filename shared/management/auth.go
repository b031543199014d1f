package management

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// Role is what a member of an organization may do; each role includes those
// before it. The zero value may nothing.
type Role int

// The roles.
const (
	// Viewer reads, but not the values of key value maps.
	Viewer Role = iota + 1
	// Developer changes what API development needs: proxies, deployments, target
	// servers, key value maps, products, developers, apps.
	Developer
	// Admin changes everything else: environments and their groups, keystores,
	// the organization.
	Admin
)

var roleNames = [...]string{"none", "viewer", "developer", "admin"}

// String is the role's name.
func (r Role) String() string {
	if r < 0 || int(r) >= len(roleNames) {
		return "none"
	}
	return roleNames[r]
}

// ParseRole is the role of a name.
func ParseRole(name string) (Role, bool) {
	i := slices.Index(roleNames[:], name)
	return Role(max(i, 0)), i >= int(Viewer)
}

// Everywhere as an organization in Principal.Roles is every organization.
const Everywhere = entity.Everywhere

// Principal is who calls.
type Principal struct {
	// Name is the e-mail address of the user or service account.
	Name string
	// Roles are by organization. What belongs to no organization, such as
	// creating one, takes a role Everywhere.
	Roles map[string]Role
}

// Role is the principal's role in an organization; "" is none in particular.
func (p Principal) Role(org string) Role {
	if org == Everywhere {
		org = ""
	}
	return max(p.Roles[Everywhere], p.Roles[org])
}

// PermissionDenied is the code of an Authenticator's error for a caller that is
// known and may not call at all.
const PermissionDenied = permissionDenied

// Authenticator says who calls. An error means that it is not known who, and the
// call is refused as unauthenticated; one of code Unavailable says that it could
// not be found out, and one of code PermissionDenied is passed on. Errors are
// logged, so they must hold no credential.
type Authenticator interface {
	Authenticate(r *http.Request) (Principal, error)
}

// local is everybody, where there is no Authenticator.
var local = Principal{Name: "local", Roles: map[string]Role{Everywhere: Admin}}

// authorize finds out who calls and whether the route is for them.
func (c *call) authorize() error {
	c.who = local
	if c.Auth != nil {
		who, err := c.Auth.Authenticate(c.r)
		if err != nil {
			c.Log.LogAttrs(c.ctx(), slog.LevelInfo, "caller refused", slog.Any("error", causeOf(err)), slog.String("remote", c.r.RemoteAddr))
			return authFailure(err)
		}
		c.who = who
	}
	org := c.param("org")
	if c.route.role < Viewer || c.route.role > Admin || c.who.Role(org) < c.route.role && !c.route.filtered {
		return &entity.Error{Code: permissionDenied, Message: "Permission \"apigee." + c.route.permission + "\" denied on resource \"" +
			c.resource() + "\" (or it may not exist)"}
	}
	return nil
}

func authFailure(err error) error {
	if code := entity.CodeOf(err); code == entity.Unavailable || code == permissionDenied || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &entity.Error{
		Code: unauthenticated, Err: err,
		Message: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
	}
}

// protect refuses what a web page of another site makes a browser send. Without
// an Authenticator it also refuses host names that such a page could have bound
// to this machine's address.
func (s *server) protect(h http.Handler) http.Handler {
	refuse := func(message string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := &call{server: s, w: w, r: r}
			c.fail(&entity.Error{Code: permissionDenied, Message: message})
		})
	}
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(refuse("cross-origin request"))
	h = p.Handler(h)
	if s.Auth != nil {
		return h
	}
	strange := refuse("the host name is not one of this machine's")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !homely(r.Host) {
			strange.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// homely reports whether a page of another site cannot have this host: addresses
// and names of this machine, names without a dot (containers), and Google's,
// which clients are given that cannot be told another.
func homely(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if ip := net.ParseIP(host); ip != nil {
		return true
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".googleapis.com")
}
