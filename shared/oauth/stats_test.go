package oauth_test

import (
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/oauth"
	"github.com/perigee-gateway/perigee/shared/oauth/oauthtest"
	"github.com/perigee-gateway/perigee/shared/policy"
)

func TestStats(t *testing.T) {
	oauthtest.Engines(t, func(t *testing.T, e *oauthtest.Env) {
		fixture(t, e)
		issue(t, e, oauthtest.Request("password", "app")) // expires: 30 minutes, 24 hours
		e.Wait(time.Hour)
		issue(t, e, oauthtest.Request("password", "app"))
		never := oauthtest.Request("client_credentials", "app")
		never.ExpiresIn = policy.NeverExpires
		issue(t, e, never)
		revoked := issue(t, e, oauthtest.Request("client_credentials", "app"))
		if err := e.SetApproved(t.Context(), policy.AccessToken, revoked.Text, false, false); err != nil {
			t.Fatal(err)
		}
		elsewhere := oauthtest.Request("client_credentials", "app")
		elsewhere.Proxy = "z"
		issue(t, e, elsewhere)
		other := issue(t, e, oauthtest.Request("client_credentials", "other"))
		list, err := oauth.Stats(t.Context(), e.Registry, oauthtest.Org, "")
		if err != nil {
			t.Fatal(err)
		}
		want := []oauth.Usage{
			{App: "app", AppID: revoked.AppID, Environment: "test", Proxy: "oauth", Access: oauth.Count{Live: 2, Never: 1, Revoked: 1, Expired: 1}, Refresh: oauth.Count{Live: 2}},
			{App: "app", AppID: revoked.AppID, Environment: "test", Proxy: "z", Access: oauth.Count{Live: 1}},
			{App: "other", AppID: other.AppID, Environment: "test", Proxy: "oauth", Access: oauth.Count{Live: 1}},
		}
		if len(list) != len(want) {
			t.Fatalf("%d rows, want %d", len(list), len(want))
		}
		for i := range want {
			if *list[i] != want[i] {
				t.Errorf("row %d: %+v, want %+v", i, *list[i], want[i])
			}
		}
		list, err = oauth.Stats(t.Context(), e.Registry, oauthtest.Org, other.AppID)
		if err != nil || len(list) != 1 || *list[0] != want[2] {
			t.Errorf("of one app: %d rows, %v", len(list), err)
		}
	})
}
