package registry

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// auditLife is how long the audit log is kept: as long as Google keeps that of
// its own APIs.
// Source: https://cloud.google.com/logging/quotas#logs_retention_periods
const auditLife = 400 * 24 * time.Hour

// administration makes the kinds of who may do what, and of who did.
func (r *Registry) administration() {
	r.Members = NewKind(r, Spec[entity.Member]{
		Noun: "member", Collection: "roles",
		Name: func(name string) error {
			_, err := entity.MemberName(name)
			return err
		},
		Fields: func(id []string, v *entity.Member) map[string]string {
			return map[string]string{"org": id[0], "member": id[1]}
		},
		Prepare: func(id []string, old, v *entity.Member, now int64) (err error) {
			if v.Member, err = entity.MemberName(id[1]); err != nil {
				return err
			}
			v.GrantedAt = now
			return among("role", v.Role, entity.RoleViewer, entity.RoleDeveloper, entity.RoleAdmin)
		},
		Commit: func(tx *Tx, id []string, old, v *entity.Member) error {
			if id[0] == entity.Everywhere {
				return nil
			}
			_, err := tx.Stamp() // the organization exists
			return err
		},
	})
	r.AuditLog = NewKind(r, Spec[entity.AuditEntry]{
		Noun: "audit log entry", Collection: "auditLog", Life: auditLife,
		Fields: func(id []string, v *entity.AuditEntry) map[string]string {
			return map[string]string{"org": id[0], "actor": cut(v.Actor), "resource": cut(v.Resource)}
		},
	})
}

// Grant gives a member a role in an organization, or in every one; the one the
// member had there is gone.
func (r *Registry) Grant(ctx context.Context, org, member, role, by string) (*entity.Member, error) {
	name, err := entity.MemberName(member)
	if err != nil {
		return nil, err
	}
	m := &entity.Member{Role: role, GrantedBy: by}
	return m, r.Members.Put(ctx, m, org, name)
}

// RolesOf are the names of a member's roles by organization.
func (r *Registry) RolesOf(ctx context.Context, member string) (map[string]string, error) {
	roles := map[string]string{}
	for item, err := range r.Members.Where(ctx, map[string]string{"member": member}, Page{}) {
		if err != nil {
			return nil, err
		}
		org, _, _ := strings.Cut(item.Name, "/")
		roles[org] = item.Value.Role
	}
	return roles, nil
}

// Audit keeps an entry of the organization's audit log. The ids are such that
// the newest come first.
func (r *Registry) Audit(ctx context.Context, org string, e *entity.AuditEntry) error {
	now := r.now().UTC()
	e.Time = now.Format("2006-01-02T15:04:05.000000Z")
	back := fmt.Sprintf("%019d", math.MaxInt64-now.UnixMicro())
	return r.AuditLog.Create(ctx, e, org, back, uuid.NewString())
}
