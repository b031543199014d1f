package expr

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

const doc = `<doc xmlns:p="urn:p"><chapter title="Introduction"><para type="warning">one</para><para>two</para><para type="warning">three</para></chapter>` +
	`<chapter><para type="warning">four</para><p:note lang="en">n</p:note></chapter><appendix/><employee secretary="s" assistant="a"/></doc>`

// evaluate gives the text of a value: nodes as their texts in brackets.
func evaluate(t testing.TB, src string, two bool) (out string, err error) {
	t.Helper()
	b := &tree.Budget{Nodes: 1e5, Bytes: 1e7, Steps: 1e7}
	d, err := tree.Parse([]byte(doc), b, tree.Options{})
	if err != nil {
		t.Fatal(err)
	}
	vars := []Value{Num(4), Of(d.Root.First.First), Str("s")}
	names := []string{"n", "chapter", "s"}
	locals := 0
	s := &Static{Scope: d.Root.First.Scope, Two: two, Variable: func(name tree.Name) (Ref, bool) {
		for i, n := range names {
			if name.Local == n {
				return Ref{true, i}, true
			}
		}
		return Ref{}, false
	}, Declare: func(tree.Name) int { locals++; return locals - 1 }, Release: func() { locals-- }}
	e, err := Compile(src, s)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	env := &Env{Ctx: ctx, Budget: b, Global: func(i int) Value { return vars[i] }, Now: time.Unix(0, 0)}
	c := &Context{Env: env, Node: d.Root.First, Current: d.Root.First, Pos: 1, Size: 1, Locals: make([]Value, 20)}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *Error:
			err = p
		case tree.Limit:
			err = p
		case Stopped:
			err = p.Err
		default:
			panic(p)
		}
	}()
	v := Eval(e, c)
	if v.Kind() != Nodes {
		return v.Text(), nil
	}
	list := []string{}
	for _, n := range v.Nodes() {
		list = append(list, n.Text())
	}
	return "[" + strings.Join(list, " ") + "]", nil
}

// TestXPath holds the examples of the recommendation's section 2 and more, in the
// element doc.
func TestXPath(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"child::chapter/child::para", "[one two three four]"},
		{"chapter[1]/para[1]", "[one]"},
		{"chapter/para[last()]", "[three four]"},
		{"chapter/para[last() - 1]", "[two]"},
		{"chapter/para[position() > 1]", "[two three]"},
		{"chapter[2]/para/preceding::para[1]", "[three]"},
		{"descendant::para[3]", "[three]"},
		{"//para[@type='warning']", "[one three four]"},
		{"//para[@type='warning'][2]", "[three]"},
		{"//para[2][@type='warning']", "[]"},
		{"(//para)[2]", "[two]"},
		{"chapter[@title='Introduction']/para[2]", "[two]"},
		{"chapter[para='four']/@title", "[]"},
		{"child::*[self::chapter or self::appendix][position() = last()]", "[]"},
		{"count(child::*[self::chapter or self::appendix])", "3"},
		{"employee[@secretary and @assistant]/@assistant", "[a]"},
		{"//p:note/@lang", "[en]"},
		{"//p:*", "[n]"},
		{"count(//@*)", "7"},
		{"ancestor-or-self::doc/chapter[1]/@title", "[Introduction]"},
		{"/doc/chapter[2]/p:note", "[n]"},
		{"/descendant::p:note/parent::*/para", "[four]"},
		{"..//appendix", "[]"},
		{"count(..//. | .)", "16"},
		{"./chapter[2]//text()", "[four n]"},
		{"$chapter/para[2]", "[two]"},
		{"$n + 1", "5"},
		{"$s", "s"},
		{"$chapter//para[$n - 1]", "[three]"},
		{"string($chapter)", "onetwothree"},
		{"6 div 4", "1.5"},
		{"2*3-4div 2", "4"},
		{"count(chapter)*2", "4"},
		{"chapter * 2", "NaN"},
		{"-chapter", "NaN"},
		{"1 > 2 = false()", "true"},
		{"true() and not(false()) or 1 div 0", "true"},
		{"'a' = \"a\"", "true"},
		{"name(/*)", "doc"},
		{"name(//p:note)", "p:note"},
		{"local-name(//p:note)", "note"},
		{"namespace-uri(//p:note)", "urn:p"},
		{"string-length(normalize-space('  a  b '))", "3"},
		{"concat(substring('12345', 1.5, 2.6), '|', substring('12345', 0, 3))", "234|12"},
		{"id('x')", "[]"},
		{"sum(chapter/@none)", "0"},
		{"boolean(0 div 0)", "false"},
		{"(1)", "1"},
		{"//para[. = 'two' or . = 'four']", "[two four]"},
		{"//para[not(@type)]/following-sibling::para", "[three]"},
		{"lower-case('ABC')", "abc"},
		{"string-join(//para, '+')", "one+two+three+four"},
		{"tokenize('a b', ' ')[2]", "[b]"},
		{"if (chapter) then 1 else 2", "1"},
		{"count(//*:note)", "1"},
	} {
		got, err := evaluate(t, c.src, false)
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.src, got, err, c.want)
		}
	}
}

// TestErrors is about expressions that do not compile, or cannot be evaluated.
func TestErrors(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", `unexpected end in ""`},
		{"a b", `unexpected "b" at 3 in "a b"`},
		{"a[", `unexpected end in "a["`},
		{"a]", `unexpected "]" at 2 in "a]"`},
		{"(1", `unexpected end in "(1"`},
		{"'a", `string at 1 does not end in "'a"`},
		{"a # b", `character '#' at 3 is not part of an expression in "a # b"`},
		{"foo::a", `"foo" is not an axis in "foo::a"`},
		{"nothing(1)", `function nothing() is not supported in "nothing(1)"`},
		{"position(1)", `function position() has 1 arguments in "position(1)"`},
		{"$nothing", `variable $nothing is not declared in "$nothing"`},
		{"x:y", `prefix "x" is not declared in "x:y"`},
		{"1e3", `"1e3" is not a number in "1e3"`},
		{"(: a", `comment does not end in "(: a"`},
		{strings.Repeat("(", 200), "nested more than 100 deep"},
		{"'a'/b", `The value of a path is not a node-set`},
		{"count('a')", "Argument 1 of count() is not a node-set"},
		{"1 | 2", "The value of an operand of | is not a node-set"},
		{"exactly-one(//para)", "exactly-one() called with a sequence of 4 items"},
		{"1 to 10000000", "a sequence has more than 100000 items"},
	} {
		_, err := evaluate(t, c.src, false)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v; want %s", c.src, err, c.want)
		}
	}
}

// TestPriorities are those of XSLT 1.0, section 5.5.
func TestPriorities(t *testing.T) {
	s := &Static{Scope: &tree.Scope{Prefix: "p", URI: "urn:p"}}
	for src, want := range map[string]string{
		"a": "0", "p:a": "0", "@a": "0", "processing-instruction('x')": "0", "p:*": "-0.25", "@p:*": "-0.25", "*": "-0.5", "@*": "-0.5",
		"node()": "-0.5", "text()": "-0.5", "processing-instruction()": "-0.5", "/": "-0.5", "a/b": "0.5", "a[1]": "0.5", "/a": "0.5",
		"//a": "0.5", "id('x')": "0.5", "a|b/c": "0 0.5", "*:a": "-0.25", "child::a": "0", "attribute::a": "0",
	} {
		list, err := CompilePattern(src, s)
		got := []string{}
		for _, p := range list {
			got = append(got, fmt.Sprint(p.Priority))
		}
		if strings.Join(got, " ") != want || err != nil {
			t.Errorf("%s: %v, %v; want %s", src, got, err, want)
		}
	}
}

// FuzzExpr: no expression and no pattern panics, whatever the version.
func FuzzExpr(f *testing.F) {
	for _, s := range []string{"chapter[1]/para[last()]", "//p:*[@a = 'b'] | ..", "for $x in 1 to 3 return $x * 2", "a/b//c[position() = 2]", "concat('a', 1 div 0, -(2))", "if (a) then b else c", "id('x')/a"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, src string, two bool) {
		_, _ = evaluate(t, src, two)
		list, err := CompilePattern(src, &Static{Two: two})
		if err != nil {
			return
		}
		b := &tree.Budget{Nodes: 1e5, Bytes: 1e7, Steps: 1e7}
		d, err := tree.Parse([]byte(doc), b, tree.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := &Context{Env: &Env{Ctx: ctx, Budget: b}}
		for n := d.Root; n != nil; n = n.Following(d.Root) {
			for _, p := range list {
				matches(p, c, n)
			}
		}
	})
}

func matches(p *Pattern, c *Context, n *tree.Node) {
	defer func() {
		switch p := recover().(type) {
		case nil, *Error, tree.Limit, Stopped:
		default:
			panic(p)
		}
	}()
	p.Match(c, n)
}
