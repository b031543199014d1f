package management

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// Members and the audit log are perigee's own: Apigee leaves both to Google
// Cloud's IAM and audit logs.

// memberOrg is the organization whose members the path is about; Everywhere if it
// names none.
func (c *call) memberOrg() string {
	if org := c.param("org"); org != "" {
		return org
	}
	return Everywhere
}

// listMembers gives a page of who has a role in the organization. Those with a
// role in every organization are not among them.
func listMembers(c *call) (any, error) {
	list, next, err := pageOf(c, c.Registry.Members, maxListed, maxListed, c.memberOrg())
	return listed("members", list, next), err
}

// memberID is the id of the member of the path, whatever the case it is written
// in.
func (c *call) memberID() ([]string, error) {
	name, err := entity.MemberName(unescapeAgain(c.param("member")))
	return []string{c.memberOrg(), name}, err
}

func getMember(c *call) (any, error) {
	id, err := c.memberID()
	if err != nil {
		return nil, err
	}
	return answered(c.Registry.Members.Get(c.ctx(), id...))
}

// grantRole gives a member a role in the place of the one the member had.
func grantRole(c *call) (any, error) {
	id, err := c.memberID()
	if err != nil {
		return nil, err
	}
	m := new(entity.Member)
	if err := c.decode(m, "grantedAt", "grantedBy"); err != nil {
		return nil, err
	}
	if err := sameName("member", strings.ToLower(m.Member), id[1]); err != nil {
		return nil, err
	}
	return answered(c.Registry.Grant(c.ctx(), id[0], id[1], m.Role, c.who.Name))
}

func revokeRole(c *call) (any, error) {
	id, err := c.memberID()
	if err != nil {
		return nil, err
	}
	return answered(c.Registry.Members.Delete(c.ctx(), id...))
}

// listAuditLog gives a page of what was changed, the newest first.
func listAuditLog(c *call) (any, error) {
	list, next, err := pageOf(c, c.Registry.AuditLog, 100, maxListed, c.param("org"))
	return listed("entries", list, next), err
}
