package responsecache

import (
	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// checkAttachment refuses a policy that is attached to more than one request flow
// or more than one response flow.
// Source: https://cloud.google.com/apigee/docs/api-platform/troubleshoot/policies/deployment/response-cache-deployment-errors
func checkAttachment(env *policy.Env) {
	var request, response int
	count := func(e *bundle.Endpoint) {
		flows := append([]*bundle.Flow{e.PreFlow, e.PostFlow}, e.Flows...)
		for _, f := range flows {
			if f == nil {
				continue
			}
			request += attached(f.Request, env.Name())
			response += attached(f.Response, env.Name())
		}
	}
	for _, p := range env.Bundle.Proxies {
		count(&p.Endpoint)
	}
	for _, t := range env.Bundle.Targets {
		count(&t.Endpoint)
	}
	if request > 1 {
		env.Errorf(env.Pos, "ResponseCacheStepAttachmentNotAllowedReq: Response cache step definition %s can't be attached more than once in the request path", env.Name())
	}
	if response > 1 {
		env.Errorf(env.Pos, "ResponseCacheStepAttachmentNotAllowedResp: Response cache step definition %s can't be attached more than once in the response path", env.Name())
	}
}

func attached(steps []*bundle.Step, name string) int {
	n := 0
	for _, s := range steps {
		if s.Name == name {
			n++
		}
	}
	return n
}
