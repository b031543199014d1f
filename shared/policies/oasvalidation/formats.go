package oasvalidation

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
)

// formats are OpenAPI's own beside those of JSON Schema.
var formats = map[string]func(any) error{
	"int32":  integerWithin(math.MinInt32, math.MaxInt32),
	"int64":  integerWithin(math.MinInt64, math.MaxInt64),
	"float":  floatWithin(math.MaxFloat32),
	"double": floatWithin(math.MaxFloat64),
	"byte":   validateBase64,
}

var errFormat = errors.New("out of range")

// integerWithin checks the range of integers. Other values are not its business.
func integerWithin(low, high int64) func(any) error {
	return func(v any) error {
		n, ok := v.(json.Number)
		if !ok {
			return nil
		}
		r, ok := new(big.Rat).SetString(string(n))
		if !ok {
			return errFormat
		}
		if r.Cmp(new(big.Rat).SetInt64(low)) < 0 || r.Cmp(new(big.Rat).SetInt64(high)) > 0 {
			return errFormat
		}
		return nil
	}
}

func floatWithin(limit float64) func(any) error {
	return func(v any) error {
		n, ok := v.(json.Number)
		if !ok {
			return nil
		}
		if f, err := n.Float64(); err != nil || math.Abs(f) > limit {
			return errFormat
		}
		return nil
	}
}

func validateBase64(v any) error {
	s, ok := v.(string)
	if !ok {
		return nil
	}
	encoding := base64.StdEncoding
	if strings.ContainsAny(s, "-_") {
		encoding = base64.URLEncoding
	}
	_, err := encoding.DecodeString(s)
	return err
}
