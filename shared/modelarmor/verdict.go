package modelarmor

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
)

// What Model Armor says.
const (
	matchFound   = "MATCH_FOUND"
	noMatchFound = "NO_MATCH_FOUND"
)

// verdict is an answer of Model Armor: SanitizationResult of its REST API.
type verdict struct {
	Result *struct {
		MatchState string          `json:"filterMatchState"`
		Invocation string          `json:"invocationResult"`
		Filters    json.RawMessage `json:"filterResults"`
		Metadata   struct {
			ErrorCode    json.Number `json:"errorCode"`
			ErrorMessage string      `json:"errorMessage"`
		} `json:"sanitizationMetadata"`
	} `json:"sanitizationResult"`
}

// judge sets the variables and refuses what a filter matched.
func (s *Step) judge(fc *flow.Context, data []byte) error {
	var v verdict
	err := json.Unmarshal(data, &v)
	if err != nil || v.Result == nil || v.Result.MatchState != matchFound && v.Result.MatchState != noMatchFound {
		return s.fault("SanitizationResponseParsingFailed", "Failed to parse the response of Model Armor", err)
	}
	r := v.Result
	f, err := parseFilters(r.Filters)
	if err != nil {
		return s.fault("SanitizationResponseParsingFailed", "Failed to parse the response of Model Armor", err)
	}
	fc.PutText(s.prefix+"filterMatchState", r.MatchState)
	fc.PutText(s.prefix+"invocationResult", r.Invocation)
	f.put(fc, s.prefix)
	if code := r.Metadata.ErrorCode.String(); code != "" || r.Metadata.ErrorMessage != "" {
		for _, prefix := range []string{"", s.prefix} {
			fc.PutText(prefix+"sanitizationMetadata.errorCode", code)
			fc.PutText(prefix+"sanitizationMetadata.errorMessage", r.Metadata.ErrorMessage)
		}
	}
	switch {
	case r.MatchState == matchFound:
		return fault.New(s.subject.Faults+"FilterMatched", 400,
			"Model armor template filter matched. Policy caught the offending text. filter matched: "+f.String()).Failed(s.failed)
	case r.Invocation == "FAILURE":
		return s.fault("InternalError", "Model Armor ran no filter", nil)
	}
	return nil
}

// filters are the results of the filters by the name of their member:
// raiFilterResult, sdpFilterResult ...
type filters map[string]map[string]any

// parseFilters reads filterResults: an object with a member for each filter, or a
// list as in an earlier version of the API. Each holds one result.
func parseFilters(data json.RawMessage) (filters, error) {
	f := filters{}
	if len(data) == 0 {
		return f, nil
	}
	var list []map[string]map[string]any
	var byName map[string]map[string]map[string]any
	if json.Unmarshal(data, &list) != nil {
		if err := json.Unmarshal(data, &byName); err != nil {
			return nil, err
		}
		list = slices.Collect(maps.Values(byName))
	}
	for _, member := range list {
		maps.Copy(f, member)
	}
	return f, nil
}

func (f filters) matched(name string) bool {
	r := f[name]
	if name == "sdpFilterResult" {
		for _, part := range []string{"inspectResult", "deidentifyResult"} {
			if p, ok := r[part].(map[string]any); ok && p["matchState"] == matchFound {
				return true
			}
		}
	}
	return r["matchState"] == matchFound
}

// String is the list of the filters in the fault string.
// Source: https://cloud.google.com/apigee/docs/api-platform/tutorials/using-model-armor-policies
func (f filters) String() string {
	return fmt.Sprintf("RAIMatchesFound: %t, SDPMatchesFound: %t, PIMatchesFound: %t, CSAMMatchesFound: %t, URIMatchesFound: %t",
		f.matched("raiFilterResult"), f.matched("sdpFilterResult"), f.matched("piAndJailbreakFilterResult"),
		f.matched("csamFilterFilterResult"), f.matched("maliciousUriFilterResult"))
}

// put sets the variables: those of their own names, and each value of each
// result by its path.
func (f filters) put(fc *flow.Context, prefix string) {
	fc.Put(prefix+"raiMatchesFound", flow.BoolValue(f.matched("raiFilterResult")))
	fc.Put(prefix+"promptInjectionDetected", flow.BoolValue(f.matched("piAndJailbreakFilterResult")))
	confidence, _ := f["piAndJailbreakFilterResult"]["confidenceLevel"].(string)
	fc.PutText(prefix+"promptInjectionConfidence", confidence)
	fc.Put(prefix+"maliciousURIsDetected", flow.BoolValue(f.matched("maliciousUriFilterResult")))
	fc.Put(prefix+"csamFilterMatched", flow.BoolValue(f.matched("csamFilterFilterResult")))
	if d, ok := f["sdpFilterResult"]["deidentifyResult"].(map[string]any); ok {
		if data, ok := d["data"].(map[string]any); ok {
			text, _ := data["text"].(string)
			fc.PutText(prefix+"sdpDeidentifyFindings", text)
		}
	}
	left := maxVariables
	for _, name := range slices.Sorted(maps.Keys(f)) {
		putAll(fc, prefix+name, f[name], &left)
	}
}

// maxVariables bounds how many variables one answer sets.
const maxVariables = 200

func putAll(fc *flow.Context, name string, v any, left *int) {
	if *left == 0 {
		return
	}
	object, ok := v.(map[string]any)
	if ok {
		for _, k := range slices.Sorted(maps.Keys(object)) {
			putAll(fc, name+"."+k, object[k], left)
		}
		return
	}
	*left--
	switch v := v.(type) {
	case string:
		fc.PutText(name, v)
	case bool:
		fc.Put(name, flow.BoolValue(v))
	case float64:
		fc.PutText(name, strconv.FormatFloat(v, 'f', -1, 64))
	case nil:
	default: // a list
		text, _ := json.Marshal(v)
		fc.PutText(name, string(text))
	}
}
