package analytics

import (
	"regexp"
	"strconv"
	"strings"
)

// Filter selects rows. value gives a row's value of a dimension.
type Filter func(value func(name string) string) bool

// flags are metrics that filters may ask for too: 1 for calls of which it is
// true, else 0. All calls of a row have the same status and fault.
var flags = map[string]metric{
	"is_error": metricIsError, "iserror": metricIsError, "policy_error": metricPolicyError,
	"target_error": metricTargetError, "cache_hit": metricCacheHit,
}

// maxFilter bounds the text of a filter, in bytes, and maxFilterDepth its
// parentheses.
const (
	maxFilter      = 4 << 10
	maxFilterDepth = 20
)

// parseFilter reads a filter such as
//
//	(apiproxy in 'a','b') and (response_status_code ge 400 or target_error eq 1)
//
// with the operators in, notin, eq, ne, gt, lt, ge, le, like, not like, similar
// to, not similar to, is null and is not null.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/analytics/use-analytics-api-measure-api-program-performance
func parseFilter(src string) (Filter, error) {
	if strings.TrimSpace(src) == "" {
		return nil, nil
	}
	if len(src) > maxFilter {
		return nil, invalid("filter has %d bytes, at most %d are allowed", len(src), maxFilter)
	}
	p := &filterParser{src: src}
	if err := p.next(); err != nil {
		return nil, err
	}
	f, err := p.or(0)
	if err == nil && p.kind != end {
		err = p.unexpected()
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

type tokenKind uint8

const (
	end    tokenKind = iota
	word             // a name, a keyword or a number
	quoted           // text in single quotes
	symbol           // ( ) ,
)

type filterParser struct {
	src  string
	pos  int
	kind tokenKind
	text string
}

func (p *filterParser) unexpected() error {
	if p.kind == end {
		return invalid("filter %q ends too early", p.src)
	}
	return invalid("filter %q: unexpected %q", p.src, p.text)
}

// next reads a token.
func (p *filterParser) next() error {
	for p.pos < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.pos]) >= 0 {
		p.pos++
	}
	if p.pos == len(p.src) {
		p.kind, p.text = end, ""
		return nil
	}
	switch c := p.src[p.pos]; c {
	case '(', ')', ',':
		p.kind, p.text = symbol, string(c)
		p.pos++
		return nil
	case '\'', '"':
		var b strings.Builder
		for i := p.pos + 1; i < len(p.src); i++ {
			if p.src[i] == c {
				if i+1 < len(p.src) && p.src[i+1] == c { // a doubled quote is one
					i++
				} else {
					p.kind, p.text, p.pos = quoted, b.String(), i+1
					return nil
				}
			}
			b.WriteByte(p.src[i])
		}
		return invalid("filter %q: a quote is not closed", p.src)
	}
	start := p.pos
	for p.pos < len(p.src) && strings.IndexByte(" \t\r\n(),'\"", p.src[p.pos]) < 0 {
		p.pos++
	}
	p.kind, p.text = word, p.src[start:p.pos]
	return nil
}

func (p *filterParser) keyword(k string) bool { return p.kind == word && strings.EqualFold(p.text, k) }

func (p *filterParser) or(depth int) (Filter, error) {
	left, err := p.and(depth)
	for err == nil && p.keyword("or") {
		if err = p.next(); err != nil {
			return nil, err
		}
		var right Filter
		if right, err = p.and(depth); err == nil {
			a, b := left, right
			left = func(v func(string) string) bool { return a(v) || b(v) }
		}
	}
	return left, err
}

func (p *filterParser) and(depth int) (Filter, error) {
	left, err := p.operand(depth)
	for err == nil && p.keyword("and") {
		if err = p.next(); err != nil {
			return nil, err
		}
		var right Filter
		if right, err = p.operand(depth); err == nil {
			a, b := left, right
			left = func(v func(string) string) bool { return a(v) && b(v) }
		}
	}
	return left, err
}

// operand is a comparison, or a filter in parentheses.
func (p *filterParser) operand(depth int) (Filter, error) {
	if depth > maxFilterDepth {
		return nil, invalid("filter: more than %d parentheses inside each other", maxFilterDepth)
	}
	if p.kind == symbol && p.text == "(" {
		if err := p.next(); err != nil {
			return nil, err
		}
		f, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.kind != symbol || p.text != ")" {
			return nil, p.unexpected()
		}
		return f, p.next()
	}
	return p.comparison()
}

func (p *filterParser) comparison() (Filter, error) {
	if p.kind != word {
		return nil, p.unexpected()
	}
	name := p.text
	if _, ok := flags[name]; !ok && !isDimension(name) {
		return nil, invalid("filter: Invalid dimension %q", name)
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	negated := false
	op := ""
	for op == "" {
		if p.kind != word {
			return nil, p.unexpected()
		}
		switch k := strings.ToLower(p.text); k {
		case "not":
			negated = !negated
		case "in", "eq", "ne", "gt", "lt", "ge", "le", "like", "similar", "is":
			op = k
		case "notin":
			op, negated = "in", !negated
		default:
			return nil, p.unexpected()
		}
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	test, err := p.test(op, &negated)
	if err != nil {
		return nil, err
	}
	return func(v func(string) string) bool { return test(v(name)) != negated }, nil
}

// test reads what stands behind an operator.
func (p *filterParser) test(op string, negated *bool) (func(string) bool, error) {
	switch op {
	case "is":
		if p.keyword("not") {
			*negated = !*negated
			if err := p.next(); err != nil {
				return nil, err
			}
		}
		if !p.keyword("null") {
			return nil, p.unexpected()
		}
		return func(v string) bool { return v == NotSet }, p.next()
	case "similar":
		if !p.keyword("to") {
			return nil, p.unexpected()
		}
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	values, err := p.values(op == "in")
	if err != nil {
		return nil, err
	}
	switch op {
	case "in":
		return func(v string) bool {
			for _, want := range values {
				if v == want {
					return true
				}
			}
			return false
		}, nil
	case "like", "similar":
		re, err := likePattern(values[0], op == "similar")
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	}
	want := values[0]
	return func(v string) bool { return holds(op, compare(v, want)) }, nil
}

// values are one value, or a list of them, which may be in parentheses.
func (p *filterParser) values(list bool) ([]string, error) {
	inside := list && p.kind == symbol && p.text == "("
	if inside {
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	var values []string
	for {
		if p.kind != word && p.kind != quoted {
			return nil, p.unexpected()
		}
		values = append(values, p.text)
		if err := p.next(); err != nil {
			return nil, err
		}
		if !list || p.kind != symbol || p.text != "," {
			break
		}
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	if !inside {
		return values, nil
	}
	if p.kind != symbol || p.text != ")" {
		return nil, p.unexpected()
	}
	return values, p.next()
}

// compare compares as numbers where both are, else as texts.
func compare(a, b string) int {
	x, errA := strconv.ParseFloat(a, 64)
	y, errB := strconv.ParseFloat(b, 64)
	if errA != nil || errB != nil {
		return strings.Compare(a, b)
	}
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func holds(op string, order int) bool {
	switch op {
	case "eq":
		return order == 0
	case "ne":
		return order != 0
	case "gt":
		return order > 0
	case "lt":
		return order < 0
	case "ge":
		return order >= 0
	}
	return order <= 0 // le
}

// likePattern turns a pattern of SQL's LIKE, or of SIMILAR TO, which knows some
// of regular expressions too, into a regular expression.
func likePattern(src string, similar bool) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString("(?s)^(?:")
	for _, c := range src {
		switch {
		case c == '%':
			b.WriteString(".*")
		case c == '_':
			b.WriteByte('.')
		case similar && strings.ContainsRune("|*+?{}()[]", c):
			b.WriteRune(c)
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	b.WriteString(")$")
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, invalid("filter: pattern %q is invalid", src)
	}
	return re, nil
}
