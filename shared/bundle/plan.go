package bundle

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

var (
	posType     = reflect.TypeFor[Pos]()
	elementType = reflect.TypeFor[*Element]()
	checkerType = reflect.TypeFor[checker]()
)

// plan is what Decode knows of one struct type.
type plan struct {
	root      *node
	attrs     map[string]*field
	attrNames []string
	chardata  *field
	any       *field
	places    [][]int  // fields of type Pos
	fallbacks []*field // fields with a default
	structs   []*field // structs by value, which have defaults of their own
	required  []*field
	marks     int // given out
	checked   bool
}

// node is one step of the element paths of a struct: a group when it has kids,
// else the end of a path.
type node struct {
	kids  map[string]*node
	names []string // keys of kids, sorted
	field *field
	pos   []int
	mark  int // of a group
}

// field is one field of a struct; a nil index means known and ignored.
type field struct {
	name     string
	mark     int
	attr     bool
	index    []int
	typ      reflect.Type
	fallback string
	enum     []string
	raw      bool
	required bool
	once     bool
}

var plans sync.Map // reflect.Type -> *plan

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	pl := &plan{root: &node{}, attrs: map[string]*field{}, checked: reflect.PointerTo(t).Implements(checkerType)}
	pl.add(t, nil)
	pl.finish(pl.root)
	for name := range pl.attrs {
		pl.attrNames = append(pl.attrNames, name)
	}
	slices.Sort(pl.attrNames)
	p, _ := plans.LoadOrStore(t, pl)
	return p.(*plan)
}

func (pl *plan) add(t reflect.Type, index []int) {
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(slices.Clone(index), i)
		tag, tagged := sf.Tag.Lookup("xml")
		switch {
		case sf.Name == "_":
			pl.ignore(sf.Tag.Get("ignored"))
		case sf.Type == posType && !tagged:
			pl.addPos(sf.Tag.Get("pos"), at)
		case sf.Anonymous && !tagged && sf.Type.Kind() == reflect.Struct:
			pl.add(sf.Type, at)
		case tagged && tag != "-":
			pl.addField(sf, tag, at)
		}
	}
}

func (pl *plan) addPos(path string, at []int) {
	if path == "" {
		pl.places = append(pl.places, at)
		return
	}
	pl.root.at(path).pos = at
}

// ignore makes elements and attributes ("@name") known.
func (pl *plan) ignore(names string) {
	for name := range strings.SplitSeq(names, ",") {
		if attr, ok := strings.CutPrefix(name, "@"); ok {
			pl.attrs[attr] = &field{name: attr, attr: true, mark: pl.newMark()}
		} else if name != "" {
			pl.root.at(name).field = &field{name: name}
		}
	}
}

func (pl *plan) addField(sf reflect.StructField, tag string, at []int) {
	name, opts, _ := strings.Cut(tag, ",")
	f := &field{name: name, index: at, typ: sf.Type, fallback: sf.Tag.Get("default")}
	if e := sf.Tag.Get("enum"); e != "" {
		f.enum = strings.Split(e, ",")
	}
	kind := f.options(opts)
	f.attr = kind == "attr"
	f.mark = pl.newMark()
	if f.required {
		pl.required = append(pl.required, f)
	}
	f.check(sf, kind)
	pl.defaults(f)
	switch kind {
	case "attr":
		pl.attrs[name] = f
	case "chardata":
		pl.chardata = f
	case "any":
		pl.any = f
	default:
		n := pl.root.at(name)
		n.field = f
		f.name = name[strings.LastIndexByte(name, '>')+1:]
	}
}

// options reads the options of a tag and returns the one that says where the
// value stands.
func (f *field) options(opts string) (kind string) {
	for o := range strings.SplitSeq(opts, ",") {
		switch o {
		case "raw":
			f.raw = true
		case "required":
			f.required = true
		case "once":
			f.once = true
		case "attr", "chardata", "any":
			kind = o
		case "":
		default:
			panic(fmt.Sprintf("bundle.Decode: unknown option %q of field %s", o, f.name))
		}
	}
	return kind
}

// check panics for types that cannot be filled.
func (f *field) check(sf reflect.StructField, kind string) {
	t := sf.Type
	if t.Kind() == reflect.Slice && kind != "attr" && kind != "chardata" {
		t = t.Elem()
	}
	text := kind == "attr" || kind == "chardata"
	ok := t == elementType && !text
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		ok = true
	case reflect.Struct:
		ok = ok || !text && t != reflect.TypeFor[Element]()
	}
	if kind == "any" {
		ok = sf.Type == reflect.TypeFor[[]*Element]()
	}
	if !ok || !sf.IsExported() {
		panic(fmt.Sprintf("bundle.Decode: field %s of type %s cannot be filled", sf.Name, sf.Type))
	}
}

func (pl *plan) defaults(f *field) {
	if f.typ.Kind() == reflect.Struct {
		pl.structs = append(pl.structs, f)
		return
	}
	if f.fallback == "" || f.typ.Kind() == reflect.Slice {
		return
	}
	probe := reflect.New(f.typ).Elem()
	if probe.Kind() == reflect.Pointer || store(probe, f.fallback) != "" {
		panic(fmt.Sprintf("bundle.Decode: %q is no default for field %s", f.fallback, f.name))
	}
	pl.fallbacks = append(pl.fallbacks, f)
}

// init sets the defaults of fields that are zero.
func (pl *plan) init(v reflect.Value) {
	for _, f := range pl.fallbacks {
		if target := v.FieldByIndex(f.index); target.IsZero() {
			store(target, f.fallback)
		}
	}
	for _, f := range pl.structs {
		target := v.FieldByIndex(f.index)
		inner := planOf(f.typ)
		inner.init(target)
		inner.setText(target, f.fallback)
	}
}

// setText gives the chardata field of v a default.
func (pl *plan) setText(v reflect.Value, text string) {
	if text == "" || pl.chardata == nil {
		return
	}
	if target := v.FieldByIndex(pl.chardata.index); target.IsZero() {
		store(target, text)
	}
}

// at returns the node of a path "A>B", making it if needed.
func (n *node) at(path string) *node {
	for name := range strings.SplitSeq(path, ">") {
		kid := n.kids[name]
		if kid == nil {
			kid = &node{}
			if n.kids == nil {
				n.kids = map[string]*node{}
			}
			n.kids[name] = kid
		}
		n = kid
	}
	return n
}

// finish sorts the names of the nodes and numbers the groups.
func (pl *plan) finish(n *node) {
	for name, kid := range n.kids {
		n.names = append(n.names, name)
		if kid.kids == nil {
			continue
		}
		if kid.field != nil {
			panic(fmt.Sprintf("bundle.Decode: <%s> is both a value and a group", name))
		}
		kid.mark = pl.newMark()
		pl.finish(kid)
	}
	slices.Sort(n.names)
}

func (pl *plan) newMark() int {
	if pl.marks == maxMarks {
		panic(fmt.Sprintf("bundle.Decode: more than %d fields", maxMarks))
	}
	pl.marks++
	return pl.marks - 1
}

// title is how messages call the field.
func (f *field) title() string {
	if f.attr {
		return "attribute " + f.name
	}
	return "<" + f.name + ">"
}
