package hosttest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/boot"
)

// CallsBy asks the Management API for the calls of today by a dimension.
func CallsBy(t testing.TB, h *boot.Host, dimension string) map[string]float64 {
	t.Helper()
	h.Config.InsecureManagement = true
	api, err := h.ManagementHandler()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	times := now.Add(-time.Hour).Format("01/02/2006 15:04") + "~" + now.Add(time.Hour).Format("01/02/2006 15:04")
	w := httptest.NewRecorder()
	query := url.Values{"select": {"sum(message_count)"}, "timeRange": {times}}.Encode()
	api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/v1/organizations/org/environments/test/stats/"+dimension+"?"+query, nil))
	var answer struct {
		Environments []struct {
			Dimensions []struct {
				Name    string
				Metrics []struct{ Values []json.Number }
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); w.Code != http.StatusOK || err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	counts := map[string]float64{}
	for _, e := range answer.Environments {
		for _, d := range e.Dimensions {
			v, err := d.Metrics[0].Values[0].Float64()
			if err != nil {
				t.Fatal(err)
			}
			counts[d.Name] = v
		}
	}
	return counts
}
