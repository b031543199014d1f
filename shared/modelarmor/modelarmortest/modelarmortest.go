// Package modelarmortest is a server that judges texts in the way of Model Armor:
// by words in them, and by the names of templates.
package modelarmortest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/perigee-gateway/perigee/shared/googlerest/googleresttest"
)

// Handler answers sanitizeUserPrompt and sanitizeModelResponse. Filters match the
// words hate, jailbreak, malware, ssn and csam. Templates called status-N answer with
// status N; those called broken, empty, hangup, failure and partial do as they say.
func Handler(w http.ResponseWriter, r *http.Request) {
	name, method, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), ":")
	location := strings.Split(name, "/")[3]
	if r.Method != "POST" || r.Header.Get("Authorization") != "Bearer "+googleresttest.Token ||
		r.Header.Get("X-Host") != "modelarmor."+location+".rep.googleapis.com" {
		http.Error(w, "not for this server", http.StatusTeapot)
		return
	}
	var body struct {
		Prompt   struct{ Text string } `json:"userPromptData"`
		Response struct{ Text string } `json:"modelResponseData"`
		Context  string                `json:"userPrompt"`
	}
	data, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(data, &body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	text := body.Prompt.Text
	if method == "sanitizeModelResponse" {
		text = body.Response.Text
	}
	template := name[strings.LastIndexByte(name, '/')+1:]
	var status int
	if _, err := fmt.Sscanf(template, "status-%d", &status); err == nil {
		http.Error(w, `{"error":{"message":"`+text+`"}}`, status)
		return
	}
	switch template {
	case "broken":
		io.WriteString(w, `{"sanitizationResult":{"filterMatchState":`)
	case "empty":
		io.WriteString(w, `{}`)
	case "hangup":
		panic(http.ErrAbortHandler)
	default:
		json.NewEncoder(w).Encode(map[string]any{"sanitizationResult": judge(text, template)})
	}
}

func judge(text, template string) map[string]any {
	found := false
	state := func(word string) string {
		if strings.Contains(text, word) {
			found = true
			return "MATCH_FOUND"
		}
		return "NO_MATCH_FOUND"
	}
	const done = "EXECUTION_SUCCESS"
	pi := map[string]any{"executionState": done, "matchState": state("jailbreak")}
	if pi["matchState"] == "MATCH_FOUND" {
		pi["confidenceLevel"] = "HIGH"
	}
	filters := map[string]any{
		"rai":              map[string]any{"raiFilterResult": map[string]any{"executionState": done, "matchState": state("hate"), "raiFilterTypeResults": map[string]any{"hate_speech": map[string]any{"matchState": state("hate")}}}},
		"sdp":              map[string]any{"sdpFilterResult": map[string]any{"inspectResult": map[string]any{"executionState": done, "matchState": state("ssn"), "findings": []any{map[string]any{"infoType": "US_SSN"}}}}},
		"pi_and_jailbreak": map[string]any{"piAndJailbreakFilterResult": pi},
		"malicious_uris":   map[string]any{"maliciousUriFilterResult": map[string]any{"executionState": done, "matchState": state("malware")}},
		"csam":             map[string]any{"csamFilterFilterResult": map[string]any{"executionState": done, "matchState": state("csam")}},
	}
	if strings.Contains(text, "deidentify") {
		found = true
		filters["sdp"] = map[string]any{"sdpFilterResult": map[string]any{"deidentifyResult": map[string]any{
			"executionState": done, "matchState": "MATCH_FOUND", "transformedBytes": "11", "data": map[string]any{"text": "my number is [US_SSN]"},
		}}}
	}
	result := map[string]any{"filterMatchState": "NO_MATCH_FOUND", "invocationResult": "SUCCESS", "filterResults": filters}
	if found {
		result["filterMatchState"] = "MATCH_FOUND"
	}
	switch template {
	case "failure":
		result["invocationResult"] = "FAILURE"
	case "partial":
		result["invocationResult"] = "PARTIAL"
	case "custom":
		result["sanitizationMetadata"] = map[string]any{"errorCode": 799, "errorMessage": "test template prompt evaluation failed"}
	case "list":
		result["filterResults"] = []any{filters["rai"], filters["sdp"]}
	case "strange":
		result["filterMatchState"] = "MAYBE"
	}
	return result
}
