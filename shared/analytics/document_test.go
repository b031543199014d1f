package analytics

import (
	"fmt"
	"testing"
)

// What is stored is read again, whether it was worth compressing or not.
func TestStored(t *testing.T) {
	for _, n := range []int{1, 500} {
		rs := rows{}
		for i := range n {
			rs[key{environment: "e", minute: int64(i), custom: fmt.Sprint("c", i)}] = &row{calls: int64(i) + 1}
		}
		parts, err := encode(rs)
		if err != nil || len(parts) != 1 {
			t.Fatal(len(parts), err)
		}
		if plain := parts[0][0] == '{'; plain != (n == 1) {
			t.Errorf("%d rows are stored as %.10q", n, parts[0])
		}
		got := 0
		err = decode(parts[0], "e", func(k *key, r *row) {
			if rs[*k] == nil || rs[*k].calls != r.calls {
				t.Errorf("%+v: %+v", k, r)
			}
			got++
		})
		if err != nil || got != n {
			t.Errorf("%d rows of %d, %v", got, n, err)
		}
	}
}
