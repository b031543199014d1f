package rhino

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/dop251/goja"
)

// Bounds on what one call of a built-in function may make. goja cannot
// interrupt its built-in functions.
const (
	maxString = 32 << 20 // UTF-16 units
	maxArray  = 10_000_000
)

// install changes the built-in objects that the program mentions.
func (r *Runtime) install(n features, limit time.Duration) {
	if n.json {
		r.installJSON()
	}
	if n.strings {
		r.boundStrings()
	}
	if n.arrays {
		r.boundArrays()
	}
	if n.regexps && limit > RegexpLimit {
		r.boundRegexps()
	}
	if n.lastMatch {
		r.installLastMatch()
	}
	if n.dates {
		r.installDates()
	}
	if len(n.java) > 0 {
		r.installJava(n.java)
	}
}

func (r *Runtime) prototype(class string) *goja.Object {
	return r.GlobalObject().Get(class).(*goja.Object).Get("prototype").(*goja.Object)
}

// wrap puts before in front of a built-in method of o.
func (r *Runtime) wrap(o *goja.Object, name string, before func(goja.FunctionCall)) {
	original, ok := goja.AssertFunction(o.Get(name))
	if !ok {
		return
	}
	f := r.ToValue(func(call goja.FunctionCall) goja.Value {
		before(call)
		v, err := original(call.This, call.Arguments...)
		if err != nil {
			panic(err)
		}
		return v
	})
	o.DefineDataProperty(name, f, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
}

// installLastMatch gives RegExp what Rhino keeps there of the last match: $1 to $9,
// lastMatch, leftContext and rightContext.
func (r *Runtime) installLastMatch() {
	proto := r.prototype("RegExp")
	exec, _ := goja.AssertFunction(proto.Get("exec"))
	var match *goja.Object
	run := func(call goja.FunctionCall) goja.Value {
		v, err := exec(call.This, call.Arguments...)
		if err != nil {
			panic(err)
		}
		if o, ok := v.(*goja.Object); ok {
			match = o
		}
		return v
	}
	method := func(name string, f func(goja.FunctionCall) goja.Value) {
		proto.DefineDataProperty(name, r.ToValue(f), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
	method("exec", run)
	method("test", func(call goja.FunctionCall) goja.Value { return r.ToValue(!goja.IsNull(run(call))) })
	define := func(name string, get func() goja.Value) {
		getter := r.ToValue(func(goja.FunctionCall) goja.Value {
			if match != nil {
				if v := get(); v != nil && !goja.IsUndefined(v) {
					return v
				}
			}
			return r.ToValue("")
		})
		r.GlobalObject().Get("RegExp").(*goja.Object).DefineAccessorProperty(name, getter, nil, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
	for i := range 10 {
		name := "$" + strconv.Itoa(i)
		if i == 0 {
			name = "lastMatch"
		}
		define(name, func() goja.Value { return match.Get(strconv.Itoa(i)) })
	}
	define("leftContext", func() goja.Value { return r.around(match, 0) })
	define("rightContext", func() goja.Value { return r.around(match, 1) })
}

// around is the text before (0) or behind (1) a match.
func (r *Runtime) around(match *goja.Object, side int) goja.Value {
	input := utf16Of(match.Get("input").String())
	from := int(match.Get("index").ToInteger())
	if side == 1 {
		from += len(utf16Of(match.Get("0").String()))
		return r.ToValue(string(utf16.Decode(input[from:])))
	}
	return r.ToValue(string(utf16.Decode(input[:from])))
}

// installDates gives dates the old methods that goja leaves out (ECMAScript, annex
// B.2.3).
func (r *Runtime) installDates() {
	proto := r.prototype("Date")
	call := func(this goja.Value, name string, args ...goja.Value) goja.Value {
		f, _ := goja.AssertFunction(proto.Get(name))
		v, err := f(this, args...)
		if err != nil {
			panic(err)
		}
		return v
	}
	define := func(name string, f any) {
		proto.DefineDataProperty(name, r.ToValue(f), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
	define("toGMTString", proto.Get("toUTCString"))
	define("getYear", func(in goja.FunctionCall) goja.Value {
		return r.ToValue(call(in.This, "getFullYear").ToFloat() - 1900)
	})
	define("setYear", func(in goja.FunctionCall) goja.Value {
		year := in.Argument(0)
		if n := year.ToInteger(); year.ToFloat() == year.ToFloat() && n >= 0 && n <= 99 {
			year = r.ToValue(1900 + n)
		}
		return call(in.This, "setFullYear", year)
	})
}

func (r *Runtime) boundStrings() {
	proto := r.prototype("String")
	tooLong := func() { r.Throw("RangeError", "String is too long") }
	r.wrap(proto, "repeat", func(call goja.FunctionCall) {
		if n := call.Argument(0).ToFloat(); n*float64(len(call.This.String())) > maxString {
			tooLong()
		}
	})
	for _, name := range []string{"padStart", "padEnd"} {
		r.wrap(proto, name, func(call goja.FunctionCall) {
			if call.Argument(0).ToFloat() > maxString {
				tooLong()
			}
		})
	}
}

// arrayLoops are the methods that go over all indexes without running any of
// the script, whether there is something at them or not.
var arrayLoops = []string{"concat", "copyWithin", "fill", "flat", "includes", "indexOf", "join", "lastIndexOf", "reverse", "shift",
	"slice", "sort", "splice", "toLocaleString", "toString", "unshift"}

// boundArrays keeps arrays and what looks like them (by a property length) from
// being gone over when they claim to be very long.
func (r *Runtime) boundArrays() {
	bound := func(v goja.Value) {
		o, ok := v.(*goja.Object)
		if !ok {
			return
		}
		if n := o.Get("length"); n != nil && n.ToFloat() > maxArray {
			r.Throw("RangeError", "Inappropriate array length.")
		}
	}
	proto := r.prototype("Array")
	for _, name := range arrayLoops {
		r.wrap(proto, name, func(call goja.FunctionCall) { bound(call.This) })
	}
	r.wrap(r.GlobalObject().Get("Array").(*goja.Object), "from", func(call goja.FunctionCall) { bound(call.Argument(0)) })
	r.wrap(r.prototype("Function"), "apply", func(call goja.FunctionCall) { bound(call.Argument(1)) })
}

// boundRegexps ends a script with a match that was given up: the engine says of
// such a match that there was none. Scripts with less time than RegexpLimit are
// ended by the time limit anyway.
func (r *Runtime) boundRegexps() {
	proto := r.prototype("RegExp")
	for _, name := range []string{"exec", "test"} { // all others use exec once it is replaced
		original, _ := goja.AssertFunction(proto.Get(name))
		f := r.ToValue(func(call goja.FunctionCall) goja.Value {
			start := time.Now()
			v, err := original(call.This, call.Arguments...)
			if err != nil {
				panic(err)
			}
			if time.Since(start) >= RegexpLimit {
				r.watch.interrupt(ErrRegexp)
			}
			return v
		})
		proto.DefineDataProperty(name, f, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
}

// javaMethods are methods of java.lang.String that strings do not have in
// ECMAScript. Flow variables are Java strings on Apigee.
var javaMethods = map[string]func(r *Runtime, s string, arg goja.Value) any{
	"equals": func(_ *Runtime, s string, arg goja.Value) any {
		return isText(arg) && arg.String() == s
	},
	"equalsIgnoreCase": func(_ *Runtime, s string, arg goja.Value) any {
		return isText(arg) && strings.EqualFold(arg.String(), s)
	},
	"contains":    func(_ *Runtime, s string, arg goja.Value) any { return strings.Contains(s, arg.String()) },
	"isEmpty":     func(_ *Runtime, s string, _ goja.Value) any { return s == "" },
	"compareTo":   func(_ *Runtime, s string, arg goja.Value) any { return strings.Compare(s, arg.String()) },
	"hashCode":    func(_ *Runtime, s string, _ goja.Value) any { return javaHash(s) },
	"toCharArray": func(r *Runtime, s string, _ goja.Value) any { return r.characters(s) },
	"compareToIgnoreCase": func(_ *Runtime, s string, arg goja.Value) any {
		return strings.Compare(strings.ToLower(s), strings.ToLower(arg.String()))
	},
}

// isText reports whether v is a string or an object that stands for one.
func isText(v goja.Value) bool {
	if goja.IsString(v) {
		return true
	}
	o, ok := v.(*goja.Object)
	if !ok {
		return false
	}
	_, host := o.Export().(Lengther)
	return host || o.ClassName() == "String"
}

func (r *Runtime) characters(s string) goja.Value {
	var list []any
	for _, c := range s {
		list = append(list, string(c))
	}
	return r.NewArray(list...)
}

// javaHash is String.hashCode.
func javaHash(s string) int32 {
	var h int32
	for _, c := range utf16Of(s) {
		h = 31*h + int32(c)
	}
	return h
}

// installJava gives strings the Java methods that the program mentions.
func (r *Runtime) installJava(names map[string]bool) {
	proto := r.prototype("String")
	for name := range names {
		method := javaMethods[name]
		f := r.ToValue(func(call goja.FunctionCall) goja.Value {
			return r.ToValue(method(r, call.This.String(), call.Argument(0)))
		})
		proto.DefineDataProperty(name, f, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
}
