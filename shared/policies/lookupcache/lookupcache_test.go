package lookupcache

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/cache/cachetest"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func now() time.Time { return policytest.Now }

// TestCases has entries in the caches: what their keys say.
func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if strings.HasSuffix(t.Name(), "no_caches") {
			return policy.Services{}
		}
		c := cachetest.New(t, now)
		for _, e := range []struct{ cache, key, value string }{
			{"", "org__test__k", "sglobal"},
			{"", "org__test__proxy__k", "sapplication"},
			{"", "org__test__proxy__1__default__k", "sendpoint"},
			{"", "Token__a__b", "sprefixed"},
			{"named", "Token__a__b", "snamed"},
			{"", "Number__", "i42"},
			{"", "Broken__", "?"},
		} {
			c.Put(t.Context(), policy.CacheKey{Cache: e.cache, Key: e.key}, []byte(e.value), time.Time{})
		}
		return policy.Services{Caches: c}
	}))
}

func BenchmarkRun(b *testing.B) {
	c := cachetest.New(b, now)
	c.Put(context.Background(), policy.CacheKey{Key: "org__test__proxy__1__default__k__/v1/test"}, []byte("svalue"), time.Time{})
	p := policytest.Compile(b, Kind, `<LookupCache name="LC-1">
  <CacheKey><KeyFragment>k</KeyFragment><KeyFragment ref="request.path"/></CacheKey>
  <AssignTo>v</AssignTo>
</LookupCache>`, policy.Services{Caches: c})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/test\n"})
}
