package template

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	mathrand "math/rand/v2"
	"regexp/syntax"
	"strconv"
	"unicode/utf8"
)

// randomLong is randomLong([min[,max]]): any long, one from min, or one from
// min to max, both included.
func randomLong(dst []byte, in *input) ([]byte, error) {
	if in.n == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, err
		}
		return strconv.AppendInt(dst, int64(binary.NativeEndian.Uint64(b[:])), 10), nil
	}
	low, err := strconv.ParseInt(in.args[0], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a number", in.args[0])
	}
	high := int64(math.MaxInt64)
	if in.n == 2 {
		if high, err = strconv.ParseInt(in.args[1], 10, 64); err != nil {
			return nil, fmt.Errorf("%q is not a number", in.args[1])
		}
	}
	if high < low {
		return nil, errors.New("the maximum is less than the minimum")
	}
	width := new(big.Int).Sub(big.NewInt(high), big.NewInt(low))
	n, err := rand.Int(rand.Reader, width.Add(width, big.NewInt(1)))
	if err != nil {
		return nil, err
	}
	return n.Add(n, big.NewInt(low)).Append(dst, 10), nil
}

// Bounds of generated text.
const (
	maxXeger  = 10000 // characters
	moreXeger = 10    // of a repetition without a bound
)

// xeger generates text that matches a regular expression.
type xeger struct{ re *syntax.Regexp }

func compileXeger(s string) (program, error) {
	re, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("regular expression: %w", err)
	}
	if longest(re) > maxXeger {
		return nil, fmt.Errorf("regular expression: more than %d characters", maxXeger)
	}
	return &xeger{re}, nil
}

// longest is the length of the longest text that is generated for re.
func longest(re *syntax.Regexp) int {
	n := 0
	for _, s := range re.Sub {
		l := longest(s)
		if re.Op == syntax.OpConcat {
			n = min(n+l, maxXeger+1)
		} else {
			n = max(n, l)
		}
	}
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	}
	_, high := bounds(re)
	return min(n*high, maxXeger+1)
}

// bounds are how often the operand of re is repeated.
func bounds(re *syntax.Regexp) (low, high int) {
	switch re.Op {
	case syntax.OpStar:
		return 0, moreXeger
	case syntax.OpPlus:
		return 1, 1 + moreXeger
	case syntax.OpQuest:
		return 0, 1
	case syntax.OpRepeat:
		if re.Max < 0 {
			return re.Min, re.Min + moreXeger
		}
		return re.Min, re.Max
	}
	return 1, 1
}

func runXeger(dst []byte, in *input) ([]byte, error) {
	p, err := in.program(0)
	if err != nil {
		return nil, err
	}
	return p.(*xeger).append(dst, p.(*xeger).re), nil
}

func (x *xeger) append(dst []byte, re *syntax.Regexp) []byte {
	switch re.Op {
	case syntax.OpLiteral:
		return append(dst, string(re.Rune)...)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return append(dst, byte(' '+mathrand.IntN('~'-' '+1)))
	case syntax.OpCharClass:
		return utf8.AppendRune(dst, pick(re.Rune))
	case syntax.OpAlternate:
		return x.append(dst, re.Sub[mathrand.IntN(len(re.Sub))])
	}
	low, high := bounds(re)
	for range low + mathrand.IntN(high-low+1) {
		for _, s := range re.Sub {
			dst = x.append(dst, s)
		}
	}
	return dst
}

// pick chooses from the ranges of a class: a printable ASCII character if
// there is one.
func pick(ranges []rune) rune {
	var printable []rune
	for i := 0; i < len(ranges); i += 2 {
		lo, hi := max(ranges[i], ' '), min(ranges[i+1], '~')
		if lo <= hi {
			printable = append(printable, lo, hi)
		}
	}
	if printable != nil {
		ranges = printable
	}
	total := 0
	for i := 0; i < len(ranges); i += 2 {
		total += int(ranges[i+1]-ranges[i]) + 1
	}
	n := mathrand.IntN(max(total, 1))
	for i := 0; i < len(ranges); i += 2 {
		size := int(ranges[i+1]-ranges[i]) + 1
		if n < size {
			return ranges[i] + rune(n)
		}
		n -= size
	}
	return utf8.RuneError // an empty class matches nothing
}
