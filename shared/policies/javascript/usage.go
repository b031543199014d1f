package javascript

import (
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/rhino"
)

// usage is what the scripts of a policy may touch, told from their text. Where
// the text does not tell, more is assumed.
type usage struct {
	request, response bool // bodies
	mutates           bool
	client            bool     // httpClient
	vars              []string // variables named in full

	loose   bool              // a member like a body's, of what may not be a message
	escaped bool              // a message is more than the left of a member: it may be anywhere
	held    map[ast.Node]bool // messages that are the left of a member
}

// scan notes what one file uses.
func (u *usage) scan(prog *ast.Program) {
	rhino.Walk(prog, func(n ast.Node) bool {
		u.escape(n)
		switch n := n.(type) {
		case *ast.CallExpression:
			return u.call(n)
		case *ast.DotExpression:
			u.hold(n.Left)
			u.member(n.Left, n.Identifier.Name.String())
		case *ast.BracketExpression:
			if s, ok := n.Member.(*ast.StringLiteral); ok {
				u.hold(n.Left)
				u.member(n.Left, s.Value.String())
			}
		case *ast.Identifier:
			switch n.Name {
			case "eval", "Function":
				u.request, u.response = true, true
			case "httpClient":
				u.client = true
			}
		case *ast.PropertyShort: // const {content} = request
			u.loose = u.loose || isBody(n.Name.Name.String())
		case *ast.PropertyKeyed:
			if s, ok := n.Key.(*ast.StringLiteral); ok {
				u.loose = u.loose || isBody(s.Value.String())
			}
		case *ast.AssignExpression:
			u.assigned(n.Left)
		case *ast.UnaryExpression:
			if n.Operator == token.DELETE || n.Operator == token.INCREMENT || n.Operator == token.DECREMENT {
				u.assigned(n.Operand)
			}
		}
		return true
	})
}

// hold notes the left of a member.
func (u *usage) hold(n ast.Node) {
	if u.held == nil {
		u.held = make(map[ast.Node]bool)
	}
	u.held[n] = true
}

// escape notes a message, or context, that is not the left of a member.
func (u *usage) escape(n ast.Node) {
	name := ""
	switch n := n.(type) {
	case *ast.Identifier:
		name = n.Name.String()
	case *ast.DotExpression:
		name = n.Identifier.Name.String()
	case *ast.StringLiteral:
		name = n.Value.String()
	}
	if (name == "context" || isMessageObject(name)) && !u.held[n] {
		u.escaped = true
	}
}

// call looks at context.getVariable and its kin. It returns false if there is
// nothing more to see in the callee.
func (u *usage) call(n *ast.CallExpression) bool {
	dot, ok := n.Callee.(*ast.DotExpression)
	if !ok || !isAccessor(dot.Identifier.Name.String()) {
		return true
	}
	if len(n.ArgumentList) > 0 {
		u.variable(n.ArgumentList[0])
	}
	for _, a := range n.ArgumentList {
		u.scan(&ast.Program{Body: []ast.Statement{&ast.ExpressionStatement{Expression: a}}})
	}
	return false
}

func isAccessor(name string) bool {
	switch name {
	case "getVariable", "setVariable", "removeVariable":
		return true
	}
	return false
}

// variable notes a variable whose name is the value of e.
func (u *usage) variable(e ast.Expression) {
	name, whole := constant(e)
	if whole {
		u.vars = append(u.vars, name)
		return
	}
	first, rest, dotted := strings.Cut(name, ".")
	kind, _, known := strings.Cut(rest, ".")
	switch {
	case !dotted && name != "" && !mayBecomeMessage(name):
		return // a custom variable
	case dotted && !isMessage(first):
		return
	case known && (kind == "header" || kind == "headers" || kind == "queryparam" || kind == "queryparams"):
		return
	}
	u.side(first)
}

func isMessage(name string) bool {
	switch name {
	case "request", "response", "message", "error":
		return true
	}
	return false
}

// mayBecomeMessage reports whether name is the beginning of a message's name.
func mayBecomeMessage(name string) bool {
	for _, m := range [...]string{"request", "response", "message", "error"} {
		if strings.HasPrefix(m, name) {
			return true
		}
	}
	return false
}

// constant returns the text that e begins with, and whether it is all of it.
func constant(e ast.Expression) (string, bool) {
	switch e := e.(type) {
	case *ast.StringLiteral:
		return e.Value.String(), true
	case *ast.BinaryExpression:
		if e.Operator != token.PLUS {
			return "", false
		}
		left, whole := constant(e.Left)
		if !whole {
			return left, false
		}
		right, whole := constant(e.Right)
		return left + right, whole
	case *ast.TemplateLiteral:
		if e.Tag == nil && len(e.Elements) > 0 {
			return e.Elements[0].Parsed.String(), len(e.Expressions) == 0
		}
	}
	return "", false
}

func (u *usage) side(name string) {
	switch name {
	case "request":
		u.request = true
	case "response", "error":
		u.response = true
	default:
		u.request, u.response = true, true
	}
}

// isBody reports whether a member called name leads to a body.
func isBody(name string) bool {
	switch name {
	case "content", "body", "asJSON", "asXML", "asForm", "formParams":
		return true
	}
	return false
}

// member notes a property that is read or written.
func (u *usage) member(of ast.Expression, name string) {
	switch name {
	case "push", "pop", "shift", "unshift", "splice", "sort", "reverse", "fill", "copyWithin",
		"assign", "defineProperty", "defineProperties", "setPrototypeOf":
		u.mutates = true
		return
	}
	if isAccessor(name) { // not called: it may be called under another name
		u.request, u.response = true, true
	}
	if !isBody(name) {
		return
	}
	switch owner(of) {
	case "request", "proxyRequest", "targetRequest":
		u.request = true
	case "response", "proxyResponse", "targetResponse":
		u.response = true
	case "content", "body": // seen when they are
	default:
		u.loose = true
	}
}

// owner is the last name of the expression that a member belongs to.
func owner(e ast.Expression) string {
	switch e := e.(type) {
	case *ast.Identifier:
		return e.Name.String()
	case *ast.DotExpression:
		return e.Identifier.Name.String()
	}
	return ""
}

// assigned notes an assignment to a member. Those to a message itself cannot be
// to what asJSON gave.
func (u *usage) assigned(e ast.Expression) {
	switch e := e.(type) {
	case *ast.DotExpression:
		name := e.Identifier.Name.String()
		if isOwnMember(name) && isMessageObject(owner(e.Left)) || isFields(owner(e.Left)) {
			return
		}
		u.mutates = true
	case *ast.BracketExpression:
		if !isFields(owner(e.Left)) {
			u.mutates = true
		}
	case *ast.ArrayPattern, *ast.ObjectPattern:
		u.mutates = true
	}
}

func isOwnMember(name string) bool {
	switch name {
	case "content", "body", "url", "path", "method", "host", "port", "protocol":
		return true
	}
	return false
}

func isMessageObject(name string) bool {
	switch name {
	case "request", "response", "proxyRequest", "targetRequest", "proxyResponse", "targetResponse":
		return true
	}
	return false
}

func isFields(name string) bool {
	return name == "headers" || name == "queryParams" || name == "status"
}

// report tells env.
func (u *usage) report(env *policy.Env) {
	if u.client && env.Callouts == nil {
		env.Errorf(bundle.Pos{}, "httpClient is not available: this host makes no calls")
	}
	if u.loose && u.escaped {
		u.request, u.response = true, true
	}
	env.UsesContent(u.request, u.response)
}

// compiled are the variables that scripts name in full.
func (u *usage) compiled(env *policy.Env) map[string]flow.Var {
	vars := make(map[string]flow.Var, len(u.vars))
	for _, name := range u.vars {
		if name != "" && name == strings.TrimSpace(name) {
			vars[name] = env.Var(name)
		}
	}
	return vars
}
