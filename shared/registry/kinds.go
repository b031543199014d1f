package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// operationLife is how long operations can be asked for.
const operationLife = 30 * 24 * time.Hour

func (r *Registry) kinds() {
	r.organizations()
	r.environment()
	r.keyValueMaps()
	r.resources()
	r.publishing()
	r.monetization()
	r.administration()
	r.Instances = NewKind(r, Spec[entity.Instance]{
		Noun: "instance", Collection: "instances", Name: entity.InstanceName.Check,
		Fields: fieldsOf[entity.Instance]("org"),
		Prepare: func(id []string, old, v *entity.Instance, now int64) error {
			v.Name, v.LastModifiedAt = id[1], now
			if v.CreatedAt == 0 {
				v.CreatedAt = now
			}
			fill(&v.State, "ACTIVE")
			return nil
		},
		Commit: func(tx *Tx, id []string, old, v *entity.Instance) error {
			if v == nil && len(old.Attachments) > 0 {
				return entity.Errorf(entity.FailedPrecondition, "instance %q still has attachments", id[1])
			}
			return nil
		},
	})
	r.Operations = NewKind(r, Spec[apigee.GoogleLongrunningOperation]{
		Noun: "operation", Collection: "operations", Life: operationLife,
		Fields: fieldsOf[apigee.GoogleLongrunningOperation]("org"),
	})
	proxies := func(kind entity.Kind, rule entity.NameRule) *Kind[entity.Proxy] {
		return NewKind(r, Spec[entity.Proxy]{
			Noun: kind.String(), Collection: kind.Plural(), Name: rule.Check,
			Fields: func(id []string, v *entity.Proxy) map[string]string {
				return map[string]string{"org": id[0], "space": v.Space}
			},
		})
	}
	r.APIs = proxies(entity.API, entity.ProxyName)
	r.SharedFlows = proxies(entity.SharedFlow, entity.SharedFlowName)
	r.Revisions = NewKind(r, Spec[entity.Revision]{
		Noun: "revision", Collection: "revisions", Fields: fieldsOf[entity.Revision]("org", "kind", "name"),
	})
	r.Deployments = NewKind(r, Spec[entity.Deployment]{
		Noun: "deployment", Collection: "deployments", Fields: fieldsOf[entity.Deployment]("org", "environment", "kind", "name"),
	})
	r.DataCollectors = NewKind(r, Spec[apigee.GoogleCloudApigeeV1DataCollector]{
		Noun: "data collector", Collection: "datacollectors", Name: entity.DataCollectorName.Check,
		Fields: fieldsOf[apigee.GoogleCloudApigeeV1DataCollector]("org"),
		Prepare: func(id []string, old, v *apigee.GoogleCloudApigeeV1DataCollector, now int64) error {
			v.Name, v.LastModifiedAt = id[1], now
			if v.CreatedAt == 0 {
				v.CreatedAt = now
			}
			return among("type of a data collector", v.Type, "INTEGER", "FLOAT", "STRING", "BOOLEAN", "DATETIME")
		},
		Commit: func(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1DataCollector) error {
			c, err := tx.EditConfig("")
			if err != nil {
				return err
			}
			if v == nil {
				delete(c.DataCollectors, id[1])
				return nil
			}
			put(&c.DataCollectors, id[1], v.Type)
			return nil
		},
	})
}

func among(what, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return entity.Errorf(entity.InvalidArgument, "%s is %q, want %s", what, value, strings.Join(allowed, ", "))
}

// mirror is a Commit that keeps one map of the environment's Config in step.
// limit bounds its entries; 0 is none.
func mirror[T, V any](what string, limit int, part func(*entity.Config) *map[string]V, value func(*T) V) func(*Tx, []string, *T, *T) error {
	return func(tx *Tx, id []string, old, v *T) error {
		c, err := tx.EditConfig(id[1])
		if err != nil {
			return err
		}
		m, name := part(c), id[len(id)-1]
		if v == nil {
			delete(*m, name)
			return nil
		}
		put(m, name, value(v))
		if limit > 0 && old == nil && len(*m) > limit {
			return entity.Errorf(entity.ResourceExhausted, "environment %q has %d %s, more are not allowed", id[1], limit, what)
		}
		return nil
	}
}

// same is the value of what is mirrored as it is.
func same[T any](v *T) *T { return v }

// FlowHookPoints are the flow hooks of an environment.
var FlowHookPoints = []string{"PreProxyFlowHook", "PreTargetFlowHook", "PostTargetFlowHook", "PostProxyFlowHook"}

func (r *Registry) environment() {
	r.TargetServers = NewKind(r, Spec[entity.TargetServer]{
		Noun: "target server", Collection: "targetservers", Name: entity.TargetServerName.Check, Environment: true,
		Fields: fieldsOf[entity.TargetServer]("org", "environment"), Prepare: checkTargetServer,
		Commit: mirror("target servers", entity.MaxTargetServers,
			func(c *entity.Config) *map[string]*entity.TargetServer { return &c.Targets }, same[entity.TargetServer]),
	})
	r.References = NewKind(r, Spec[apigee.GoogleCloudApigeeV1Reference]{
		Noun: "reference", Collection: "references", Name: entity.ReferenceName.Check, Environment: true,
		Fields: func(id []string, v *apigee.GoogleCloudApigeeV1Reference) map[string]string {
			return map[string]string{"org": id[0], "environment": id[1], "refers": v.Refers}
		},
		Prepare: func(id []string, old, v *apigee.GoogleCloudApigeeV1Reference, now int64) error {
			v.Name = id[2]
			fill(&v.ResourceType, "KeyStore")
			return among("resourceType", v.ResourceType, "KeyStore", "TrustStore")
		},
		Commit: r.commitReference,
	})
	r.Keystores = NewKind(r, Spec[apigee.GoogleCloudApigeeV1Keystore]{
		Noun: "keystore", Collection: "keystores", Name: entity.KeystoreName.Check, Environment: true,
		Fields: fieldsOf[apigee.GoogleCloudApigeeV1Keystore]("org", "environment"),
		Prepare: func(id []string, old, v *apigee.GoogleCloudApigeeV1Keystore, now int64) error {
			v.Name = id[2]
			if len(v.Aliases) > entity.MaxAliases {
				return entity.Errorf(entity.ResourceExhausted, "keystore %q has %d aliases, more are not allowed", id[2], entity.MaxAliases)
			}
			return nil
		},
		Commit: commitKeystore,
	})
	r.FlowHooks = NewKind(r, Spec[apigee.GoogleCloudApigeeV1FlowHook]{
		Noun: "flow hook", Collection: "flowhooks", Environment: true,
		Fields: func(id []string, v *apigee.GoogleCloudApigeeV1FlowHook) map[string]string {
			return map[string]string{"org": id[0], "environment": id[1], "sharedflow": v.SharedFlow}
		},
		Prepare: func(id []string, old, v *apigee.GoogleCloudApigeeV1FlowHook, now int64) error {
			if v.FlowHookPoint = id[2]; v.SharedFlow == "" {
				return entity.Errorf(entity.InvalidArgument, "sharedFlow of flow hook %s is missing", id[2])
			}
			return among("flow hook", id[2], FlowHookPoints...)
		},
		Commit: mirror("flow hooks", 0,
			func(c *entity.Config) *map[string]*apigee.GoogleCloudApigeeV1FlowHook { return &c.FlowHooks }, same[apigee.GoogleCloudApigeeV1FlowHook]),
	})
	r.debugSessions()
	r.DebugMasks = NewKind(r, Spec[apigee.GoogleCloudApigeeV1DebugMask]{
		Noun: "debug mask", Collection: "debugmasks", Environment: true,
		Fields: fieldsOf[apigee.GoogleCloudApigeeV1DebugMask]("org", "environment"),
		Prepare: func(id []string, old, v *apigee.GoogleCloudApigeeV1DebugMask, now int64) error {
			v.Name = fmt.Sprintf("organizations/%s/environments/%s/debugmask", id[0], id[1])
			return nil
		},
		Commit: func(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1DebugMask) error {
			c, err := tx.EditConfig(id[1])
			if err == nil {
				c.DebugMask = v
			}
			return err
		},
	})
	r.Caches = NewKind(r, Spec[entity.Cache]{
		Noun: "cache", Collection: "caches", Name: entity.CacheName.Check, Environment: true,
		Fields:  fieldsOf[entity.Cache]("org", "environment"),
		Prepare: func(id []string, old, v *entity.Cache, now int64) error { v.Name = id[2]; return nil },
		Commit: mirror("caches", 0, func(c *entity.Config) *map[string]entity.Cache { return &c.Caches },
			func(v *entity.Cache) entity.Cache { return *v }),
	})
}

func checkTargetServer(id []string, old, v *entity.TargetServer, now int64) error {
	v.Name = id[2]
	fill(&v.Protocol, "HTTP")
	switch {
	case v.Host == "" || strings.ContainsAny(v.Host, "/ \t\r\n@"):
		return entity.Errorf(entity.InvalidArgument, "host %q of target server %q is not allowed", v.Host, id[2])
	case v.Port < 1 || v.Port > 65535:
		return entity.Errorf(entity.InvalidArgument, "port %d of target server %q is not between 1 and 65535", v.Port, id[2])
	}
	return among("protocol", v.Protocol, "HTTP", "HTTP2", "GRPC_TARGET", "GRPC", "EXTERNAL_CALLOUT", "PROTOCOL_UNSPECIFIED")
}

// commitReference refuses a reference to what does not exist, as Apigee does.
func (r *Registry) commitReference(tx *Tx, id []string, old, v *apigee.GoogleCloudApigeeV1Reference) error {
	c, err := tx.EditConfig(id[1])
	if err != nil {
		return err
	}
	if v == nil {
		delete(c.References, id[2])
		return nil
	}
	if _, err := r.Keystores.In(tx, id[0], id[1], v.Refers); entity.IsNotFound(err) {
		return entity.Errorf(entity.InvalidArgument, "reference %q: keystore %q not found in environment %q", id[2], v.Refers, id[1])
	} else if err != nil {
		return err
	}
	put(&c.References, id[2], v)
	return nil
}

// AttachInstance attaches an environment to an instance.
func (r *Registry) AttachInstance(ctx context.Context, org, instance, env string) (*apigee.GoogleCloudApigeeV1InstanceAttachment, error) {
	a := &apigee.GoogleCloudApigeeV1InstanceAttachment{Name: uuid.NewString(), Environment: env, CreatedAt: entity.Millis(r.now())}
	if ok, err := r.Environments.Exists(ctx, org, env); err != nil {
		return nil, err
	} else if !ok {
		return nil, r.Environments.notFound([]string{env})
	}
	_, err := r.Instances.Update(ctx, func(v *entity.Instance) error {
		for _, have := range v.Attachments {
			if have.Environment == env {
				return entity.Errorf(entity.AlreadyExists, "environment %q is already attached to instance %q", env, instance)
			}
		}
		v.Attachments = append(v.Attachments, a)
		return nil
	}, org, instance)
	return a, err
}

// DetachInstance removes an attachment from an instance.
func (r *Registry) DetachInstance(ctx context.Context, org, instance, attachment string) error {
	_, err := r.Instances.Update(ctx, func(v *entity.Instance) error {
		n := len(v.Attachments)
		v.Attachments = slices.DeleteFunc(v.Attachments, func(a *apigee.GoogleCloudApigeeV1InstanceAttachment) bool { return a.Name == attachment })
		if len(v.Attachments) == n {
			return entity.Errorf(entity.NotFound, "attachment %q not found", attachment)
		}
		return nil
	}, org, instance)
	return err
}

// Operation records a long-running operation that is done, as perigee does
// everything before it answers. typ is INSERT, UPDATE or DELETE, target the
// resource's name, response the resource; its answers have no more than that.
func (r *Registry) Operation(ctx context.Context, org, typ, target string, response any) (*apigee.GoogleLongrunningOperation, error) {
	id := uuid.NewString()
	meta, err := json.Marshal(map[string]string{
		"@type":         "type.googleapis.com/google.cloud.apigee.v1.OperationMetadata",
		"operationType": typ, "targetResourceName": target, "state": "FINISHED",
	})
	if err != nil {
		return nil, err
	}
	op := &apigee.GoogleLongrunningOperation{Name: "organizations/" + org + "/operations/" + id, Done: true, Metadata: meta}
	if response != nil {
		if op.Response, err = json.Marshal(response); err != nil {
			return nil, err
		}
	}
	return op, r.Operations.Create(ctx, op, org, id)
}
