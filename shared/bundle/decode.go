package bundle

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Decode fills the struct that into points at from el and adds what is wrong to
// problems. It runs when a bundle is compiled, never per request.
//
// Tags of fields:
//
//	xml:"Name"            child element <Name>
//	xml:"A>B"             child <B> of child <A>; all <A> are read
//	xml:"name,attr"       attribute
//	xml:",chardata"       the element's own text
//	xml:",any"            []*Element: the children no other field claims, in order
//	pos:"Name"            type Pos: where <Name> (or A>B) stands
//	default:"text"        value when absent or empty, unless into had one;
//	                      on a struct: of its chardata field
//	enum:"A,B"            the only values allowed; in another case with a warning
//	ignored:"A,@b"        on a field _ struct{}: element <A> and attribute b are
//	                      known and without effect
//
// Options after the name: required (absent is an error; an absent parent
// requires nothing), once (a second one that differs is an error), raw (the text keeps its
// outer white space).
//
// Fields may be strings, booleans (true, false, 1, 0 in any case), integers,
// floats, structs, *Element (taken as it is, nothing inside is checked),
// pointers to these (nil when absent), and slices of these. Fields of type Pos
// without a tag are given the place of their element. Embedded structs are read
// as part of the outer one; embedding [Common] covers what every policy has.
//
// Where T is no slice the last of several elements wins, with a warning.
// The types of this package (SSLInfo, Authentication, HTTPTargetConnection ...)
// are checked as they are filled.
//
// An element or attribute no field names is a warning, which says so when it looks
// like a misspelling of one that is known.
//
// Decode panics when the type itself cannot be decoded into.
func Decode(el *Element, into any, problems *Problems) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("bundle.Decode: %T is not a pointer to a struct", into))
	}
	d := decoder{problems}
	pl := planOf(v.Elem().Type())
	pl.init(v.Elem())
	d.fill(el, v.Elem(), pl)
}

type decoder struct{ problems *Problems }

// fill reads el into the struct v, whose defaults are set.
func (d decoder) fill(el *Element, v reflect.Value, pl *plan) {
	for _, i := range pl.places {
		v.FieldByIndex(i).Set(reflect.ValueOf(el.Pos))
	}
	var seen marks
	d.attrs(el, v, pl, &seen)
	d.children(el, v, pl.root, &seen, pl.any)
	d.text(el, v, pl)
	for _, f := range pl.required {
		if !seen.has(f.mark) {
			d.problems.Errorf(el.Pos, "<%s> has no %s", el.Name, f.title())
		}
	}
	if pl.checked {
		v.Addr().Interface().(checker).check(d.problems)
	}
}

// checker is a type of this package that is looked at once it is filled,
// wherever it stands.
type checker interface{ check(*Problems) }

// marks is the set of fields and groups of a struct that were met.
type marks [maxMarks / 64]uint64

const maxMarks = 128

func (m *marks) has(i int) bool { return m[i/64]&(1<<(i%64)) != 0 }

// set adds i and says whether it was there before.
func (m *marks) set(i int) (before bool) {
	before = m.has(i)
	m[i/64] |= 1 << (i % 64)
	return before
}

func (d decoder) attrs(el *Element, v reflect.Value, pl *plan, seen *marks) {
	for _, a := range el.Attrs {
		f := pl.attrs[a.Name]
		if f == nil {
			d.unknownAttr(el, a.Name, pl.attrNames)
			continue
		}
		seen.set(f.mark)
		if f.index != nil {
			what := subject{el: el.Name, attr: a.Name}
			d.scalar(v.FieldByIndex(f.index), f, a.Value, el.Pos, what)
		}
	}
}

func (d decoder) children(el *Element, v reflect.Value, n *node, seen *marks, rest *field) {
	for _, c := range el.Children {
		kid := n.kids[c.Name]
		switch {
		case kid != nil:
			d.child(el, c, v, kid, seen)
		case rest != nil:
			list := v.FieldByIndex(rest.index)
			list.Set(reflect.Append(list, reflect.ValueOf(c)))
		default:
			d.problems.UnknownElement(c, el, n.names)
		}
	}
}

func (d decoder) child(el, c *Element, v reflect.Value, n *node, seen *marks) {
	if n.pos != nil {
		v.FieldByIndex(n.pos).Set(reflect.ValueOf(c.Pos))
	}
	if n.kids != nil {
		if seen.set(n.mark) {
			d.problems.Warnf(c.Pos, "second <%s> in <%s>, both count", c.Name, el.Name)
		}
		d.plain(c)
		d.children(c, v, n, seen, nil)
		return
	}
	f := n.field
	if f == nil || f.index == nil {
		return
	}
	again := seen.set(f.mark)
	target := v.FieldByIndex(f.index)
	if f.typ.Kind() == reflect.Slice {
		item := reflect.New(f.typ.Elem()).Elem()
		if d.value(item, f, c) {
			target.Set(reflect.Append(target, item))
		}
		return
	}
	if again {
		d.repeated(el, c, f)
		target.SetZero()
		f.setDefault(target)
	}
	d.value(target, f, c)
}

func (d decoder) repeated(el, c *Element, f *field) {
	switch {
	case el.Child(c.Name).equals(c):
		d.problems.Warnf(c.Pos, "second <%s> in <%s>, the same again", c.Name, el.Name)
		return
	case f.once:
		d.problems.Errorf(c.Pos, "second <%s> in <%s>", c.Name, el.Name)
		return
	}
	d.problems.Warnf(c.Pos, "second <%s> in <%s>, the last one counts", c.Name, el.Name)
}

// value reads c into v and says whether there is a value.
func (d decoder) value(v reflect.Value, f *field, c *Element) bool {
	if v.Type() == elementType {
		v.Set(reflect.ValueOf(c))
		return true
	}
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		if !d.value(p.Elem(), f, c) {
			return false
		}
		v.Set(p)
		return true
	}
	if v.Kind() == reflect.Struct {
		pl := planOf(v.Type())
		pl.init(v)
		pl.setText(v, f.fallback)
		d.fill(c, v, pl)
		return true
	}
	d.leaf(c)
	return d.scalar(v, f, c.Text, c.Pos, subject{el: c.Name})
}

// text stores the element's own text, or complains about it.
func (d decoder) text(el *Element, v reflect.Value, pl *plan) {
	if pl.chardata == nil {
		d.noText(el, pl.any != nil)
		return
	}
	if el.Text == "" || !pl.chardata.raw && el.TrimText() == "" {
		return
	}
	d.scalar(v.FieldByIndex(pl.chardata.index), pl.chardata, el.Text, el.Pos, subject{el: el.Name})
}

func (d decoder) noText(el *Element, free bool) {
	if !free && el.TrimText() != "" {
		d.problems.Warnf(el.Pos, "text in <%s> has no effect", el.Name)
	}
}

// plain complains about attributes and text of an element that only groups.
func (d decoder) plain(el *Element) {
	for _, a := range el.Attrs {
		d.unknownAttr(el, a.Name, nil)
	}
	d.noText(el, false)
}

// leaf complains about attributes and children where only text is read.
func (d decoder) leaf(el *Element) {
	for _, a := range el.Attrs {
		d.unknownAttr(el, a.Name, nil)
	}
	for _, c := range el.Children {
		d.problems.UnknownElement(c, el, nil)
	}
}

// subject names what a value belongs to in messages.
type subject struct{ el, attr string }

func (s subject) String() string {
	if s.attr != "" {
		return fmt.Sprintf("attribute %s of <%s>", s.attr, s.el)
	}
	return "<" + s.el + ">"
}

// scalar stores text in v and says whether it did; empty text leaves what is
// there (the default).
func (d decoder) scalar(v reflect.Value, f *field, text string, pos Pos, what subject) bool {
	if !f.raw {
		text = strings.TrimSpace(text)
	}
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		if !d.scalar(p.Elem(), f, text, pos, what) {
			return false
		}
		v.Set(p)
		return true
	}
	if text == "" {
		return d.empty(v, f, pos, what)
	}
	if f.enum != nil && !slices.Contains(f.enum, text) {
		i := slices.IndexFunc(f.enum, func(allowed string) bool { return strings.EqualFold(allowed, text) })
		if i < 0 {
			d.problems.Errorf(pos, "%s is %q, want %s", what, text, listOf(f.enum))
			return false
		}
		// Edge takes type="String", Apigee X does not.
		// Source: https://github.com/apigee/wsdl2apigee/issues/33
		d.problems.Warnf(pos, "%s is %q, taken for %s: upper and lower case matter in Apigee X", what, text, f.enum[i])
		text = f.enum[i]
	}
	if want := store(v, text); want != "" {
		d.problems.Errorf(pos, "%s is %q, want %s", what, text, want)
		return false
	}
	return true
}

func (d decoder) empty(v reflect.Value, f *field, pos Pos, what subject) bool {
	if v.Kind() == reflect.String {
		return true
	}
	d.problems.Warnf(pos, "%s is empty", what)
	return f.setDefault(v)
}

// store sets v from text; it returns what was wanted when text is no such
// value.
func store(v reflect.Value, text string) (want string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, ok := ParseBool(text)
		if !ok {
			return "true or false"
		}
		v.SetBool(b)
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil {
			return "a number"
		}
		v.SetFloat(n)
	default:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return "a whole number"
		}
		v.SetInt(n)
	}
	return ""
}

// ParseBool reads true, false, 1 and 0 in any case.
func ParseBool(s string) (value, ok bool) {
	switch {
	case s == "1" || strings.EqualFold(s, "true"):
		return true, true
	case s == "0" || strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}

// setDefault gives a scalar its default and says whether it has one.
func (f *field) setDefault(v reflect.Value) bool {
	scalar := v.Kind() != reflect.Struct && v.Kind() != reflect.Pointer
	return scalar && f.fallback != "" && store(v, f.fallback) == ""
}

// listOf writes "A, B or C".
func listOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
