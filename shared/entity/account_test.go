package entity

import (
	"fmt"
	"strings"
	"testing"
)

func money(units, nanos int64) *Money {
	return &Money{CurrencyCode: "EUR", Units: units, Nanos: nanos}
}

func TestAccount(t *testing.T) {
	type step struct {
		adjust        bool
		units, nanos  int64
		id            string
		want, refused string
	}
	credit := func(units, nanos int64, id, want string) step { return step{false, units, nanos, id, want, ""} }
	adjust := func(units, nanos int64, want string) step { return step{true, units, nanos, "", want, ""} }
	for name, steps := range map[string][]step{
		"credits add up":            {credit(10, 750_000_000, "", "10.750000000"), credit(1, 500_000_000, "", "12.250000000")},
		"a transaction counts once": {credit(10, 0, "a", "10.000000000"), credit(10, 0, "a", "10.000000000"), credit(10, 0, "b", "20.000000000")},
		"nothing and less": {{units: 0, refused: "not above 0"}, {units: -1, refused: "not above 0"},
			{units: 1, nanos: -1, refused: "nanos"}, {units: 0, nanos: 1_000_000_000, refused: "nanos"}, {units: 2e15, refused: "out of range"}},
		"adjustments take, and give back up to the last credit": {
			{adjust: true, units: 1, refused: "no balance in EUR"},
			credit(100, 0, "", "100.000000000"), adjust(10, 1, "89.999999999"), adjust(-10, 0, "99.999999999"),
			{adjust: true, units: -1, refused: "most recent credit"}, adjust(0, -1, "100.000000000"),
		},
		"below zero": {credit(1, 0, "", "1.000000000"), adjust(1, 500_000_000, "0.-500000000"), adjust(1, 0, "-1.-500000000"), credit(2, 0, "", "0.500000000")},
	} {
		t.Run(name, func(t *testing.T) {
			a := new(Account)
			for i, s := range steps {
				err := error(nil)
				if s.adjust {
					err = a.Adjust(money(s.units, s.nanos))
				} else {
					err = a.Credit(money(s.units, s.nanos), s.id, int64(i))
				}
				if s.refused != "" {
					if err == nil || !strings.Contains(err.Error(), s.refused) {
						t.Errorf("step %d: %v, want %q", i, err, s.refused)
					}
					continue
				}
				if err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
				b := a.Wallet("EUR").Balance
				if got := fmt.Sprintf("%d.%09d", b.Units, b.Nanos); got != s.want {
					t.Errorf("step %d: %s, want %s", i, got, s.want)
				}
			}
		})
	}
	if err := new(Account).Credit(&Money{CurrencyCode: "eur", Units: 1}, "", 0); err == nil {
		t.Error("a currency in small letters is taken")
	}
}
