package invalidatecache

import (
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/cache/cachetest"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func now() time.Time { return policytest.Now }

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if strings.HasSuffix(t.Name(), "no_caches") {
			return policy.Services{}
		}
		return policy.Services{Caches: cachetest.New(t, now)}
	}))
}

// TestPurge checks which entries are gone afterwards.
func TestPurge(t *testing.T) {
	keys := []string{"p", "p__a", "p__a__b", "p__ab", "org__test__other__1__default__a", "org__test__proxy__1__default__a", "org__test__proxy__1__default__a__b", "org__test__proxy__1__east__a"}
	for _, tt := range []struct{ elements, gone string }{
		{`<CacheKey><Prefix>p</Prefix></CacheKey>`, "p"},
		{`<CacheKey><Prefix>p</Prefix><KeyFragment ref="a"/></CacheKey>`, "p__a"},
		{`<CacheKey><Prefix>p</Prefix><KeyFragment>a</KeyFragment></CacheKey><PurgeChildEntries>true</PurgeChildEntries>`, "p__a p__a__b p__ab"},
		{`<CacheKey><Prefix>p</Prefix></CacheKey><PurgeChildEntries>true</PurgeChildEntries>`, "p p__a p__a__b p__ab"},
		{`<CacheKey><Prefix>p</Prefix></CacheKey><CacheResource>other</CacheResource><PurgeChildEntries>true</PurgeChildEntries>`, ""},
		{`<CacheKey><KeyFragment>a</KeyFragment></CacheKey><IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables>`, "org__test__proxy__1__default__a"},
		{`<CacheKey><KeyFragment>a</KeyFragment></CacheKey><CacheContext><APIProxyName>other</APIProxyName></CacheContext>`, "org__test__other__1__default__a"},
		{`<CacheKey><KeyFragment>a</KeyFragment></CacheKey><CacheContext><TargetName>east</TargetName></CacheContext>`, "org__test__proxy__1__east__a"},
		{`<CacheKey><KeyFragment>a</KeyFragment></CacheKey><Scope>Target</Scope><CacheContext><TargetName>east</TargetName></CacheContext>`, "org__test__proxy__1__east__a"},
		{`<CacheKey><KeyFragment>a</KeyFragment></CacheKey><Scope>Exclusive</Scope><CacheContext><APIProxyName>proxy</APIProxyName><ProxyName>east</ProxyName></CacheContext>`, "org__test__proxy__1__east__a"},
		{`<CacheKey><KeyFragment/></CacheKey><Scope>Application</Scope><PurgeChildEntries>true</PurgeChildEntries>`, "org__test__proxy__1__default__a org__test__proxy__1__default__a__b org__test__proxy__1__east__a"},
		{`<CacheKey/><Scope>Application</Scope><PurgeChildEntries>true</PurgeChildEntries>`, "org__test__proxy__1__default__a org__test__proxy__1__default__a__b org__test__proxy__1__east__a"},
	} {
		t.Run(tt.elements, func(t *testing.T) {
			caches := cachetest.New(t, now)
			for _, k := range keys {
				caches.Put(t.Context(), policy.CacheKey{Key: k}, []byte("sv"), time.Time{})
			}
			p := policytest.Compile(t, Kind, `<InvalidateCache name="IC-1">`+tt.elements+`</InvalidateCache>`, policy.Services{Caches: caches})
			fc := policytest.Context(t, map[string][]byte{"vars": []byte("a = a\n")})
			if err := p.Run(t.Context(), fc); err != nil {
				t.Fatal(err)
			}
			var gone []string
			for _, k := range keys {
				if _, ok := caches.Get(t.Context(), policy.CacheKey{Key: k}, 0); !ok {
					gone = append(gone, k)
				}
			}
			sort.Strings(gone)
			if got := strings.Join(gone, " "); got != tt.gone {
				t.Errorf("gone: %s\nwant: %s", got, tt.gone)
			}
		})
	}
}

func BenchmarkRun(b *testing.B) {
	p := policytest.Compile(b, Kind, `<InvalidateCache name="IC-1"><CacheKey><KeyFragment ref="request.path"/></CacheKey></InvalidateCache>`, policy.Services{Caches: cachetest.New(b, now)})
	policytest.Bench(b, p, nil)
}
