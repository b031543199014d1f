package javatime

import (
	"strings"
	"time"
	_ "time/tzdata" // small container images have no zone database
)

// shortZones are the three-letter zone names that Java keeps.
var shortZones = map[string]string{
	"ACT": "Australia/Darwin", "AET": "Australia/Sydney", "AGT": "America/Argentina/Buenos_Aires", "ART": "Africa/Cairo",
	"AST": "America/Anchorage", "BET": "America/Sao_Paulo", "BST": "Asia/Dhaka", "CAT": "Africa/Harare", "CNT": "America/St_Johns",
	"CST": "America/Chicago", "CTT": "Asia/Shanghai", "EAT": "Africa/Addis_Ababa", "ECT": "Europe/Paris",
	"IET": "America/Indiana/Indianapolis", "IST": "Asia/Kolkata", "JST": "Asia/Tokyo", "MIT": "Pacific/Apia", "NET": "Asia/Yerevan",
	"NST": "Pacific/Auckland", "PLT": "Asia/Karachi", "PNT": "America/Phoenix", "PRT": "America/Puerto_Rico",
	"PST": "America/Los_Angeles", "SST": "Pacific/Guadalcanal", "VST": "Asia/Ho_Chi_Minh",
}

// Zone returns the zone with a name as TimeZone.getTimeZone does: a region, an
// old short name, or GMT+hh:mm. An unknown name is UTC.
func Zone(name string) *time.Location {
	if rest, ok := strings.CutPrefix(name, "GMT"); ok && rest != "" {
		if len(rest) > 1 && (rest[0] == '+' || rest[0] == '-') {
			if loc, tail, ok := offset(rest, true); ok && tail == "" {
				return loc
			}
		}
		return time.UTC
	}
	if region, ok := shortZones[name]; ok {
		name = region
	}
	if name == "" || name == "Local" {
		return time.UTC
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return loc
}
