package deployment

import "github.com/perigee-gateway/perigee/shared/entity"

// Check returns the revision an upload would become, without a number, and
// stores nothing.
func (d *Deployments) Check(u Upload) (*entity.Revision, error) {
	rev, err := d.prepare(&u)
	if err != nil {
		return nil, err
	}
	return &rev.Revision, nil
}
