package template

import (
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

func compileJSONPath(s string) (program, error) { return jsonpath.Compile(s) }

// runJSONPath is jsonPath(path,json[,all]). Of an array it gives the first
// element unless all is "true". No match, null, and text that is not JSON give
// nothing.
func runJSONPath(dst []byte, in *input) ([]byte, error) {
	path, err := in.program(0)
	if err != nil {
		return nil, err
	}
	doc, err := jsonpath.ParseString(in.args[1])
	if err != nil {
		return dst, nil
	}
	v, ok := path.(*jsonpath.Path).Eval(doc)
	if !ok {
		return dst, nil
	}
	if in.arg(2, "") != "true" {
		v = v.First()
	}
	if v == nil || v.Kind() == jsonpath.Null {
		return dst, nil
	}
	if v.Kind() == jsonpath.String {
		return append(dst, v.Text()...), nil
	}
	return v.AppendJSON(dst), nil
}

// query is a compiled xpath().
type query struct {
	expr *xpath.Expr
	typ  string
}

// newQuery compiles xpath(expression,xml[,type][,prefix:uri…]); rest is what
// follows xml.
func newQuery(expr string, rest []string) (program, error) {
	q := &query{typ: "nodeset"}
	namespaces := map[string]string{}
	for i, s := range rest {
		prefix, uri, ok := strings.Cut(s, ":")
		switch {
		case ok:
			namespaces[prefix] = uri
		case i == 0:
			q.typ = strings.ToLower(s)
		}
	}
	e, err := xpath.Compile(expr, namespaces)
	q.expr = e
	return q, err
}

func prepareXPath(args []argument) (program, error) {
	var rest []string
	for i, a := range args {
		if i == 1 {
			continue
		}
		if a.ref != nil {
			return nil, nil
		}
		rest = append(rest, a.text)
	}
	return newQuery(rest[0], rest[1:])
}

// runXPath is xpath(). No match, and text that is not XML, give nothing.
func runXPath(dst []byte, in *input) ([]byte, error) {
	p, err := xpathProgram(in)
	if err != nil {
		return nil, err
	}
	q := p.(*query)
	doc, err := xpath.ParseText(in.args[1])
	if err != nil {
		return dst, nil
	}
	r, err := q.expr.Eval(doc)
	if err != nil {
		return nil, err
	}
	return append(dst, xpathText(r, q.typ)...), nil
}

func xpathProgram(in *input) (program, error) {
	if p := in.call.programs[0]; p != nil {
		return p, nil
	}
	rest := in.args[2:in.n]
	key := in.args[0] + "\x00" + strings.Join(rest, "\x00")
	return compileCached("xpath", 0, key, func(string) (program, error) { return newQuery(in.args[0], rest) })
}

func xpathText(r xpath.Result, typ string) string {
	switch typ {
	case "node":
		return r.FirstXML()
	case "string":
		return r.Text()
	case "number":
		return xpath.NumberText(r.Number())
	case "boolean":
		return strconv.FormatBool(r.Bool())
	}
	return r.XML()
}
