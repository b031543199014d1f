package expr

import (
	"math"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// Kind is the type of a value.
type Kind uint8

// The types of XPath 1.0. Nodes is also a sequence of XPath 2.0, whose strings and
// numbers are atoms. Any is not the type of a value but of an expression that may
// have several.
const (
	Nodes Kind = iota
	Number
	String
	Boolean
	Any
)

// form is how a number is written.
type form uint8

const (
	plain  form = iota // as XPath 1.0 does
	exact              // an integer or a decimal of XPath 2.0
	double             // a double of XPath 2.0
)

// Value is the value of an expression.
type Value struct {
	kind  Kind
	form  form
	truth bool
	num   float64
	text  string
	nodes []*tree.Node
}

// Of makes a set of nodes, which must be in document order.
func Of(nodes ...*tree.Node) Value { return Value{kind: Nodes, nodes: nodes} }

// Num makes a number.
func Num(f float64) Value { return Value{kind: Number, num: f} }

// Str makes a string.
func Str(s string) Value { return Value{kind: String, text: s} }

// Bool makes a boolean.
func Bool(b bool) Value { return Value{kind: Boolean, truth: b} }

// Kind is the type of the value.
func (v Value) Kind() Kind { return v.kind }

// Nodes are the nodes of a set, nil of other values.
func (v Value) Nodes() []*tree.Node { return v.nodes }

// Items are the nodes of a set, or the value as one atom.
func (v Value) Items() []*tree.Node {
	switch v.kind {
	case Nodes:
		return v.nodes
	case Number:
		return []*tree.Node{tree.NewAtom(v.Text(), true)}
	}
	return []*tree.Node{tree.NewAtom(v.Text(), false)}
}

// Text is the value as string() makes it.
func (v Value) Text() string {
	switch v.kind {
	case Number:
		return format(v.num, v.form)
	case String:
		return v.text
	case Boolean:
		return strconv.FormatBool(v.truth)
	}
	if len(v.nodes) == 0 {
		return ""
	}
	return v.nodes[0].Text()
}

// Number is the value as number() makes it.
func (v Value) Number() float64 {
	switch v.kind {
	case Number:
		return v.num
	case Boolean:
		if v.truth {
			return 1
		}
		return 0
	}
	return ParseNumber(v.Text())
}

// Bool is the value as boolean() makes it.
func (v Value) Bool() bool {
	switch v.kind {
	case Number:
		return v.num != 0 && !math.IsNaN(v.num)
	case String:
		return v.text != ""
	case Boolean:
		return v.truth
	}
	if len(v.nodes) == 1 && v.nodes[0].Kind == tree.Atom {
		a := v.nodes[0]
		if a.Number {
			f := ParseNumber(a.Data)
			return f != 0 && !math.IsNaN(f)
		}
		return a.Data != ""
	}
	return len(v.nodes) > 0
}

// ParseNumber reads a number as number() does: decimal digits, with a minus sign
// and a point, NaN if the text is anything else (XPath 1.0, section 4.4).
func ParseNumber(s string) float64 {
	s = strings.Trim(s, " \t\r\n")
	digits := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits = true
		case c == '-' && i == 0, c == '.' && strings.IndexByte(s, '.') == i:
		default:
			return math.NaN()
		}
	}
	if !digits {
		return math.NaN()
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range is an infinity
	return f
}

// parseDouble reads a number as the constructor of xs:double does.
func parseDouble(s string) (float64, bool) {
	s = strings.Trim(s, " \t\r\n")
	switch s {
	case "INF":
		return math.Inf(1), true
	case "-INF":
		return math.Inf(-1), true
	case "NaN":
		return math.NaN(), true
	}
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil || math.IsInf(f, 0)
}

func format(f float64, as form) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0) && as == plain:
		return strings.Replace(strconv.FormatFloat(f, 'f', -1, 64), "Inf", "Infinity", 1)[infinitySign(f):]
	case math.IsInf(f, 1):
		return "INF"
	case math.IsInf(f, -1):
		return "-INF"
	case f == 0:
		return "0"
	}
	abs := math.Abs(f)
	switch {
	case as == exact:
		// Decimals are exact: what is wrong behind the 15th digit is binary.
		if r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 15, 64), 64); err == nil && abs < 1e15 {
			f = r
		}
	case as == double && (abs >= 1e6 || abs < 1e-6):
		return scientific(f)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// infinitySign is 1 for the plus sign that Go writes.
func infinitySign(f float64) int {
	if f > 0 {
		return 1
	}
	return 0
}

// scientific is the canonical form of xs:double: 1.5E6.
func scientific(f float64) string {
	mantissa, exp, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exp)
	return mantissa + "E" + strconv.Itoa(n)
}
