package spike

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is so many messages in a period.
type Rate struct {
	Messages int64
	Period   time.Duration // a second or a minute
}

// ParseRate reads "Nps" or "Npm".
func ParseRate(text string) (Rate, bool) {
	text = strings.TrimSpace(text)
	if len(text) < 3 {
		return Rate{}, false
	}
	r := Rate{}
	switch text[len(text)-2:] {
	case "ps", "PS":
		r.Period = time.Second
	case "pm", "PM":
		r.Period = time.Minute
	default:
		return Rate{}, false
	}
	var err error
	r.Messages, err = strconv.ParseInt(text[:len(text)-2], 10, 32)
	return r, err == nil && r.Messages > 0
}

// burst is how many messages may come at once after a pause: a tenth of the
// rate, at least one.
func (r Rate) burst() float64 { return max(1, float64(r.Messages)/10) }

// String is how Apigee writes a rate in the fault string.
func (r Rate) String() string {
	burst := strconv.FormatFloat(r.burst(), 'f', -1, 64)
	if !strings.Contains(burst, ".") {
		burst += ".0"
	}
	return fmt.Sprintf("MessageRate{messagesPerPeriod=%d, periodInMicroseconds=%d, maxBurstMessageCount=%s}",
		r.Messages, r.Period.Microseconds(), burst)
}
