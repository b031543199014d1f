package caching

import (
	"encoding/json"
	"strconv"

	"github.com/perigee-gateway/perigee/shared/flow"
)

// An entry of PopulateCache is a byte that says which kind of value it is, and
// its text.
const (
	textValue  = 's'
	intValue   = 'i'
	floatValue = 'f'
	boolValue  = 'b'
	listValue  = 'l'
)

// Encode is the entry for a variable's value. Messages and objects cannot be
// cached, and neither can a variable that is not set.
func Encode(v flow.Value) ([]byte, bool) {
	kind := byte(textValue)
	text := ""
	switch v.Kind() {
	case flow.String:
		text = v.String()
	case flow.Int:
		kind, text = intValue, v.String()
	case flow.Float:
		f, _ := v.Float()
		kind, text = floatValue, strconv.FormatFloat(f, 'g', -1, 64)
	case flow.Bool:
		kind, text = boolValue, v.String()
	case flow.List:
		b, err := json.Marshal(v.List())
		if err != nil {
			return nil, false
		}
		kind, text = listValue, string(b)
	default:
		return nil, false
	}
	b := make([]byte, 0, 1+len(text))
	return append(append(b, kind), text...), true
}

// Decode is the value of an entry; false if it is none.
func Decode(b []byte) (flow.Value, bool) {
	if len(b) == 0 {
		return flow.Value{}, false
	}
	text := string(b[1:])
	switch b[0] {
	case textValue:
		return flow.StringValue(text), true
	case intValue:
		n, err := strconv.ParseInt(text, 10, 64)
		return flow.IntValue(n), err == nil
	case floatValue:
		f, err := strconv.ParseFloat(text, 64)
		return flow.FloatValue(f), err == nil
	case boolValue:
		return flow.BoolValue(text == "true"), true
	case listValue:
		var l []string
		err := json.Unmarshal(b[1:], &l)
		return flow.ListValue(l), err == nil
	}
	return flow.Value{}, false
}
