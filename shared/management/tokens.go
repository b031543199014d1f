package management

import "github.com/perigee-gateway/perigee/shared/oauth"

// tokenStats counts the tokens in the store by app, environment and proxy, or with
// the parameter app (an app's id) those of one app. It is perigee's own: Apigee has
// no such report. Each token counted is a read of the store.
func tokenStats(c *call) (any, error) {
	list, err := oauth.Stats(c.ctx(), c.Registry, c.param("org"), c.arg("app"))
	if err != nil {
		return nil, err
	}
	return struct {
		Tokens []*oauth.Usage `json:"tokens"`
	}{list}, nil
}
