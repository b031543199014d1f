package rhino

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dop251/goja"
)

// none is a host without objects.
type none struct{}

func (none) Get(string) goja.Value       { return nil }
func (none) Set(string, goja.Value) bool { return false }
func (none) Has(string) bool             { return false }
func (none) Delete(string) bool          { return false }
func (none) Keys() []string              { return nil }

// eval runs a script and returns its value.
func eval(t testing.TB, src string) (goja.Value, error) {
	t.Helper()
	s, err := Compile("a.js", src, nil)
	if err != nil {
		return nil, err
	}
	r := Link(nil, s).Start(Options{Limit: 5 * time.Second, Hosts: none{}})
	defer r.Close()
	v, err := r.RunProgram(s.Program)
	if err != nil {
		return nil, r.failure(err)
	}
	return v, nil
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{"\nx", `ReferenceError: "x" is not defined. (a.js:2)`},
		{"var n = 100; n.toUpperCase()", `TypeError: Cannot find function toUpperCase in object 100. (a.js:1)`},
		{"var n = {}; n.go()", `TypeError: Cannot find function go in object [object Object]. (a.js:1)`},
		{"(function() { var n = 1; n.go() })()", `TypeError: Cannot find function go. (a.js:1)`},
		{"var u;\nu.x", `TypeError: Cannot read property "x" from undefined (a.js:2)`},
		{"var u = null; u.x", `TypeError: Cannot read property "x" from null (a.js:1)`},
		{"var u = null; u.x()", `TypeError: Cannot call method "x" of null (a.js:1)`},
		{"var u; u.a.b", `TypeError: Cannot read property "a" from undefined (a.js:1)`},
		{"var u; u['x']", `TypeError: Cannot read property "x" from undefined (a.js:1)`},
		{"var u; u.x = 1", `TypeError: Cannot set property "x" of undefined to "1" (a.js:1)`},
		{"var f; f()", `TypeError: f is not a function, it is undefined. (a.js:1)`},
		{"var f = {}; f()", `TypeError: f is not a function, it is object. (a.js:1)`},
		{"var f = 1; f(1)", `TypeError: f is not a function, it is number. (a.js:1)`},
		{"var o = {f: 1}; o.f(1)", `TypeError: o.f is not a function, it is number. (a.js:1)`},
		{"new Array(-1)", `RangeError: Inappropriate array length. (a.js:1)`},
		{"new Date('x').toISOString()", `RangeError: Date is invalid. (a.js:1)`},
		{"decodeURIComponent('%')", `URIError: Malformed URI sequence. (a.js:1)`},
		{"JSON.parse('<a>')", `SyntaxError: Unexpected token: < (a.js:1)`},
		{"JSON.parse('')", `SyntaxError: Empty JSON string (a.js:1)`},
		{"JSON.parse(undefined)", `SyntaxError: Unexpected token: u (a.js:1)`},
		{"throw new Error('no')", `Error: no (a.js:1)`},
		{"\n\nthrow 'text'", `text (a.js:3)`},
		{"throw {a: 1}", `[object Object] (a.js:1)`},
		{"(5).toFixed(200)", `RangeError: Precision 200 out of range. (a.js:1)`},
		{"(5).toPrecision(400)", `RangeError: Precision 400 out of range. (a.js:1)`},
		{"function f() { f() } f()", `Exceeded maximum stack depth`},
		{"java.lang.System.exit(0)", `ReferenceError: "java" is not defined. (a.js:1)`},
		{"new java.lang.String('a')", `ReferenceError: "java" is not defined. (a.js:1)`},
		{"importPackage()", `ReferenceError: "importPackage" is not defined. (a.js:1)`},
		{"Packages.java.lang", `ReferenceError: "Packages" is not defined. (a.js:1)`},
		{"var X; new X()", `TypeError: X is not a function, it is undefined. (a.js:1)`},
		{"const c = 1; c = 2", `TypeError: Assignment to constant variable. (a.js:1)`},
		{"[].length()", `TypeError: length is not a function, it is number. (a.js:1)`},
		{"var s = null; s.length()", `TypeError: Cannot call method "length" of null (a.js:1)`},
		{"var a = []; a[0].b()", `TypeError: Cannot call method "b" of undefined (a.js:1)`},
		{"'a'.repeat(1e9)", `RangeError: String is too long (a.js:1)`},
		{"'a'.padEnd(1e9)", `RangeError: String is too long (a.js:1)`},
		{"new Array(1e9).fill(1)", `RangeError: Inappropriate array length. (a.js:1)`},
		{"new Array(1e9).join('aaa')", `RangeError: Inappropriate array length. (a.js:1)`},
		{"new Array(4e9).includes(1)", `RangeError: Inappropriate array length. (a.js:1)`},
		{"var a = []; a.length = 4e9; a.reverse()", `RangeError: Inappropriate array length. (a.js:1)`},
		{"[].indexOf.call({length: 9e15}, 1)", `RangeError: Inappropriate array length. (a.js:1)`},
		{"Array.from({length: 1e12})", `RangeError: Inappropriate array length. (a.js:1)`},
		{"Math.max.apply(null, {length: 1e9})", `RangeError: Inappropriate array length. (a.js:1)`},
		{"eval(new Array(9999).join('('))", `SyntaxError: line 1: script is nested too deep (a.js:1)`},
		{"new Function(new Array(9999).join('('))", `SyntaxError: line 1: script is nested too deep (a.js:1)`},
		{"JSON.parse(new Array(99999).join('['))", `SyntaxError: JSON is nested deeper than 2000 (a.js:1)`},
	} {
		_, err := eval(t, tt.src)
		if got := fmt.Sprint(err); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.src, got, tt.want)
		}
	}
}

func TestValues(t *testing.T) {
	const doc = `var x = new XML('<r id="1"><a>one</a><a n="2">two</a><b><a>deep</a></b><name>N</name><e/></r>'); `
	for _, tt := range []struct{ src, want string }{
		// Java strings
		{"'abc'.length()", "3"},
		{"'é€'.length()", "2"},
		{"new String('ab').length()", "2"},
		{"({length: function() { return this.n }, n: 7}).length()", "7"},
		{"'a'.equals('a') + ',' + 'a'.equals('b') + ',' + 'a'.equals(null)", "true,false,false"},
		{"'a'.equals(new String('a'))", "true"},
		{"'Ab'.equalsIgnoreCase('aB')", "true"},
		{"'abc'.contains('bc')", "true"},
		{"''.isEmpty()", "true"},
		{"'hello'.hashCode()", "99162322"},
		{"'ab'.toCharArray()[1]", "b"},
		{"'b'.compareTo('a')", "1"},
		// nothing is left in for .. in, and user definitions win
		{"var k = []; for (var p in 'a'.equals('a') ? {} : {}) k.push(p); k.length", "0"},
		{"String.prototype.equals = function() { return 'mine' }; 'a'.equals()", "mine"},
		// ES2015
		{"let f = (a, b = 2) => `${a}-${b}`; f(1)", "1-2"},
		{"class A { constructor() { this.x = 1 } } new A().x", "1"},
		{"const {a, ...r} = {a: 1, b: 2}; JSON.stringify(r)", `{"b":2}`},
		{"[...new Set([1, 1, 2])].join()", "1,2"},
		{"eval('1 + 1')", "2"},
		{"(function() { var v = 5; return eval('v + 1') })()", "6"},
		{"new Function('a', 'return a * 2')(4)", "8"},
		{"typeof java + typeof Packages + typeof require + typeof console + typeof setTimeout", "undefinedundefinedundefinedundefinedundefined"},
		{"'a-b'.repeat(2) + 'x'.padStart(3)", "a-ba-b  x"},
		{"[1, 2].join('-') + Math.max.apply(null, [1, 3]) + Array.from('ab').length", "1-232"},
		// what annex B has beside
		{"new Date(0).toGMTString() + new Date(0).getYear()", "Thu, 01 Jan 1970 00:00:00 GMT70"},
		{"var d = new Date(0); d.setYear(99); var a = d.toISOString(); d.setYear(2014); a + d.getFullYear()", "1999-01-01T00:00:00.000Z2014"},
		{"new Date(NaN).getYear() + '' + new Date(0).setYear('x')", "NaNNaN"},
		{"'abc'.substr(-2) + escape('é') + 'a'.concat('b')", "bc%E9ab"},
		// the last match
		{"/(a)(x)?(b)/.test('-abc'); [RegExp.$1, RegExp.$2, RegExp.$3, RegExp.$4, RegExp.lastMatch, RegExp.leftContext, RegExp.rightContext].join()", "a,,b,,ab,-,c"},
		{"RegExp.$1 + ':' + RegExp.lastMatch", ":"},
		{"'k=v'.match(/(\\w)=(\\w)/); /nothing/.test('x'); RegExp.$2", "v"},
		{"'x1y2'.replace(/[a-z](\\d)/g, function() { return RegExp.$1 })", "22"},
		{"if (/^é(.)/.exec('é😀')) { RegExp.$1.length + RegExp.rightContext.length }", "2"},
		{"'a$1'.replace(/(a)/, 'b$1') + 'x'.search(/x/) + 'a,b'.split(/,/).length", "ba$102"},
		// functions in blocks
		{"if (true) { function f() { return 1 } } f()", "1"},
		{"if (false) { function f() {} } typeof f", "undefined"},
		{"var r; { r = g(); function g() { return 2 } } r + g()", "4"},
		{"(function() { try { function f() { return h() } function h() { return 3 } } catch (e) {} return f() })()", "3"},
		{"(function() { for (var i = 0; i < 2; i++) { function f() { return i } } return f() })()", "2"},
		{"switch (1) { case 1: function f() { return 4 } } f()", "4"},
		{"let f = 5; { function f() { return 6 } } f", "5"},
		{"(() => { { function f() { return 7 } } return f() })()", "7"},
		{"(function() { 'use strict'; { function f() {} } return typeof f })()", "undefined"},
		{"(function() { { let f = 1; { function f() {} } return f } })()", "1"},
		{"if (true) { function f() { return typeof f } } f()", "function"},
		// E4X
		{doc + "x.a[1]", "two"},
		{doc + "x.a.length()", "2"},
		{doc + "x.@id + x.a[1].@n + x.a[0].@none", "12"},
		{doc + "x.a.@n", "2"},
		{doc + "x..a.length()", "3"},
		{doc + "x.b..a", "deep"},
		{doc + "x.name + x.name()", "Nr"},
		{doc + "x.*.length()", "5"},
		{doc + "x.@*.length()", "1"},
		{doc + "x.@['i' + 'd']", "1"},
		{doc + "x..@n", "2"},
		{doc + "x.none.deeper.length() + '' + x.none", "0"},
		{doc + "typeof x.none", "object"},
		{doc + "var s = ''; for each (var e in x.a) s += e + ';'; s", "one;two;"},
		{doc + "var s = ''; for (var e in x.a) s += x.a[e] + ';'; s", "one;two;"},
		{doc + "x.a[0] == 'one'", "true"},
		{doc + "x.b.toXMLString()", "<b>\n  <a>deep</a>\n</b>"},
		{doc + "x.e.toXMLString() + x.a[1].toXMLString()", `<e/><a n="2">two</a>`},
		{doc + "x.children().length() + ',' + x.elements('a').length() + ',' + x.child('b').a", "5,2,deep"},
		{doc + "x.attribute('id') + x.attributes().length() + x.descendants('a').length()", "113"},
		{doc + "x.b.parent().name() + x.b.a.parent().name()", "rb"},
		{doc + "x.a[1].childIndex() + x.a[1].nodeKind() + x.@id.nodeKind()", "1elementattribute"},
		{doc + "x.hasSimpleContent() + ',' + x.name.hasSimpleContent()", "false,true"},
		{doc + "x.new = 'v'; x.a[0] = 'uno'; x.@id = 5; x.b.a = 'd'; delete x.a[1]; x.toXMLString().replace(/\\s*\\n\\s*/g, '')",
			`<r id="5"><a>uno</a><b><a>d</a></b><name>N</name><e/><new>v</new></r>`},
		{doc + "x.list.item = 'i'; x.list.toXMLString()", "<list>\n  <item>i</item>\n</list>"},
		{doc + "x.e.appendChild(new XML('<f/>')); x.e.prependChild('t'); x.e.toXMLString()", "<e>\n  t\n  <f/>\n</e>"},
		{doc + "x.replace('a', new XML('<z/>')); x.z.length() + ',' + x.a.length()", "1,0"},
		{doc + "var c = x.copy(); c.a[0] = 'changed'; x.a[0]", "one"},
		{doc + "x.setName('q'); x.name()", "q"},
		{doc + "x.b.setChildren('t'); x.b", "t"},
		{doc + "x.insertChildAfter(x.b, new XML('<after/>')); x.after.childIndex()", "3"},
		{doc + "JSON.stringify({v: x.name})", `{"v":"N"}`},
		{doc + "+new XML('<n>4</n>') + 1", "5"},
		{"new XMLList('<a/><b/>').length()", "2"},
		{"new XML('<?xml version=\"1.0\" encoding=\"utf-16\"?><a><b>\u00e9</b></a>').b", "é"},
		{"new XML('<?xml version=\"1.0\" encoding=\"ISO-8859-1\" standalone=\"yes\"?>\\n<a><b>\u00e9</b></a>').b", "é"},
		{"new XML('<?a b?><!-- c --><a><!-- d --><b/><?e f?></a><!-- g -->').toXMLString()", "<a>\n  <b/>\n</a>"},
		{"new XML('').toXMLString() + new XML('text')", "text"},
		{"new XML('<?xml version=\"1.0\"?><a>&lt;&amp;</a>').toXMLString()", "<a>&lt;&amp;</a>"},
		{"new XML('<p:a xmlns:p=\"u\"><p:b>1</p:b></p:a>').b", "1"},
		{"var s = ''; for each (var v in {a: 1, b: [2]}) { s += v } s", "12"},
		{"for each (var v in null) { throw 1 } 'ok'", "ok"},
		{"var n = 0; for each (var a in [[1, 2], [3]]) { for each (var b in a) { n += b } } n", "6"},
	} {
		v, err := eval(t, tt.src)
		if got := fmt.Sprint(v); err != nil || got != tt.want {
			t.Errorf("%s\n got %s, %v\nwant %s", tt.src, got, err, tt.want)
		}
	}
}

func TestXMLRefused(t *testing.T) {
	for _, src := range []string{
		"new XML('<a>')", "new XML('<a/><b/>')", "new XML('<!DOCTYPE a><a/>')", "new XML('<a>&x;</a>')",
		"new XML(Array(999).join('<a>'))",
	} {
		if v, err := eval(t, src); err == nil {
			t.Errorf("%s gave %s", src, v)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{"var a = 1;\nvar b = ;", "line 2: Unexpected token ;"},
		{"\nvar x = <a/>;", "line 2: E4X XML literals (<a/>) are not supported: use new XML(text)"},
		{"f(<a>{b}</a>)", "line 1: E4X XML literals (<a/>) are not supported: use new XML(text)"},
		{"var y = x.(@id == 1)", "line 1: E4X filters (.(condition)) are not supported"},
		{"var a = '\\\n';\nx.soap::Body", "line 3: E4X namespaces (a::b) are not supported"},
		{"default xml namespace = 'u';", "line 1: E4X default xml namespace is not supported"},
		{"try {} catch (e if e.x) {}", "line 1: conditional catch clauses (catch (e if ...)) are not supported"},
		{"/* <a/> */ var s = '<a/>' + `<b/>${1}` + /<c>/; var", "line 1: Unexpected end of input"},
		{"for (var i = 0; i <a; i++) { } x..y }", "line 1: Unexpected token }"},
		{"let a; let a;", "line 1: Identifier 'a' has already been declared"},
		{"\nreturn 1", "line 2: Illegal return statement"},
		{"\nvar r = /(/;", "line 2: Unterminated group"},
		{"\n\nconst c;", "line 3: Missing initializer in const declaration"},
		{"//# sourceMappingURL=/etc/passwd\nvar =", "line 2: Unexpected token ="},
	} {
		_, err := Compile("a.js", tt.src, nil)
		if got := fmt.Sprint(err); got != tt.want {
			t.Errorf("%q\n got %s\nwant %s", tt.src, got, tt.want)
		}
	}
}

// Source that would take the recursive parser gigabytes of stack.
func TestSourceBounds(t *testing.T) {
	rep := strings.Repeat
	for name, src := range map[string]string{
		"parentheses": rep("(", 1e6), "brackets": rep("[", 1e6), "braces": rep("{", 1e6), "functions": rep("function a(){", 1e5),
		"operators": rep("a+", 1e6) + "1", "unary": rep("!", 1e6), "conditional": rep("a?1:", 1e6), "if": rep("if(a)", 1e6),
		"arrows": rep("a=>", 1e6), "templates": rep("`${", 1e6), "members": "a" + rep(".b", 1e6), "new": rep("new ", 1e6), "size": rep(" ", MaxSource+1),
	} {
		if _, err := Compile("a.js", src, nil); err == nil {
			t.Errorf("%s: compiled", name)
		}
	}
	// and what is long but flat
	for name, src := range map[string]string{
		"statements": rep("a = 1;\n", 50_000), "array": "var a = [" + rep("1,", 100_000) + "]", "string": "var a = '" + rep("(", 100_000) + "'",
		"comment": "/*" + rep("(", 100_000) + "*/", "regexp": "var a = /[" + rep("(", 10_000) + "]/", "template": "var a = `" + rep("(", 100_000) + "`",
	} {
		if _, err := Compile("a.js", src, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
