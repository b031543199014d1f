package condition

import (
	"cmp"
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// typ is the type of an operand, as the documentation's table names them.
type typ uint8

const (
	typeNull typ = iota
	typeBool
	typeInt
	typeLong
	typeFloat
	typeDouble
	typeString
	typeObject
)

// typeOf returns the type of a variable's value. A variable's integer is a
// Long and its fraction a Double: the results are the same as for the narrower
// types.
func typeOf(v flow.Value) typ {
	switch v.Kind() {
	case flow.Null:
		return typeNull
	case flow.Bool:
		return typeBool
	case flow.Int:
		return typeLong
	case flow.Float:
		return typeDouble
	case flow.String:
		return typeString
	}
	return typeObject
}

// common returns the type in which two values are compared: the wider of the
// two, since the table's order is the order of the constants, except that
// nothing is compared with an object.
func common(a, b typ) typ { return max(a, b) }

// order compares two values in the common type t: -1, 0, 1, or 2 where a NaN
// makes them unordered; not ok if they cannot be compared.
func order(a, b flow.Value, t typ) (int, bool) {
	switch t {
	case typeBool, typeInt, typeLong:
		return cmp.Compare(integer(a), integer(b)), true
	case typeFloat:
		return fractions(float64(float32(fraction(a))), float64(float32(fraction(b)))), true
	case typeDouble:
		return fractions(fraction(a), fraction(b)), true
	case typeString:
		return strings.Compare(a.String(), b.String()), true
	}
	return 0, false
}

func fractions(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	}
	return 2
}

// integer is the value as a number; true is 1.
func integer(v flow.Value) int64 {
	if v.Kind() == flow.Bool {
		if v.Truth() {
			return 1
		}
		return 0
	}
	n, _ := v.Int()
	return n
}

func fraction(v flow.Value) float64 {
	if f, ok := v.Float(); ok {
		return f
	}
	return float64(integer(v))
}
