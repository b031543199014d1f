package management

import (
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

var targetServers = resource[entity.TargetServer]{
	noun: "target server", scope: []string{"org", "env"}, id: "targetserver",
	kind: func(r *registry.Registry) *registry.Kind[entity.TargetServer] { return r.TargetServers },
	name: func(t *entity.TargetServer) *string { return &t.Name },
}
