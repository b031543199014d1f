package populatecache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/cache"
	"github.com/perigee-gateway/perigee/shared/cache/cachetest"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		if strings.HasSuffix(t.Name(), "no_caches") {
			return policy.Services{}
		}
		return policy.Services{Caches: cachetest.New(t, func() time.Time { return policytest.Now })}
	}))
}

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func call(c *clock, vars map[string]flow.Value) *flow.Context {
	p := &flow.Proxy{Organization: "org", Environment: "test", Name: "proxy", Revision: "1", Endpoint: "default"}
	fc := flow.New(p, c.Now)
	for name, v := range vars {
		fc.Put(name, v)
	}
	return fc
}

func populate(t *testing.T, c *clock, caches *cache.Caches, elements string, vars map[string]flow.Value) error {
	t.Helper()
	p := policytest.Compile(t, Kind, `<PopulateCache name="PC-1"><CacheKey><Prefix>k</Prefix></CacheKey><Source>v</Source>`+elements+`</PopulateCache>`, policy.Services{Caches: caches})
	return p.Run(t.Context(), call(c, vars))
}

// TestExpiry checks the moment from which the entry is gone.
func TestExpiry(t *testing.T) {
	for _, tt := range []struct{ settings, after string }{
		{``, "300s"},
		{`<ExpirySettings/>`, "300s"},
		{`<ExpirySettings><TimeoutInSeconds>1</TimeoutInSeconds></ExpirySettings>`, "1s"},
		{`<ExpirySettings><TimeoutInSeconds ref="ten">20</TimeoutInSeconds></ExpirySettings>`, "10s"},
		{`<ExpirySettings><TimeoutInSeconds ref="">20</TimeoutInSeconds></ExpirySettings>`, "20s"},
		{`<ExpirySettings><TimeoutInSeconds ref="unset">20</TimeoutInSeconds></ExpirySettings>`, "20s"},
		{`<ExpirySettings><TimeoutInSeconds ref="word">20</TimeoutInSeconds></ExpirySettings>`, "20s"},
		{`<ExpirySettings><TimeoutInSeconds ref="unset"/></ExpirySettings>`, "300s"},
		{`<ExpirySettings><TimeoutInSeconds>0</TimeoutInSeconds></ExpirySettings>`, "300s"},
		{`<ExpirySettings><TimeoutInSeconds>-5</TimeoutInSeconds></ExpirySettings>`, "300s"},
		{`<ExpirySettings><TimeoutInSeconds>99999999999</TimeoutInSeconds></ExpirySettings>`, "720h"},
		{`<ExpirySettings><TimeoutInSec>30</TimeoutInSec></ExpirySettings>`, "30s"},
		{`<ExpirySettings><TimeoutInSec ref="ten"/></ExpirySettings>`, "10s"},
		{`<ExpirySettings><TimeoutInSec>30</TimeoutInSec><TimeoutInSeconds>20</TimeoutInSeconds></ExpirySettings>`, "20s"},
		{`<ExpirySettings><TimeOfDay>13:00:00</TimeOfDay></ExpirySettings>`, "1h"},
		{`<ExpirySettings><TimeOfDay>11:59:58</TimeOfDay></ExpirySettings>`, "23h59m58s"},
		{`<ExpirySettings><TimeOfDay>12:00:00</TimeOfDay></ExpirySettings>`, "24h"},
		{`<ExpirySettings><TimeOfDay>24:00:00</TimeOfDay></ExpirySettings>`, "12h"},
		{`<ExpirySettings><TimeOfDay ref="time">13:00:00</TimeOfDay></ExpirySettings>`, "30m"},
		{`<ExpirySettings><TimeOfDay>25:00:00</TimeOfDay></ExpirySettings>`, "300s"},
		{`<ExpirySettings><TimeOfDay>13:00:00</TimeOfDay><TimeoutInSeconds>5</TimeoutInSeconds></ExpirySettings>`, "5s"},
		{`<ExpirySettings><ExpiryDate>04-03-2026</ExpiryDate></ExpirySettings>`, "36h"},
		{`<ExpirySettings><ExpiryDate>4-3-2026</ExpiryDate></ExpirySettings>`, "36h"},
		{`<ExpirySettings><ExpiryDate ref="date"/></ExpirySettings>`, "12h"},
		{`<ExpirySettings><ExpiryDate>03-31-2026</ExpiryDate></ExpirySettings>`, "300s"},
		{`<ExpirySettings><ExpiryDate>2026-04-03</ExpiryDate></ExpirySettings>`, "300s"},
		{`<ExpirySettings><ExpiryDate>01-01-2030</ExpiryDate></ExpirySettings>`, "720h"},
		{`<ExpirySettings><ExpiryDate>04-03-2026</ExpiryDate><TimeoutInSeconds>7</TimeoutInSeconds></ExpirySettings>`, "7s"},
	} {
		t.Run(tt.settings, func(t *testing.T) {
			c := &clock{policytest.Now}
			caches := cachetest.New(t, c.Now)
			vars := map[string]flow.Value{
				"v": flow.StringValue("value"), "ten": flow.IntValue(10), "word": flow.StringValue("soon"),
				"time": flow.StringValue("12:30:00"), "date": flow.StringValue("04-02-2026"),
			}
			if err := populate(t, c, caches, tt.settings, vars); err != nil {
				t.Fatal(err)
			}
			after, err := time.ParseDuration(tt.after)
			if err != nil {
				t.Fatal(err)
			}
			key := policy.CacheKey{Key: "k"}
			c.now = policytest.Now.Add(after - time.Microsecond)
			if _, ok := caches.Get(t.Context(), key, 0); !ok {
				t.Error("expired too soon")
			}
			c.now = policytest.Now.Add(after)
			if _, ok := caches.Get(t.Context(), key, 0); ok {
				t.Error("not expired")
			}
		})
	}
}

// TestSource checks what can be cached.
func TestSource(t *testing.T) {
	c := &clock{policytest.Now}
	for _, tt := range []struct {
		value flow.Value
		want  string
	}{
		{flow.StringValue("text"), "stext"},
		{flow.StringValue(""), "s"},
		{flow.IntValue(-7), "i-7"},
		{flow.FloatValue(0.1), "f0.1"},
		{flow.BoolValue(true), "btrue"},
		{flow.ListValue([]string{"a", `b"`}), `l["a","b\""]`},
		{flow.Value{}, ""},
		{flow.MessageValue(message.NewRequest()), ""},
		{flow.ObjectValue(struct{}{}), ""},
	} {
		caches := cachetest.New(t, c.Now)
		err := populate(t, c, caches, "", map[string]flow.Value{"v": tt.value})
		got, ok := caches.Get(t.Context(), policy.CacheKey{Key: "k"}, 0)
		if string(got) != tt.want || ok != (tt.want != "") || ok != (err == nil) {
			t.Errorf("%v: got %q, %v; want %q", tt.value, got, err, tt.want)
		}
	}
}

func TestSize(t *testing.T) {
	c := &clock{policytest.Now}
	for _, tt := range []struct {
		bytes    int
		elements string
		cached   bool
	}{
		{policy.MaxCacheValue - 1, "", true},
		{policy.MaxCacheValue, "", false},
		{2 << 10, "<SkipCacheIfElementSizeInKBExceeds>3</SkipCacheIfElementSizeInKBExceeds>", true},
		{4 << 10, "<SkipCacheIfElementSizeInKBExceeds>3</SkipCacheIfElementSizeInKBExceeds>", false},
	} {
		t.Run(fmt.Sprint(tt.bytes, tt.elements), func(t *testing.T) {
			caches := cachetest.New(t, c.Now)
			if err := populate(t, c, caches, tt.elements, map[string]flow.Value{"v": flow.StringValue(strings.Repeat("x", tt.bytes))}); err != nil {
				t.Fatal(err)
			}
			if _, ok := caches.Get(t.Context(), policy.CacheKey{Key: "k"}, 0); ok != tt.cached {
				t.Errorf("cached: %v", ok)
			}
		})
	}
}

func BenchmarkRun(b *testing.B) {
	caches := cachetest.New(b, time.Now)
	p := policytest.Compile(b, Kind, `<PopulateCache name="PC-1">
  <CacheKey><KeyFragment ref="request.path"/></CacheKey>
  <ExpirySettings><TimeoutInSeconds>60</TimeoutInSeconds></ExpirySettings>
  <Source>v</Source>
</PopulateCache>`, policy.Services{Caches: caches})
	policytest.Bench(b, p, map[string]string{"request": "GET /v1/test\n", "vars": "v = value\n"})
}
