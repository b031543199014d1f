package embedded

import (
	"maps"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/store"
)

func FuzzRecord(f *testing.F) {
	f.Add("name", "value", []byte("data"), int64(0), int64(1))
	f.Add("", "", []byte(nil), int64(noTime), int64(-1))
	f.Fuzz(func(t *testing.T, name, value string, data []byte, updated, expire int64) {
		want := store.Doc{Key: store.Key{Collection: "apps", ID: "a"}, Data: data, Fields: map[string]string{name: value, "other": "x"}}
		// Times are those a Firestore timestamp can hold, the years 1 to 9999.
		const seconds = 60_000_000_000
		want.UpdatedAt = time.Unix(updated%seconds, 0).UTC()
		want.ExpireAt = time.Unix(expire%seconds, 1000).UTC()
		got, err := decode(want.Key, encode(want), true)
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Data) != string(want.Data) || !maps.Equal(got.Fields, want.Fields) ||
			got.UpdatedAt != want.UpdatedAt || got.ExpireAt != want.ExpireAt {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func FuzzDecode(f *testing.F) {
	doc := store.Doc{Data: []byte("data"), Fields: map[string]string{"a": "b"}, UpdatedAt: time.Unix(1, 0)}
	f.Add(encode(doc))
	f.Add(encode(store.Doc{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decode(store.Key{}, b, true)
		if err != nil {
			return
		}
		again, err := decode(store.Key{}, encode(d), true)
		if err != nil || !maps.Equal(again.Fields, d.Fields) || string(again.Data) != string(d.Data) || again.ExpireAt != d.ExpireAt {
			t.Errorf("got %+v, %v; want %+v", again, err, d)
		}
	})
}

func TestDecodeDamaged(t *testing.T) {
	whole := encode(store.Doc{Fields: map[string]string{"name": "value"}})
	for n := range whole {
		if _, err := decode(store.Key{}, whole[:n], true); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a record", n, len(whole))
		}
	}
	whole[0]++
	if _, err := decode(store.Key{}, whole, true); err == nil {
		t.Error("another version is taken for this one")
	}
}
