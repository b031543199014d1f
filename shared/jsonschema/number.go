package jsonschema

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// number is a number of a schema or a value, exactly. Most fit an integer.
type number struct {
	i   int64
	rat *big.Rat // nil if i is all
}

// newNumber is nil if it is none.
func newNumber(n json.Number) *number {
	var out number
	if !out.set(n) {
		return nil
	}
	return &out
}

func (n *number) set(text json.Number) bool {
	if len(text) < 19 && !fractional(text) {
		i, err := strconv.ParseInt(string(text), 10, 64)
		n.i, n.rat = i, nil
		return err == nil
	}
	r, ok := new(big.Rat).SetString(string(text))
	n.rat = r
	return ok
}

// fractional reports whether a number is written as more than an integer.
func fractional(n json.Number) bool { return strings.ContainsAny(string(n), ".eE") }

func (n *number) big() *big.Rat {
	if n.rat != nil {
		return n.rat
	}
	return new(big.Rat).SetInt64(n.i)
}

func (n *number) cmp(o *number) int {
	if n.rat == nil && o.rat == nil {
		switch {
		case n.i < o.i:
			return -1
		case n.i > o.i:
			return 1
		}
		return 0
	}
	return n.big().Cmp(o.big())
}

func (n *number) sign() int { return n.big().Sign() }

// multiple reports whether n is a multiple of o, which is greater than 0.
func (n *number) multiple(o *number) bool {
	if n.rat == nil && o.rat == nil {
		return n.i%o.i == 0
	}
	return new(big.Rat).Quo(n.big(), o.big()).IsInt()
}

// length is n as a length.
func (n *number) length() (int, bool) {
	if r := n.big(); r.IsInt() && r.Num().IsInt64() && r.Sign() >= 0 {
		return int(r.Num().Int64()), true
	}
	return 0, false
}

// integer reports whether a number has no fraction, however it is written.
func integer(n json.Number) bool {
	if !fractional(n) {
		return true
	}
	r, ok := new(big.Rat).SetString(string(n))
	return ok && r.IsInt()
}
