package management

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxJSON bounds a JSON body, in bytes: what is stored of one fits a document.
const maxJSON = 2 << 20

// maxDepth bounds the nesting of a JSON body.
const maxDepth = 64

// body reads the request's body, which may have at most limit bytes.
func (c *call) body(limit int64) ([]byte, error) {
	if err := c.bound(limit); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(c.r.Body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, tooLarge(limit)
	}
	if err != nil {
		return nil, unread(err)
	}
	return data, nil
}

// bound limits the body, which may be compressed, to limit bytes both as it is
// sent and as it is read.
func (c *call) bound(limit int64) error {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, limit)
	switch encoding := strings.ToLower(c.r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return nil
	case "gzip":
		zr, err := gzip.NewReader(c.r.Body)
		if err != nil {
			return unread(err)
		}
		c.r.Body = http.MaxBytesReader(c.w, zr, limit)
		return nil
	default:
		return invalid("Content-Encoding %q is not supported", encoding)
	}
}

// unread is the error for a body that ends early or is not what it says.
func unread(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return invalid("the request body cannot be read: %s", err)
}

// mediaType is the body's type in lower case without parameters.
func (c *call) mediaType() string {
	t, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	return t
}

// decode reads the JSON body into v, as tolerantly as Google's front end does:
// raw control characters in strings, names in camel and snake case, numbers and
// booleans as strings and the other way round. A name v does not have is an
// error, unless it is one of ignored. An empty body is an empty object.
func (c *call) decode(v any, ignored ...string) error {
	data, err := c.body(maxJSON)
	if err != nil {
		return err
	}
	fields, err := parseObject(data)
	if err != nil {
		return err
	}
	for _, name := range ignored {
		delete(fields, name)
	}
	return assign(fields, v)
}

// parseObject reads a JSON object.
func parseObject(data []byte) (map[string]any, error) {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(data) == 0 {
		return map[string]any{}, nil
	}
	if !utf8.Valid(data) {
		return nil, invalid("Invalid JSON payload received. The body is not UTF-8.")
	}
	d := json.NewDecoder(bytes.NewReader(escapeControls(data)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, invalid("Invalid JSON payload received. %s", jsonFault(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, invalid("Invalid JSON payload received. There is something behind the object.")
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("Invalid JSON payload received. Root element must be a message.")
	}
	if depth(v) > maxDepth {
		return nil, invalid("Invalid JSON payload received. It is nested more than %d levels deep.", maxDepth)
	}
	return fields, nil
}

func jsonFault(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%s at byte %d", syntax, syntax.Offset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "Unexpected end of string."
	}
	return err.Error()
}

func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	case []any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	default:
		return 0
	}
	return deepest + 1
}

// escapeControls escapes raw control characters in strings: apigeecli puts
// values into its JSON as they are, line breaks included.
func escapeControls(data []byte) []byte {
	out, inside, escaped := make([]byte, 0, len(data)+16), false, false
	for _, b := range data {
		switch {
		case !inside:
			inside = b == '"'
		case b < ' ':
			if escaped { // a backslash before a raw line break stands for it
				out = out[:len(out)-1]
			}
			out = fmt.Appendf(out, `\u%04x`, b)
			escaped = false
			continue
		case escaped:
			escaped = false
		case b == '\\':
			escaped = true
		case b == '"':
			inside = false
		}
		out = append(out, b)
	}
	return out
}

// assign sets v, a pointer to a struct, to what the object says. It reports all
// fields that are wrong at once.
func assign(fields map[string]any, v any) error {
	f := &fitter{}
	fitted := f.fit(fields, reflect.TypeOf(v).Elem(), "", false)
	if len(f.faults) > 0 {
		return f.err()
	}
	data, err := marshal(fitted)
	if err != nil {
		return invalid("Invalid JSON payload received. %s", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return invalid("Invalid JSON payload received. %s", err)
	}
	return nil
}

// fitter gives JSON values the form that encoding/json wants for a type.
type fitter struct{ faults []fieldViolation }

func (f *fitter) err() error {
	e := &badRequest{fields: f.faults}
	lines := make([]string, len(f.faults))
	for i, v := range f.faults {
		lines[i] = v.Description
	}
	slices.Sort(lines)
	e.message = strings.Join(lines, "\n")
	return e
}

func (f *fitter) unknown(name, path string) {
	at := ""
	if path != "" {
		at = fmt.Sprintf(" at '%s'", path)
	}
	f.faults = append(f.faults, fieldViolation{path, fmt.Sprintf("Invalid JSON payload received. Unknown name %q%s: Cannot find field.", name, at)})
}

func (f *fitter) wrong(path, typ string, v any) any {
	shown, _ := marshal(v)
	if len(shown) > 100 {
		shown = append(shown[:100:100], "..."...)
	}
	f.faults = append(f.faults, fieldViolation{path, fmt.Sprintf("Invalid value at '%s' (%s), %s", path, typ, strings.ToValidUTF8(string(shown), ""))})
	return nil
}

// fit is v as a value of type t. quoted says that its number is in a string.
func (f *fitter) fit(v any, t reflect.Type, path string, quoted bool) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if v == nil {
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return f.fitStruct(v, t, path)
	case reflect.Map:
		m, ok := v.(map[string]any)
		if !ok {
			return f.wrong(path, "MAP", v)
		}
		for k, e := range m {
			m[k] = f.fit(e, t.Elem(), path+"["+k+"]", false)
		}
		return m
	case reflect.Slice:
		return f.fitSlice(v, t, path)
	case reflect.String:
		return f.fitString(v, path)
	case reflect.Bool:
		return f.fitBool(v, path)
	case reflect.Int, reflect.Int32, reflect.Int64:
		return f.fitInt(v, t, path, quoted)
	case reflect.Float32, reflect.Float64:
		return f.fitFloat(v, path)
	}
	return v
}

func (f *fitter) fitStruct(v any, t reflect.Type, path string) any {
	m, ok := v.(map[string]any)
	if !ok {
		return f.wrong(path, "MESSAGE", v)
	}
	known := fieldsOf(t)
	out := make(map[string]any, len(m))
	for name, e := range m {
		field, ok := known[bare(name)]
		if !ok {
			f.unknown(name, path)
			continue
		}
		out[field.name] = f.fit(e, field.typ, join(path, field.name), field.quoted)
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (f *fitter) fitSlice(v any, t reflect.Type, path string) any {
	if t.Elem().Kind() == reflect.Uint8 {
		return v // raw JSON or base64
	}
	list, ok := v.([]any)
	if !ok {
		return f.wrong(path, "LIST", v)
	}
	for i, e := range list {
		list[i] = f.fit(e, t.Elem(), fmt.Sprintf("%s[%d]", path, i), false)
	}
	return list
}

func (f *fitter) fitString(v any, path string) any {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return f.wrong(path, "TYPE_STRING", v)
}

func (f *fitter) fitBool(v any, path string) any {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		if b, err := strconv.ParseBool(strings.ToLower(v)); err == nil {
			return b
		}
	}
	return f.wrong(path, "TYPE_BOOL", v)
}

func (f *fitter) fitInt(v any, t reflect.Type, path string, quoted bool) any {
	text := ""
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = strings.TrimSpace(v)
	case int64: // fitted before
		text = strconv.FormatInt(v, 10)
	}
	n, err := strconv.ParseInt(text, 10, t.Bits())
	if err != nil {
		fl, ferr := strconv.ParseFloat(text, 64)
		if n = int64(fl); ferr != nil || float64(n) != fl || reflect.Zero(t).OverflowInt(n) || fl >= 1<<63 {
			return f.wrong(path, fmt.Sprintf("TYPE_INT%d", t.Bits()), v)
		}
	}
	if quoted {
		return strconv.FormatInt(n, 10)
	}
	return n
}

func (f *fitter) fitFloat(v any, path string) any {
	switch v := v.(type) {
	case json.Number, float64:
		return v
	case string:
		if n, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
			return n
		}
	}
	return f.wrong(path, "TYPE_DOUBLE", v)
}

// jsonField is a field of a struct as JSON has it.
type jsonField struct {
	name   string
	typ    reflect.Type
	quoted bool
}

// fieldsOf are the fields of a struct and of those it embeds, by bare name.
func fieldsOf(t reflect.Type) map[string]jsonField {
	fields := map[string]jsonField{}
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch {
		case name == "-" || !sf.IsExported():
		case sf.Anonymous && name == "":
			for k, v := range fieldsOf(sf.Type) {
				fields[k] = v
			}
		default:
			if name == "" {
				name = sf.Name
			}
			fields[bare(name)] = jsonField{name, sf.Type, slices.Contains(strings.Split(options, ","), "string")}
		}
	}
	return fields
}

// bare is a name without case and underscores: deployment_type and
// deploymentType are the same field.
func bare(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// canonical is the object with the names and forms of v's type; v is not changed.
func canonical(fields map[string]any, v any) (map[string]any, error) {
	f := &fitter{}
	fitted, _ := f.fit(fields, reflect.TypeOf(v).Elem(), "", false).(map[string]any)
	if len(f.faults) > 0 {
		return nil, f.err()
	}
	return fitted, nil
}

// replace sets v, a pointer to a struct, to the object alone.
func replace(fields map[string]any, v any) error {
	value := reflect.ValueOf(v).Elem()
	value.Set(reflect.Zero(value.Type()))
	return assign(fields, v)
}

// checkMask is an error if a path of an updateMask is not a field of v's type.
func checkMask(paths [][]string, v any) error {
	for _, path := range paths {
		t := reflect.TypeOf(v).Elem()
		for _, name := range path {
			for t.Kind() == reflect.Pointer {
				t = t.Elem()
			}
			if t.Kind() == reflect.Map {
				break
			}
			field, ok := jsonField{}, false
			if t.Kind() == reflect.Struct {
				field, ok = fieldsOf(t)[bare(name)]
			}
			if !ok {
				return invalid("Invalid update mask: %q is not a field", strings.Join(path, "."))
			}
			t = field.typ
		}
	}
	return nil
}
