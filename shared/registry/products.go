package registry

import (
	"fmt"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// prepareProduct checks an API product. That proxies and environments exist is
// not asked: a product may be there before them, and matches no call until then.
// Source: management reference, "ApiProduct"
func prepareProduct(id []string, old, v *apigee.GoogleCloudApigeeV1ApiProduct, now int64) (err error) {
	v.Name, v.LastModifiedAt, v.CreatedAt = id[1], now, now
	fill(&v.ApprovalType, "auto")
	v.Environments, v.Proxies, v.ApiResources, v.Scopes = entity.Scopes(v.Environments), entity.Scopes(v.Proxies), entity.Scopes(v.ApiResources), entity.Scopes(v.Scopes)
	if old != nil {
		v.CreatedAt = old.CreatedAt
	}
	if err := among("approvalType", v.ApprovalType, "auto", "manual"); err != nil {
		return err
	}
	if v.Attributes, err = entity.CheckAttributes(v.Attributes, entity.MaxAttributes); err != nil {
		return err
	}
	if err := entity.CheckQuota("quota", v.Quota, v.QuotaInterval, v.QuotaTimeUnit); err != nil {
		return err
	}
	if err := entity.CheckQuota("llmQuota", v.LlmQuota, v.LlmQuotaInterval, v.LlmQuotaTimeUnit); err != nil {
		return err
	}
	if err := among("quotaCounterScope", v.QuotaCounterScope, "", "QUOTA_COUNTER_SCOPE_UNSPECIFIED", "PROXY", "OPERATION", "PRODUCT"); err != nil {
		return err
	}
	if len(v.Proxies) > entity.MaxProductProxies || len(v.ApiResources) > entity.MaxProductPaths {
		return entity.Errorf(entity.InvalidArgument, "%d proxies and %d apiResources, at most %d and %d are allowed",
			len(v.Proxies), len(v.ApiResources), entity.MaxProductProxies, entity.MaxProductPaths)
	}
	return checkGroups(v)
}

// operation is what the operation configurations of all groups have in common.
type operation struct {
	what       string
	source     string
	operations int
	attributes *[]*apigee.GoogleCloudApigeeV1Attribute
	quota      *apigee.GoogleCloudApigeeV1Quota
}

func checkGroups(v *apigee.GoogleCloudApigeeV1ApiProduct) error {
	ops, err := operationsOf(v)
	if err != nil {
		return err
	}
	if hasGroup(v) && (len(v.Proxies) > 0 || len(v.ApiResources) > 0) {
		return entity.Errorf(entity.InvalidArgument, "proxies and apiResources cannot be given together with an operation group")
	}
	total := 0
	for _, op := range ops {
		if total += max(op.operations, 1); total > entity.MaxProductOperations {
			return entity.Errorf(entity.InvalidArgument, "Operation group limit of %d exceeded in Operation Config", entity.MaxProductOperations+1)
		}
		if op.source == "" {
			return missing("apiSource of " + op.what)
		}
		if *op.attributes, err = entity.CheckAttributes(*op.attributes, entity.MaxOperationAttributes); err != nil {
			return err
		}
		if q := op.quota; q != nil {
			if err := entity.CheckQuota("quota of "+op.what+" ", q.Limit, q.Interval, q.TimeUnit); err != nil {
				return err
			}
		}
	}
	return nil
}

func hasGroup(v *apigee.GoogleCloudApigeeV1ApiProduct) bool {
	return v.OperationGroup != nil || v.GraphqlOperationGroup != nil || v.GrpcOperationGroup != nil ||
		v.LlmOperationGroup != nil || v.PayloadOperationGroup != nil
}

// operationsOf are the operation configurations of all groups; an error if one
// is null or lacks a resource.
func operationsOf(v *apigee.GoogleCloudApigeeV1ApiProduct) ([]operation, error) {
	var ops []operation
	add := func(group string, i int, op operation) {
		op.what = fmt.Sprintf("%s.operationConfigs[%d]", group, i)
		ops = append(ops, op)
	}
	if g := v.OperationGroup; g != nil {
		fill(&g.OperationConfigType, "proxy")
		if err := among("operationConfigType", g.OperationConfigType, "proxy", "remoteservice"); err != nil {
			return nil, err
		}
		for i, c := range g.OperationConfigs {
			if c == nil {
				return nil, missing("an operation configuration")
			}
			for _, o := range c.Operations {
				if o == nil || o.Resource == "" {
					return nil, missing("resource of an operation")
				}
			}
			add("operationGroup", i, operation{source: c.ApiSource, operations: len(c.Operations), attributes: &c.Attributes, quota: c.Quota})
		}
	}
	if g := v.GraphqlOperationGroup; g != nil {
		fill(&g.OperationConfigType, "proxy")
		if err := among("operationConfigType", g.OperationConfigType, "proxy", "remoteservice"); err != nil {
			return nil, err
		}
		for i, c := range g.OperationConfigs {
			if c == nil {
				return nil, missing("an operation configuration")
			}
			for _, o := range c.Operations {
				if o == nil || len(o.OperationTypes) == 0 {
					return nil, missing("operationTypes of a GraphQL operation")
				}
			}
			add("graphqlOperationGroup", i, operation{source: c.ApiSource, operations: len(c.Operations), attributes: &c.Attributes, quota: c.Quota})
		}
	}
	if g := v.GrpcOperationGroup; g != nil {
		for i, c := range g.OperationConfigs {
			if c == nil || c.Service == "" {
				return nil, missing("service of a gRPC operation")
			}
			add("grpcOperationGroup", i, operation{source: c.ApiSource, operations: len(c.Methods), attributes: &c.Attributes, quota: c.Quota})
		}
	}
	if g := v.LlmOperationGroup; g != nil {
		for i, c := range g.OperationConfigs {
			if c == nil {
				return nil, missing("an operation configuration")
			}
			for _, o := range c.LlmOperations {
				if o == nil || o.Resource == "" {
					return nil, missing("resource of an LLM operation")
				}
			}
			add("llmOperationGroup", i, operation{source: c.ApiSource, operations: len(c.LlmOperations), attributes: &c.Attributes, quota: quotaOf(c.LlmTokenQuota)})
		}
	}
	if g := v.PayloadOperationGroup; g != nil {
		for i, c := range g.OperationConfigs {
			if c == nil {
				return nil, missing("an operation configuration")
			}
			for _, o := range c.Operations {
				if o == nil || o.Operation == "" {
					return nil, missing("operation of a payload operation")
				}
			}
			add("payloadOperationGroup", i, operation{source: c.ApiSource, operations: len(c.Operations), attributes: &c.Attributes, quota: c.Quota})
		}
	}
	return ops, nil
}

func quotaOf(q *apigee.GoogleCloudApigeeV1LlmTokenQuota) *apigee.GoogleCloudApigeeV1Quota {
	if q == nil {
		return nil
	}
	return &apigee.GoogleCloudApigeeV1Quota{Limit: q.Limit, Interval: q.Interval, TimeUnit: q.TimeUnit}
}
