package oasvalidation

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/jsontoken"
)

// maxDepth bounds the nesting of a body.
const maxDepth = 500

// errNumber says that a number is not worth calculating with.
var errNumber = errors.New("number is too large")

// decode makes a JSON text the values that schemas are held against. Of members
// of one name the last counts.
func decode(text []byte) (any, error) {
	d := decoder{}
	d.scan.Reset(text, maxDepth)
	kind, err := d.scan.Next()
	if err != nil {
		return nil, err
	}
	v, err := d.value(kind)
	if err != nil {
		return nil, err
	}
	_, err = d.scan.Next() // the end
	return v, err
}

type decoder struct{ scan jsontoken.Scanner }

func (d *decoder) value(kind jsontoken.Kind) (any, error) {
	switch kind {
	case jsontoken.ObjectStart:
		return d.object()
	case jsontoken.ArrayStart:
		return d.array()
	case jsontoken.String:
		return d.text(), nil
	case jsontoken.Number:
		return number(string(d.scan.Data()))
	case jsontoken.True:
		return true, nil
	case jsontoken.False:
		return false, nil
	}
	return nil, nil
}

func (d *decoder) text() string {
	data := d.scan.Data()
	if !slices.Contains(data, '\\') {
		return string(data)
	}
	return string(jsontoken.AppendText(nil, data))
}

func (d *decoder) object() (any, error) {
	m := map[string]any{}
	for {
		kind, err := d.scan.Next()
		if err != nil || kind == jsontoken.ObjectEnd {
			return m, err
		}
		name := d.text()
		if kind, err = d.scan.Next(); err != nil {
			return nil, err
		}
		if m[name], err = d.value(kind); err != nil {
			return nil, err
		}
	}
}

func (d *decoder) array() (any, error) {
	list := []any{}
	for {
		kind, err := d.scan.Next()
		if err != nil || kind == jsontoken.ArrayEnd {
			return list, err
		}
		v, err := d.value(kind)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

// maxExponent bounds numbers: schemas are checked with exact arithmetic, which
// takes as many digits as the exponent says.
const maxExponent = 400

// number checks a number of JSON.
func number(s string) (any, error) {
	if len(s) > 1000 {
		return nil, errNumber
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if n, err := strconv.Atoi(s[i+1:]); err != nil || n > maxExponent || n < -maxExponent {
			return nil, errNumber
		}
	}
	return json.Number(s), nil
}

// quote writes a string as JSON.
func quote(s string) string { return string(jsonpath.AppendString(nil, s)) }

// printed writes a value as JSON.
func printed(v any) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case nil:
		return "null"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
