package responsecache

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/message"
)

// until is when the entry expires; false if the response may not be kept.
func (s *step) until(fc *flow.Context, resp *message.Message) (time.Time, bool) {
	until := s.lifetime.Until(fc)
	if !s.byHeaders {
		return until, true
	}
	now := fc.Now()
	allowed, said, ok := freshness(resp, now)
	if !ok {
		return time.Time{}, false
	}
	if said && (until.IsZero() || allowed.Before(until)) {
		until = allowed
	}
	return until, until.IsZero() || until.After(now)
}

// freshness is until when the response's headers let a shared cache keep it:
// s-maxage, else max-age, else Expires (RFC 9111 sections 4.2.1 and 5.2.2). said
// is false if they say nothing, ok if they forbid it.
func freshness(resp *message.Message, now time.Time) (until time.Time, said, ok bool) {
	shared, own := time.Duration(-1), time.Duration(-1)
	for _, d := range strings.Split(resp.Header.Joined("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache", "private":
			return time.Time{}, true, false
		case "s-maxage":
			shared = seconds(value)
		case "max-age":
			own = seconds(value)
		}
	}
	switch {
	case shared >= 0:
		return now.Add(shared), true, true
	case own >= 0:
		return now.Add(own), true, true
	case !resp.Header.Has("Expires"):
		return time.Time{}, false, true
	}
	at, err := http.ParseTime(resp.Header.Get("Expires"))
	if err != nil { // as "0", which means that it has expired
		return time.Time{}, true, false
	}
	return at, true, true
}

// seconds reads a number of seconds; -1 if it is none.
func seconds(s string) time.Duration {
	n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(s), `"`), 10, 63)
	if err != nil {
		return -1
	}
	return time.Duration(min(n, 1<<31)) * time.Second
}
