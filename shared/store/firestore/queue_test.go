package firestore

import (
	"context"
	"errors"
	"testing"

	"github.com/perigee-gateway/perigee/shared/store"
)

func TestQueues(t *testing.T) {
	q := newQueues()
	hash := q.ofKey(store.Key{Collection: "counters", ID: "a"})
	leave, err := q.enter(t.Context(), hash)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.enter(ctx, hash); !errors.Is(err, context.Canceled) {
		t.Errorf("entered an occupied queue: %v", err)
	}
	leave()
	leave, err = q.enter(t.Context(), hash)
	if err != nil {
		t.Fatal(err)
	}
	leave()
}

func TestQueueOfQuery(t *testing.T) {
	q := newQueues()
	a := q.ofQuery(store.Query{Collection: "apps", Where: map[string]string{"developer": "d", "name": "n"}})
	b := q.ofQuery(store.Query{Collection: "apps", Where: map[string]string{"name": "n", "developer": "d"}, Limit: 1, After: "x"})
	if a != b {
		t.Error("the same conditions wait in two queues")
	}
}
