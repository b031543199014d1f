package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/store"
)

func (r *Registry) organizations() {
	r.Organizations = NewKind(r, Spec[apigee.GoogleCloudApigeeV1Organization]{
		Noun: "organization", Collection: "organizations", Name: entity.OrganizationName.Check,
		Job: "organization", Commit: commitOrganization,
		Prepare: func(id []string, old, v *apigee.GoogleCloudApigeeV1Organization, now int64) error {
			v.Name, v.LastModifiedAt = id[0], now
			if v.CreatedAt == 0 {
				v.CreatedAt = now
			}
			fill(&v.State, "ACTIVE")
			fill(&v.RuntimeType, "CLOUD")
			v.Environments = nil // the stamp has them
			return nil
		},
	})
	r.Environments = NewKind(r, Spec[apigee.GoogleCloudApigeeV1Environment]{
		Noun: "environment", Collection: "environments", Name: entity.EnvironmentName.Check,
		Fields: fieldsOf[apigee.GoogleCloudApigeeV1Environment]("org"),
		Job:    "environment", Commit: commitEnvironment,
		Prepare: func(id []string, old, v *apigee.GoogleCloudApigeeV1Environment, now int64) error {
			v.Name, v.LastModifiedAt = id[1], now
			if v.CreatedAt == 0 {
				v.CreatedAt = now
			}
			fill(&v.State, "ACTIVE")
			fill(&v.DeploymentType, "PROXY")
			fill(&v.ApiProxyType, "PROGRAMMABLE")
			return nil
		},
	})
	r.Groups = NewKind(r, Spec[apigee.GoogleCloudApigeeV1EnvironmentGroup]{
		Noun: "environment group", Collection: "envgroups", Name: entity.EnvGroupName.Check,
		Fields: fieldsOf[apigee.GoogleCloudApigeeV1EnvironmentGroup]("org"), Commit: commitGroup,
		Prepare: func(id []string, old, v *apigee.GoogleCloudApigeeV1EnvironmentGroup, now int64) error {
			v.Name, v.LastModifiedAt = id[1], now
			if v.CreatedAt == 0 {
				v.CreatedAt = now
			}
			fill(&v.State, "ACTIVE")
			return checkHostnames(v.Hostnames)
		},
	})
	r.Attachments = NewKind(r, Spec[apigee.GoogleCloudApigeeV1EnvironmentGroupAttachment]{
		Noun: "attachment", Collection: "envgroupAttachments",
		Fields: func(id []string, v *apigee.GoogleCloudApigeeV1EnvironmentGroupAttachment) map[string]string {
			return map[string]string{"org": id[0], "envgroup": id[1], "environment": v.Environment}
		},
		Commit: commitAttachment,
	})
	r.RegisterJob("environment", r.clearEnvironment)
	r.RegisterJob("organization", r.clearOrganization)
}

func fill(s *string, fallback string) {
	if *s == "" {
		*s = fallback
	}
}

func commitOrganization(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1Organization) error {
	if old == nil {
		tx.stamp = &entity.Stamp{Organization: id[0], Version: entity.Millis(tx.Now)}
		tx.ChangedStamp()
		return nil
	}
	s, err := tx.Stamp()
	if err != nil {
		return err
	}
	if v == nil && len(s.Environments) > 0 {
		return entity.Errorf(entity.FailedPrecondition, "organization %q still has environments: %s", id[0], strings.Join(s.Environments, ", "))
	}
	tx.gone = v == nil
	tx.ChangedStamp()
	return nil
}

func commitEnvironment(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1Environment) error {
	s, err := tx.Stamp()
	if err != nil {
		return err
	}
	if v == nil {
		return removeEnvironment(tx, s, id[1])
	}
	if i, found := slices.BinarySearch(s.Environments, id[1]); !found {
		s.Environments = slices.Insert(s.Environments, i, id[1])
	}
	c, err := tx.EditConfig(id[1])
	if err != nil {
		return err
	}
	c.Environment = v
	return nil
}

func removeEnvironment(tx *Tx, s *entity.Stamp, env string) error {
	for name, g := range s.Groups {
		if slices.Contains(g.Environments(), env) {
			return entity.Errorf(entity.FailedPrecondition, "environment %q is attached to environment group %q", env, name)
		}
	}
	if err := unattached(tx, env); err != nil {
		return err
	}
	deployed, err := tx.Query(store.Query{Collection: "deployments", Prefix: entity.ID(tx.Organization, env) + "/", Limit: 1, NoData: true})
	if err != nil {
		return err
	}
	if len(deployed) > 0 {
		return entity.Errorf(entity.FailedPrecondition, "environment %q has deployments", env)
	}
	keys := ConfigKeys(s, env)
	i, _ := slices.BinarySearch(s.Environments, env)
	s.Environments = slices.Delete(s.Environments, i, i+1)
	s.Split = slices.DeleteFunc(s.Split, func(node string) bool { return strings.HasPrefix(node, env+"/") })
	delete(s.Changed, env)
	delete(s.Parts, env)
	tx.ChangedStamp()
	for _, key := range keys {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// unattached is an error if an instance has the environment.
func unattached(tx *Tx, env string) error {
	docs, err := tx.Query(store.Query{Collection: "instances", Prefix: tx.Organization + "/"})
	if err != nil {
		return err
	}
	for _, d := range docs {
		inst, err := Decode[entity.Instance](d)
		if err != nil {
			return err
		}
		for _, a := range inst.Attachments {
			if a.Environment == env {
				return entity.Errorf(entity.FailedPrecondition, "environment %q is attached to instance %q", env, inst.Name)
			}
		}
	}
	return nil
}

// environmentCollections hold what is configured in an environment under
// org/environment/.
var environmentCollections = []string{
	"targetservers", "references", "keystores", "propertysets", "caches", "flowhooks", "routes", "runtimeConfigs", "debugSessions", "debugTransactions",
}

// clearEnvironment removes what was configured in a deleted environment.
func (r *Registry) clearEnvironment(ctx context.Context, org, env string, _ []byte) error {
	for item, err := range r.ResourceFiles.List(ctx, Page{}, org, env) {
		if err != nil {
			return err
		}
		if err := r.archives.Delete(ctx, item.Value.Archive.ID); err != nil {
			return err
		}
	}
	prefixes := map[string]string{"resourcefiles": entity.ID(org, env)}
	for _, c := range environmentCollections {
		prefixes[c] = entity.ID(org, env)
	}
	for _, c := range []string{"keyvaluemaps", "kvmEntries"} {
		prefixes[c] = entity.ID(entity.MapScope{Environment: env}.Parts(org)...)
	}
	for c, prefix := range prefixes {
		if _, err := r.store.DeleteAll(ctx, store.Query{Collection: c, Prefix: prefix + "/"}); err != nil {
			return err
		}
	}
	return r.store.Delete(ctx, entity.Key("debugmasks", org, env))
}

// clearOrganization removes all that a deleted organization held.
func (r *Registry) clearOrganization(ctx context.Context, org, _ string, _ []byte) error {
	for item, err := range r.Revisions.List(ctx, Page{}, org) {
		if err != nil {
			return err
		}
		if err := r.archives.Delete(ctx, item.Value.Archive.ID); err != nil {
			return err
		}
	}
	for _, c := range store.Collections {
		if c.Name == "archives" || c.Name == "jobs" {
			continue
		}
		if _, err := r.store.DeleteAll(ctx, store.Query{Collection: c.Name, Prefix: org + "/"}); err != nil {
			return err
		}
	}
	return nil
}

// hostname reports whether h can be a host name of a group; a leading "*."
// stands for any labels.
func hostname(h string) bool {
	h = strings.TrimPrefix(h, "*.")
	if h == "*" {
		return true
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
		for _, c := range label {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
				return false
			}
		}
	}
	return len(h) <= 253
}

func checkHostnames(names []string) error {
	if len(names) > entity.MaxHostnames {
		return entity.Errorf(entity.InvalidArgument, "%d hostnames, at most %d are allowed", len(names), entity.MaxHostnames)
	}
	seen := map[string]bool{}
	for _, h := range names {
		lower := strings.ToLower(h)
		if !hostname(h) || seen[lower] {
			return entity.Errorf(entity.InvalidArgument, "hostname %q is invalid or given twice", h)
		}
		seen[lower] = true
	}
	return nil
}

func commitGroup(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1EnvironmentGroup) error {
	s, err := tx.Stamp()
	if err != nil {
		return err
	}
	tx.ChangedStamp()
	g := s.Groups[id[1]]
	if v == nil {
		if len(g.Attachments) > 0 {
			return entity.Errorf(entity.FailedPrecondition, "environment group %q still has attachments", id[1])
		}
		delete(s.Groups, id[1])
		return nil
	}
	for name, other := range s.Groups {
		for _, h := range v.Hostnames {
			if name != id[1] && slices.ContainsFunc(other.Hostnames, func(o string) bool { return strings.EqualFold(o, h) }) {
				return entity.Errorf(entity.AlreadyExists, "hostname %q already exists in environment group %q", h, name)
			}
		}
	}
	g.Hostnames = v.Hostnames
	put(&s.Groups, id[1], g)
	return nil
}

// Attach attaches an environment to a group. It is refused if base paths
// deployed in it are deployed in another environment of the group.
func (r *Registry) Attach(ctx context.Context, org, group, env string) (*apigee.GoogleCloudApigeeV1EnvironmentGroupAttachment, error) {
	a := &apigee.GoogleCloudApigeeV1EnvironmentGroupAttachment{
		Name: uuid.NewString(), Environment: env, EnvironmentGroupId: group, CreatedAt: entity.Millis(r.now()),
	}
	return a, r.Attachments.Create(ctx, a, org, group, a.Name)
}

// Detach removes an attachment from a group.
func (r *Registry) Detach(ctx context.Context, org, group, attachment string) (*apigee.GoogleCloudApigeeV1EnvironmentGroupAttachment, error) {
	return r.Attachments.Delete(ctx, org, group, attachment)
}

func commitAttachment(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1EnvironmentGroupAttachment) error {
	s, err := tx.Stamp()
	if err != nil {
		return err
	}
	g, ok := s.Groups[id[1]]
	if !ok {
		return entity.Errorf(entity.NotFound, "environment group %q not found", id[1])
	}
	tx.ChangedStamp()
	if v == nil {
		delete(g.Attachments, id[2])
		return nil
	}
	if _, err := tx.Environment(v.Environment); err != nil {
		return err
	}
	if slices.Contains(g.Environments(), v.Environment) {
		return entity.Errorf(entity.AlreadyExists, "environment %q is already attached to environment group %q", v.Environment, id[1])
	}
	if err := disjoint(tx, id[1], g, v.Environment); err != nil {
		return err
	}
	put(&g.Attachments, id[2], v.Environment)
	s.Groups[id[1]] = g
	return nil
}

// disjoint is an error if a base path of env is also one of the group's.
func disjoint(tx *Tx, group string, g entity.Group, env string) error {
	mine, err := basePaths(tx, env)
	if err != nil || len(mine) == 0 {
		return err
	}
	for _, other := range g.Environments() {
		theirs, err := basePaths(tx, other)
		if err != nil {
			return err
		}
		for path, proxy := range mine {
			if holder, ok := theirs[path]; ok {
				return entity.Errorf(entity.FailedPrecondition, "environment %q cannot be attached to environment group %q: base path %s of %q is deployed in environment %q as %q",
					env, group, path, proxy, other, holder)
			}
		}
	}
	return nil
}

// basePaths are the base paths deployed in an environment and whose they are.
func basePaths(tx *Tx, env string) (map[string]string, error) {
	docs, err := tx.Query(store.Query{Collection: "deployments", Prefix: entity.ID(tx.Organization, env, string(entity.API)) + "/"})
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for _, doc := range docs {
		d, err := Decode[entity.Deployment](doc)
		if err != nil {
			return nil, err
		}
		for _, e := range d.Endpoints {
			paths[e.BasePath] = d.Name
		}
	}
	return paths, nil
}

// EnsureOrganization creates the organization if there is none.
func (r *Registry) EnsureOrganization(ctx context.Context, org string) error {
	if ok, err := r.Organizations.Exists(ctx, org); ok || err != nil {
		return err
	}
	return unlessExists(r.Organizations.Create(ctx, &apigee.GoogleCloudApigeeV1Organization{DisplayName: org}, org))
}

// EnsureEnvironment creates the environment if there is none.
func (r *Registry) EnsureEnvironment(ctx context.Context, org, env string) error {
	if ok, err := r.Environments.Exists(ctx, org, env); ok || err != nil {
		return err
	}
	return unlessExists(r.Environments.Create(ctx, &apigee.GoogleCloudApigeeV1Environment{DisplayName: env}, org, env))
}

// EnsureGroup creates the environment group if there is none, with these host
// names, and attaches the environments that are not attached.
func (r *Registry) EnsureGroup(ctx context.Context, org, group string, hostnames []string, envs ...string) error {
	ok, err := r.Groups.Exists(ctx, org, group)
	if err != nil {
		return err
	}
	if !ok {
		g := &apigee.GoogleCloudApigeeV1EnvironmentGroup{Hostnames: hostnames}
		if err := unlessExists(r.Groups.Create(ctx, g, org, group)); err != nil {
			return err
		}
	}
	stamp, err := r.Stamp(ctx, org)
	if err != nil {
		return err
	}
	for _, env := range envs {
		if slices.Contains(stamp.Groups[group].Environments(), env) {
			continue
		}
		if _, err := r.Attach(ctx, org, group, env); unlessExists(err) != nil {
			return fmt.Errorf("attach %s to %s: %w", env, group, err)
		}
	}
	return nil
}

func unlessExists(err error) error {
	if entity.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// Stamp reads the organization's version stamp; NotFound if there is no such
// organization.
func (r *Registry) Stamp(ctx context.Context, org string) (*entity.Stamp, error) {
	d, err := r.store.Get(ctx, entity.StampKey(org))
	if store.IsNotFound(err) {
		return nil, entity.Errorf(entity.NotFound, "organization %q not found", org)
	}
	if err != nil {
		return nil, err
	}
	return Decode[entity.Stamp](d)
}

// Config reads the configuration of an environment as data planes see it; ""
// is the organization's.
func (r *Registry) Config(ctx context.Context, org, env string) (*entity.Config, error) {
	for {
		stamp, err := r.Stamp(ctx, org)
		if err != nil {
			return nil, err
		}
		if env != "" && !stamp.HasEnvironment(env) {
			return nil, r.Environments.notFound([]string{env})
		}
		docs, err := r.store.GetAll(ctx, ConfigKeys(stamp, env))
		if err != nil {
			return nil, err
		}
		if c, err := DecodeConfig(docs); !errors.Is(err, ErrChanged) {
			return c, err
		}
	}
}

// EditConfig changes what only the configuration of an environment holds, such
// as its trace configuration and its add-ons.
func (r *Registry) EditConfig(ctx context.Context, org, env string, edit func(*entity.Config) error) error {
	return r.Update(ctx, org, func(tx *Tx) error {
		c, err := tx.EditConfig(env)
		if err != nil {
			return err
		}
		return edit(c)
	})
}

// Touch has data planes look at an environment anew, after a change that is not
// in the registry: the certificate of an alias.
func (r *Registry) Touch(ctx context.Context, org, env string) error {
	return r.Update(ctx, org, func(tx *Tx) error {
		_, err := tx.Environment(env)
		tx.Changed(env)
		return err
	})
}

// Revoked has data planes drop what they have verified: see Tx.Revoke.
func (r *Registry) Revoked(ctx context.Context, org string) error {
	return r.Update(ctx, org, func(tx *Tx) error {
		_, err := tx.Stamp()
		tx.Revoke()
		return err
	})
}
