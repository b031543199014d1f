package cost_test

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perigee-gateway/perigee/shared/cost"
	"github.com/perigee-gateway/perigee/shared/store"
)

var update = flag.Bool("update", false, "write the table into docs/DEPLOY.md")

// rates are the calls per second that an instance serves in the table.
var rates = []struct {
	perSecond, calls int
}{{1, 600}, {100, 12000}}

// Firestore's list prices in US dollars for one document.
// Source: https://cloud.google.com/firestore/pricing, standard edition, the
// multi-region nam5; regions are cheaper.
const (
	readPrice  = 0.06 / 100_000
	writePrice = 0.18 / 100_000
)

const (
	page  = "../../docs/DEPLOY.md"
	begin = "<!-- cost: written by \"go test ./shared/cost -update\" -->\n"
	end   = "<!-- cost: end -->\n"
)

// TestTable counts each scenario at each rate and compares the table in
// docs/DEPLOY.md.
func TestTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("| per million calls | reads at 1 call/s | writes | Firestore | reads at 100 calls/s | writes | Firestore |\n|---|---|---|---|---|---|---|\n")
	for n, s := range cost.Scenarios {
		fmt.Fprintf(&b, "| %s ", s.Name)
		for _, r := range rates {
			c := count(t, n, r.calls, r.perSecond)
			reads, writes := million(c.Reads, r.calls), million(c.Writes, r.calls)
			fmt.Fprintf(&b, "| %s | %s | $%.2f ", thousands(reads), thousands(writes), float64(reads)*readPrice+float64(writes)*writePrice)
		}
		b.WriteString("|\n")
	}
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(data, []byte(begin))
	have, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", page)
	}
	if *update {
		all := string(before) + begin + b.String() + end + string(after)
		if err := os.WriteFile(page, []byte(all), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(have) != b.String() {
		t.Errorf("the table in docs/DEPLOY.md is not what is counted; run go test ./shared/cost -update. Counted:\n%s", b.String())
	}
}

// count counts in a bubble, where no time passes but in Sleep.
func count(t *testing.T, n, calls, perSecond int) (c store.Stats) {
	synctest.Test(t, func(t *testing.T) {
		g := cost.Open(t)
		c = g.Count(t, n, calls, time.Second/time.Duration(perSecond))
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// million is for a million calls what n is for so many, with two digits: how a
// quota's leases fall varies a little.
func million(n int64, calls int) int64 {
	v := float64(n) / float64(calls) * 1e6
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return int64(math.Round(v/unit) * unit)
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// BenchmarkCost reports the store's operations per call when calls follow each
// other without a pause: the least there is.
func BenchmarkCost(b *testing.B) {
	for n, s := range cost.Scenarios {
		b.Run(strings.ReplaceAll(s.Name, " ", "-"), func(b *testing.B) {
			g := cost.Open(b)
			defer g.Close()
			b.ReportAllocs()
			b.ResetTimer()
			c := g.Count(b, n, b.N, 0)
			b.ReportMetric(float64(c.Reads)/float64(b.N), "reads/op")
			b.ReportMetric(float64(c.Writes)/float64(b.N), "writes/op")
		})
	}
}
