package management

import (
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

var caches = resource[entity.Cache]{
	noun: "cache", scope: []string{"org", "env"}, id: "cache",
	kind: func(r *registry.Registry) *registry.Kind[entity.Cache] { return r.Caches },
	name: func(v *entity.Cache) *string { return &v.Name },
	show: func(*entity.Cache) any { return nil },
}
