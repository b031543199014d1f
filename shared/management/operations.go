package management

import apigee "google.golang.org/api/apigee/v1"

func getOperation(c *call) (any, error) {
	return c.Registry.Operations.Get(c.ctx(), c.ids("org", "operation")...)
}

func listOperations(c *call) (any, error) {
	list, next, err := pageOf(c, c.Registry.Operations, 100, 1000, c.param("org"))
	return &apigee.GoogleLongrunningListOperationsResponse{Operations: list, NextPageToken: next}, err
}
