package flow

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/message"
)

// Kind is the type of a flow variable's value.
type Kind uint8

// The kinds of value. An unset variable is Null.
const (
	Null Kind = iota
	String
	Int   // Apigee's Integer and Long
	Float // Apigee's Float and Double
	Bool
	List
	Message
	Object
)

// Value is the value of a flow variable. The zero Value is null. Values are
// small and passed by value; they allocate nothing of their own.
type Value struct {
	kind Kind
	num  uint64
	str  string
	obj  any
}

// StringValue returns a string value.
func StringValue(s string) Value { return Value{kind: String, str: s} }

// IntValue returns an integer value.
func IntValue(n int64) Value { return Value{kind: Int, num: uint64(n)} }

// FloatValue returns a floating point value.
func FloatValue(f float64) Value { return Value{kind: Float, num: math.Float64bits(f)} }

// BoolValue returns a boolean value.
func BoolValue(b bool) Value {
	if b {
		return Value{kind: Bool, num: 1}
	}
	return Value{kind: Bool}
}

// ListValue returns a list of strings; it prints as Java does, "[a, b]".
func ListValue(l []string) Value { return Value{kind: List, obj: l} }

// MessageValue returns a message value.
func MessageValue(m *message.Message) Value {
	if m == nil {
		return Value{}
	}
	return Value{kind: Message, obj: m}
}

// ObjectValue returns a value that only the code that made it understands
// (an XML node set, a script object). nil is null.
func ObjectValue(o any) Value {
	if o == nil {
		return Value{}
	}
	return Value{kind: Object, obj: o}
}

// Kind returns the kind of the value.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether the variable is unset.
func (v Value) IsNull() bool { return v.kind == Null }

// String returns the value's text as a message template inserts it; null is
// the empty string.
func (v Value) String() string {
	switch v.kind {
	case String:
		return v.str
	case Int:
		return strconv.FormatInt(int64(v.num), 10)
	case Float:
		return formatFloat(math.Float64frombits(v.num))
	case Bool:
		if v.num != 0 {
			return "true"
		}
		return "false"
	case List:
		return "[" + strings.Join(v.obj.([]string), ", ") + "]"
	case Message:
		return v.obj.(*message.Message).Text()
	case Object:
		return objectText(v.obj)
	}
	return ""
}

// formatFloat prints as Java's Double.toString does: with a fraction, and from 1e7
// on and below 1e-3 with an exponent, 1.5E7.
func formatFloat(f float64) string {
	switch abs := math.Abs(f); {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0 || math.IsNaN(f) || abs >= 1e-3 && abs < 1e7:
		if f == math.Trunc(f) {
			return strconv.FormatFloat(f, 'f', 1, 64)
		}
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	mantissa, exp, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exp)
	return mantissa + "E" + strconv.Itoa(n)
}

func objectText(o any) string {
	switch o := o.(type) {
	case fmt.Stringer:
		return o.String()
	case []byte:
		return string(o)
	}
	if b, err := json.Marshal(o); err == nil {
		return string(b)
	}
	return fmt.Sprint(o)
}

// Int returns the value as an integer: numbers, and text that is a number.
func (v Value) Int() (int64, bool) {
	switch v.kind {
	case Int:
		return int64(v.num), true
	case Float:
		return int64(math.Float64frombits(v.num)), true
	case String:
		s := strings.TrimSpace(v.str)
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil
	}
	return 0, false
}

// Float returns the value as a floating point number.
func (v Value) Float() (float64, bool) {
	switch v.kind {
	case Int:
		return float64(int64(v.num)), true
	case Float:
		return math.Float64frombits(v.num), true
	case String:
		f, err := strconv.ParseFloat(strings.TrimSpace(v.str), 64)
		return f, err == nil
	}
	return 0, false
}

// Truth returns whether the value is true: the boolean, or the text "true" in
// any case.
func (v Value) Truth() bool {
	switch v.kind {
	case Bool:
		return v.num != 0
	case String:
		return strings.EqualFold(v.str, "true")
	}
	return false
}

// Message returns the message, or nil if the value is none.
func (v Value) Message() *message.Message {
	m, _ := v.obj.(*message.Message)
	return m
}

// List returns the list, or nil if the value is none.
func (v Value) List() []string {
	l, _ := v.obj.([]string)
	return l
}

// Object returns what ObjectValue was given, or nil.
func (v Value) Object() any {
	if v.kind != Object {
		return nil
	}
	return v.obj
}
