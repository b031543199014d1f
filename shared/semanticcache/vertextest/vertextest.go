// Package vertextest is a server in the way of Vertex AI: text embeddings, and a
// Vector Search index with streaming updates.
package vertextest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/perigee-gateway/perigee/shared/googlerest/googleresttest"
)

// Server is the API. Embeddings are of the letters of a text, of length 1, so that
// texts with nearly the same letters are neighbors. Models, index end points and
// indexes called status-N answer with status N, those called broken with no JSON,
// those called empty with {}.
type Server struct {
	mu     sync.Mutex
	points map[string]Point
	// Calls counts calls by method.
	Calls map[string]int
}

// Point is a datapoint.
type Point struct {
	ID        string    `json:"datapointId"`
	Vector    []float64 `json:"featureVector"`
	Restricts []struct {
		Namespace string `json:"namespace"`
		Value     int64  `json:"valueInt,string"`
		Op        string `json:"op"`
	} `json:"numericRestricts"`
}

// New returns an API with an empty index.
func New() *Server { return &Server{points: map[string]Point{}, Calls: map[string]int{}} }

// Add puts a prompt into the index.
func (s *Server) Add(id, prompt string) {
	s.points[id] = Point{ID: id, Vector: embed(prompt)}
}

func embed(text string) []float64 {
	v := make([]float64, 26)
	sum := 0.0
	for _, r := range strings.ToLower(text) {
		if r >= 'a' && r <= 'z' {
			v[r-'a']++
		}
	}
	for _, x := range v {
		sum += x * x
	}
	for i := range v {
		v[i] /= math.Sqrt(sum)
	}
	return v
}

// ServeHTTP answers predict, findNeighbors and upsertDatapoints.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	resource, method, _ := strings.Cut(r.URL.Path, ":")
	s.Calls[method]++
	if r.Method != "POST" || r.Header.Get("Authorization") != "Bearer "+googleresttest.Token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	name := resource[strings.LastIndexByte(resource, '/')+1:]
	var status int
	if _, err := fmt.Sscanf(name, "status-%d", &status); err == nil {
		w.WriteHeader(status)
		return
	}
	switch name {
	case "broken":
		io.WriteString(w, "{")
		return
	case "empty":
		io.WriteString(w, "{}")
		return
	}
	answer, err := s.answer(method, json.NewDecoder(r.Body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	json.NewEncoder(w).Encode(answer)
}

func (s *Server) answer(method string, body *json.Decoder) (any, error) {
	body.DisallowUnknownFields()
	switch method {
	case "predict":
		var q struct {
			Instances []struct {
				Content string `json:"content"`
			} `json:"instances"`
		}
		if err := body.Decode(&q); err != nil || len(q.Instances) != 1 {
			return nil, fmt.Errorf("instances: %v", err)
		}
		return map[string]any{"predictions": []any{map[string]any{"embeddings": map[string]any{"values": embed(q.Instances[0].Content)}}}}, nil
	case "upsertDatapoints":
		var q struct {
			Datapoints []Point `json:"datapoints"`
		}
		if err := body.Decode(&q); err != nil {
			return nil, err
		}
		for _, p := range q.Datapoints {
			s.points[p.ID] = p
		}
		return map[string]any{}, nil
	case "findNeighbors":
		return s.find(body)
	}
	return nil, fmt.Errorf("no method %q", method)
}

func (s *Server) find(body *json.Decoder) (any, error) {
	var q struct {
		Index   string `json:"deployedIndexId"`
		Queries []struct {
			Datapoint Point `json:"datapoint"`
			Count     int   `json:"neighborCount"`
		} `json:"queries"`
	}
	if err := body.Decode(&q); err != nil || len(q.Queries) != 1 || q.Index == "" {
		return nil, fmt.Errorf("query: %v", err)
	}
	want := q.Queries[0].Datapoint
	type neighbor struct {
		Datapoint map[string]string `json:"datapoint"`
		Distance  float64           `json:"distance"`
	}
	var found []neighbor
	for _, id := range slices.Sorted(maps.Keys(s.points)) {
		p := s.points[id]
		if !admits(p, want) {
			continue
		}
		dot := 0.0
		for i := range want.Vector {
			dot += want.Vector[i] * p.Vector[i]
		}
		found = append(found, neighbor{map[string]string{"datapointId": id}, math.Round(dot*1000) / 1000})
	}
	slices.SortStableFunc(found, func(a, b neighbor) int { return cmp.Compare(b.Distance, a.Distance) })
	if len(found) > q.Queries[0].Count {
		found = found[:q.Queries[0].Count]
	}
	return map[string]any{"nearestNeighbors": []any{map[string]any{"neighbors": found}}}, nil
}

// admits reports whether a datapoint satisfies the restricts of a query; one
// without the namespace does not.
func admits(p, query Point) bool {
	for _, r := range query.Restricts {
		ok := false
		for _, have := range p.Restricts {
			ok = ok || have.Namespace == r.Namespace && r.Op == "GREATER" && have.Value > r.Value
		}
		if !ok && len(p.Restricts) > 0 {
			return false
		}
	}
	return true
}
