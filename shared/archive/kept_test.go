package archive_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/archive"
	"github.com/perigee-gateway/perigee/shared/store"
)

func TestKeep(t *testing.T) {
	e, ctx := newEnv(t), context.Background()
	contents := [][]byte{content(1, 2_500_000), content(2, 10), nil, content(3, 1_000_000)}
	var refs []archive.Ref
	for i, c := range contents {
		ref, err := e.Keep(ctx, string(rune('a'+i)), c)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	before := e.store.Counts()
	got, err := e.Load(ctx, refs...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range contents {
		if !bytes.Equal(got[i], contents[i]) {
			t.Errorf("archive %d has %d bytes, want %d", i, len(got[i]), len(contents[i]))
		}
	}
	if n := e.store.Counts().RoundTrips - before.RoundTrips; n != 1 {
		t.Errorf("%d round trips, want 1", n)
	}
	e.now.Add(int64(2 * time.Hour))
	if n, err := e.Sweep(ctx); n != 0 || err != nil {
		t.Errorf("Sweep took %d, %v", n, err)
	}
	wrong := refs[0]
	wrong.SHA256 = refs[1].SHA256
	if _, err := e.Load(ctx, wrong); store.CodeOf(err) != store.Internal {
		t.Errorf("another checksum: %v", err)
	}
	if err := e.Discard(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Load(ctx, refs...); !store.IsNotFound(err) {
		t.Errorf("after Discard: %v, want not found", err)
	}
	if _, err := e.Load(ctx, refs[1:]...); err != nil {
		t.Errorf("the others: %v", err)
	}
}

// What a failed Keep has left, Discard removes.
func TestKeepDies(t *testing.T) {
	e, ctx := newEnv(t), context.Background()
	e.fail.Store(1)
	if _, err := e.Keep(ctx, "a", content(1, 12_000_000)); err == nil {
		t.Fatal("no error")
	}
	e.fail.Store(-1)
	if err := e.Discard(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	docs, err := store.Collect(e.store.Query(ctx, store.Query{Collection: "archives"}))
	if len(docs) != 0 || err != nil {
		t.Errorf("%d documents left, %v", len(docs), err)
	}
}
