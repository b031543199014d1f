package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/store"
)

// alphabet is ids that engines may find hard, in no order.
var alphabet = []string{
	"a", "A", "b", "0", "-", "+", ",", "~", "!", " ", "  ", " a", "a ", "\t", "a\nb", "\x01", "\x7f",
	".", "..", "...", "....", ".a", "a.", "a.b", "a..b", ".0", ".1", ".~", "..0",
	"/", "//", "/a", "a/", "a//b", "a/b", "a/b/c", "a/../b", "./a",
	"%", "%%", "%2F", "%2f", "a%2Fb", "%25", "a%", "%00",
	"_", "__", "___", "____", "_____", "__a", "__a__", "__a_b__", "__a.b/c__", "__id7__", "a__", "_0", "__0", "__0_0", "__.__", "__.", "__/", "_/_",
	`"`, `'`, "`", `\`, "#", "?", "&", "=", "*", "[0]", "{a}", "<a>", "a:b", "a|b", "\x00", "a\x00b", "a;b", "a@b.c",
	"ü", "u\u0308", "日本語", "é/è", "😀", "😀/.", "\u00a0", "\u200b", "\u2028", "\ufeff", "\ufffd", "\uffff", "\ue000", "\U0010ffff", "\U00010000", "a\U0010ffff", "a\U0010ffffb",
	"org/env/a.b-c_d/1", "https://example.com/a?b=c",
	strings.Repeat("x", 1500), strings.Repeat("/", 1500), "." + strings.Repeat("y", 1499), "_" + strings.Repeat("_", 1499), strings.Repeat("ü", 750), strings.Repeat("日", 500),
	"%" + strings.Repeat("./", 749), "." + strings.Repeat("ü.", 499) + "ü",
}

var limitTests = []test{
	{"IDs", func(t *testing.T, e *env) {
		var docs []store.Doc
		for _, id := range alphabet {
			docs = append(docs, doc(id, "data of "+id))
		}
		wantCode(t, e.Store.Batch(e.ctx, docs, nil), 0)
		sorted := slices.Sorted(slices.Values(alphabet))
		wantIDs(t, e.ids(t, store.Query{Collection: plain}), sorted...)
		for i, id := range sorted {
			e.want(t, key(id), "data of "+id)
			next := sorted[min(i+1, len(sorted)):min(i+2, len(sorted))]
			wantIDs(t, e.ids(t, store.Query{Collection: plain, After: id, Limit: 1}), next...)
		}
	}},
	{"IDsAsPrefix", func(t *testing.T, e *env) {
		var docs []store.Doc
		for _, id := range alphabet {
			docs = append(docs, doc(id, ""))
		}
		wantCode(t, e.Store.Batch(e.ctx, docs, nil), 0)
		sorted := slices.Sorted(slices.Values(alphabet))
		for _, prefix := range alphabet {
			var want []string
			for _, id := range sorted {
				if strings.HasPrefix(id, prefix) {
					want = append(want, id)
				}
			}
			wantIDs(t, e.ids(t, store.Query{Collection: plain, Prefix: prefix}), want...)
			wantIDs(t, e.ids(t, store.Query{Collection: plain, Prefix: prefix, Limit: 1}), want[:1]...)
		}
	}},
	{"CreateAndDeleteIDs", func(t *testing.T, e *env) {
		for _, id := range alphabet[:40] {
			wantCode(t, e.Store.Create(e.ctx, doc(id, "one")), 0)
			wantCode(t, e.Store.Create(e.ctx, doc(id, "two")), store.AlreadyExists)
			wantCode(t, e.Delete(e.ctx, key(id)), 0)
			e.want(t, key(id), "")
		}
	}},
	{"FieldValues", func(t *testing.T, e *env) {
		values := []string{"", strings.Repeat("v", store.MaxFieldBytes)}
		for _, id := range alphabet {
			if len(id) <= store.MaxFieldBytes {
				values = append(values, id)
			}
		}
		var docs []store.Doc
		for i, v := range values {
			docs = append(docs, doc(string(rune('A'+i)), "", "name", v))
		}
		wantCode(t, e.Store.Batch(e.ctx, docs, nil), 0)
		for i, v := range values {
			got := e.ids(t, store.Query{Collection: plain, Where: map[string]string{"name": v}})
			wantIDs(t, got, string(rune('A'+i)))
		}
	}},
	{"DocumentSize", func(t *testing.T, e *env) {
		for _, id := range []string{"a", strings.Repeat("/", 1500)} {
			d := doc(id, "", "name", strings.Repeat("n", store.MaxFieldBytes), "developer", "d")
			d.Data = make([]byte, store.MaxDocBytes-store.Size(d))
			for i := range d.Data {
				d.Data[i] = byte(i * 7)
			}
			e.put(t, d)
			e.want(t, d.Key, string(d.Data))
			d.Data = append(d.Data, 0)
			wantCode(t, e.Put(e.ctx, d), store.Invalid)
			wantCode(t, e.Store.Create(e.ctx, d), store.Invalid)
		}
		big := store.Doc{Key: key("b"), Data: make([]byte, store.MaxDataBytes)}
		if store.Size(big) <= store.MaxDocBytes {
			wantCode(t, e.Put(e.ctx, big), 0)
		}
		big.Data = append(big.Data, make([]byte, store.MaxDocBytes-len(big.Data))...)
		wantCode(t, e.Put(e.ctx, big), store.Invalid)
	}},
	{"TransactionSize", func(t *testing.T, e *env) {
		half := make([]byte, store.MaxDocBytes/2)
		write := func(n int) error {
			return e.Update(e.ctx, func(tx store.Tx) error {
				for i := range n {
					d := doc(string(rune('a'+i)), "")
					d.Data = half
					if err := tx.Put(d); err != nil {
						return err
					}
				}
				return nil
			})
		}
		wantCode(t, write(9), store.Invalid)
		wantIDs(t, e.ids(t, store.Query{Collection: plain}))
		wantCode(t, write(7), 0)
		if n := len(e.ids(t, store.Query{Collection: plain})); n != 7 {
			t.Errorf("%d documents, want 7", n)
		}
	}},
	{"InvalidKeys", func(t *testing.T, e *env) {
		for _, k := range []store.Key{
			{}, key(""), key(strings.Repeat("x", 1501)), key("a\xff"), key("\xed\xa0\x80"),
			{Collection: "nosuch", ID: "a"}, {ID: "a"},
		} {
			_, err := e.Get(e.ctx, k)
			wantCode(t, err, store.Invalid)
			_, err = e.GetAll(e.ctx, []store.Key{key("a"), k})
			wantCode(t, err, store.Invalid)
			wantCode(t, e.Put(e.ctx, store.Doc{Key: k}), store.Invalid)
			wantCode(t, e.Store.Create(e.ctx, store.Doc{Key: k}), store.Invalid)
			wantCode(t, e.Delete(e.ctx, k), store.Invalid)
			wantCode(t, e.Store.Batch(e.ctx, []store.Doc{doc("b", "")}, []store.Key{k}), store.Invalid)
			wantCode(t, e.Update(e.ctx, func(tx store.Tx) error { _, err := tx.Get(k); return err }), store.Invalid)
			wantCode(t, e.Update(e.ctx, func(tx store.Tx) error { return tx.Delete(k) }), store.Invalid)
		}
		e.want(t, key("b"), "")
	}},
	{"InvalidDocuments", func(t *testing.T, e *env) {
		expiring := doc("a", "")
		expiring.ExpireAt = start.Add(time.Hour)
		distant := ttlDoc("a", "", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))
		for _, d := range []store.Doc{
			doc("a", "", "nosuch", "x"),
			doc("a", "", "app", "a field of the other collection"),
			doc("a", "", "name", strings.Repeat("x", store.MaxFieldBytes+1)),
			doc("a", "", "name", "\xff"),
			expiring,
			distant,
		} {
			wantCode(t, e.Put(e.ctx, d), store.Invalid)
			wantCode(t, e.Store.Create(e.ctx, d), store.Invalid)
			wantCode(t, e.Store.Batch(e.ctx, []store.Doc{d}, nil), store.Invalid)
			wantCode(t, e.Update(e.ctx, func(tx store.Tx) error { return tx.Put(d) }), store.Invalid)
			e.want(t, d.Key, "")
		}
	}},
	{"InvalidQueries", func(t *testing.T, e *env) {
		for _, q := range []store.Query{
			{},
			{Collection: "nosuch"},
			{Collection: plain, Where: map[string]string{"nosuch": "x"}},
			{Collection: plain, Where: map[string]string{"app": "x"}},
			{Collection: plain, Where: map[string]string{"name": strings.Repeat("x", store.MaxFieldBytes+1)}},
			{Collection: plain, Limit: -1},
			{Collection: plain, Prefix: "\xff"},
			{Collection: plain, After: "\xff"},
			{Collection: plain, Prefix: strings.Repeat("x", 1501)},
			{Collection: plain, After: strings.Repeat("x", 1501)},
		} {
			_, err := store.Collect(e.Query(e.ctx, q))
			wantCode(t, err, store.Invalid)
			_, err = e.DeleteAll(e.ctx, q)
			wantCode(t, err, store.Invalid)
			wantCode(t, e.Update(e.ctx, func(tx store.Tx) error { _, err := tx.Query(q); return err }), store.Invalid)
		}
	}},
}
