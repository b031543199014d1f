package xslt

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/perigee-gateway/perigee/shared/xslt/expr"
	"github.com/perigee-gateway/perigee/shared/xslt/tree"
)

// format writes a number as the picture says.
func (p *picture) format(v float64) string {
	part := &p.positive
	if v < 0 || math.Signbit(v) && v != 0 {
		part = &p.negative
	}
	switch {
	case math.IsNaN(v):
		return p.f.nan
	case math.IsInf(v, 0):
		return part.prefix + p.f.infinity + part.suffix
	}
	whole, frac := digits(math.Abs(v), part.scale, part.maxFrac)
	for len(frac) > part.minFrac && frac[len(frac)-1] == '0' {
		frac = frac[:len(frac)-1]
	}
	whole = strings.TrimLeft(whole, "0")
	if n := part.minInt - len(whole); n > 0 {
		whole = strings.Repeat("0", n) + whole
	}
	if whole == "" && frac == "" {
		whole = "0"
	}
	var b strings.Builder
	b.WriteString(part.prefix)
	for i, c := range whole {
		if left := len(whole) - i; i > 0 && (part.group > 0 && left%part.group == 0 || part.group == 0 && slices.Contains(part.groups, left)) {
			b.WriteRune(p.f.grouping)
		}
		b.WriteRune(p.f.zero + c - '0')
	}
	if frac != "" {
		b.WriteRune(p.f.decimal)
		for _, c := range frac {
			b.WriteRune(p.f.zero + c - '0')
		}
	}
	b.WriteString(part.suffix)
	return b.String()
}

// digits are those of v times a power of ten, rounded half to even in decimal, as
// Java's BigDecimal of the number's text rounds.
func digits(v float64, scale, places int) (whole, frac string) {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	whole, frac, _ = strings.Cut(text, ".")
	frac += strings.Repeat("0", max(0, scale-len(frac)))
	whole, frac = whole+frac[:scale], frac[scale:]
	if len(frac) <= places {
		return whole, frac + strings.Repeat("0", places-len(frac))
	}
	rest := frac[places:]
	d := []byte(whole + frac[:places])
	up := rest[0] > '5' || rest[0] == '5' && (strings.Trim(rest[1:], "0") != "" || (d[len(d)-1]-'0')%2 == 1)
	for i := len(d) - 1; up && i >= 0; i-- {
		if d[i]++; d[i] <= '9' {
			up = false
		} else {
			d[i] = '0'
		}
	}
	if up {
		d = append([]byte{'1'}, d...)
	}
	return string(d[:len(d)-places]), string(d[len(d)-places:])
}

// number is xsl:number (section 7.7).
type number struct {
	value, sel  expr.Expr
	level       string
	count, from []*expr.Pattern
	format      avt
	separator   avt
	size        avt
	two         bool
}

func (c *compiler) number(st *static, n *tree.Node) instr {
	a := c.take(st, n, "level", "count", "from", "value", "format", "lang", "letter-value", "grouping-separator", "grouping-size", "select")
	c.empty(n)
	in := &number{level: a["level"], separator: c.avt(st, n, a["grouping-separator"]), size: c.avt(st, n, a["grouping-size"]), two: st.two()}
	switch in.level {
	case "":
		in.level = "single"
	case "single", "multiple", "any":
	default:
		c.errorf(n, "level %q is not single, multiple or any", in.level)
	}
	format, ok := a["format"]
	if !ok {
		format = "1"
	}
	in.format = c.avt(st, n, format)
	if v, ok := a["value"]; ok {
		in.value = c.expr(st, n, v)
	}
	if v, ok := a["select"]; ok {
		in.sel = c.expr(st, n, v)
	}
	if v, ok := a["count"]; ok {
		in.count = c.pattern(st, n, v)
	}
	if v, ok := a["from"]; ok {
		in.from = c.pattern(st, n, v)
	}
	return in
}

func (in *number) exec(_ *run, s *state) {
	var list []int
	if in.value != nil {
		for _, item := range expr.Eval(in.value, &s.Context).Items() {
			f := expr.ParseNumber(item.Text())
			if math.IsNaN(f) || math.IsInf(f, 0) || f < 0 || f > math.MaxInt32 {
				s.out.text(item.Text(), false) // not a number to be formatted
				return
			}
			list = append(list, int(math.Floor(f+0.5)))
			if !in.two {
				break
			}
		}
	} else {
		list = in.place(s)
	}
	if len(list) == 0 {
		return
	}
	size, _ := strconv.Atoi(strings.TrimSpace(in.size.value(s)))
	s.out.text(formatNumbers(list, in.format.value(s), in.separator.value(s), size), false)
}

// place is the number of the current node.
func (in *number) place(s *state) []int {
	n := s.Node
	if in.sel != nil {
		v := expr.Eval(in.sel, &s.Context)
		if len(v.Nodes()) != 1 {
			expr.Fail("select of xsl:number is not one node")
		}
		n = v.Nodes()[0]
	}
	c := s.Context
	counts := func(k *tree.Node) bool {
		s.Env.Tick(1)
		if in.count == nil {
			return k.Kind == n.Kind && k.Name == n.Name
		}
		return matchAny(in.count, &c, k)
	}
	if in.level == "any" {
		return in.any(&c, n, counts)
	}
	var out []int
	for k := n; k != nil; k = k.Parent {
		if counts(k) {
			out = append(out, 1+before(k, counts))
			if in.level == "single" {
				break
			}
		}
		if in.from != nil && matchAny(in.from, &c, k) && (k != n || in.level == "multiple") {
			break
		}
	}
	slices.Reverse(out)
	return out
}

func matchAny(list []*expr.Pattern, c *expr.Context, n *tree.Node) bool {
	return slices.ContainsFunc(list, func(p *expr.Pattern) bool { return p.Match(c, n) })
}

// before counts siblings.
func before(n *tree.Node, counts func(*tree.Node) bool) int {
	out := 0
	for k := n.Prev; k != nil; k = k.Prev {
		if counts(k) {
			out++
		}
	}
	return out
}

// any counts in document order, from the last node that matches from.
func (in *number) any(c *expr.Context, n *tree.Node, counts func(*tree.Node) bool) []int {
	total := 0
	root := n.Root()
	for k := root; k != nil; k = k.Following(root) {
		if in.from != nil && matchAny(in.from, c, k) {
			total = 0
		}
		if counts(k) {
			total++
		}
		for _, a := range k.Attrs {
			if a == n && counts(a) {
				total++
			}
		}
		if k == n || n.Kind == tree.Attribute && k == n.Parent {
			break
		}
	}
	if total == 0 && in.two {
		return nil
	}
	return []int{total}
}

// formatNumbers writes numbers as a format says (section 7.7.1).
func formatNumbers(list []int, format, separator string, size int) string {
	prefix, tokens, seps, suffix := splitFormat(format)
	var b strings.Builder
	b.WriteString(prefix)
	for i, n := range list {
		if i > 0 {
			sep := "."
			if len(seps) > 0 {
				sep = seps[min(i-1, len(seps)-1)]
			}
			b.WriteString(sep)
		}
		b.WriteString(formatOne(n, tokens[min(i, len(tokens)-1)], separator, size))
	}
	b.WriteString(suffix)
	return b.String()
}

// splitFormat splits a format into runs of letters and digits and what is between.
func splitFormat(format string) (prefix string, tokens, seps []string, suffix string) {
	alnum := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsNumber(r) }
	text := ""
	var runs []string
	in := false
	for _, r := range format {
		if a := alnum(r); a != in {
			runs = append(runs, text)
			text, in = "", a
		}
		text += string(r)
	}
	runs = append(runs, text) // punctuation, token, punctuation ...
	prefix = runs[0]
	for i := 1; i < len(runs); i++ {
		switch {
		case i%2 == 1:
			tokens = append(tokens, runs[i])
		case i < len(runs)-1:
			seps = append(seps, runs[i])
		default:
			suffix = runs[i]
		}
	}
	if len(tokens) == 0 {
		tokens = []string{"1"}
	}
	return prefix, tokens, seps, suffix
}

func formatOne(n int, token, separator string, size int) string {
	switch {
	case n > 0 && (token == "A" || token == "a"):
		return alphabetic(n, rune(token[0]))
	case n > 0 && n < 4000 && token == "I":
		return roman(n)
	case n > 0 && n < 4000 && token == "i":
		return strings.ToLower(roman(n))
	}
	zero, width := '0', 1
	if r := []rune(token); len(r) > 0 && unicode.IsDigit(r[len(r)-1]) {
		last := r[len(r)-1]
		for zero = last; unicode.IsDigit(zero-1) && last-zero < 9; zero-- {
		}
		if last == zero+1 && !slices.ContainsFunc(r[:len(r)-1], func(c rune) bool { return c != zero }) {
			width = min(len(r), 100)
		} else {
			zero = '0'
		}
	}
	digits := strconv.Itoa(n)
	digits = strings.Repeat("0", max(0, width-len(digits))) + digits
	var b strings.Builder
	for i, c := range digits {
		if left := len(digits) - i; i > 0 && separator != "" && size > 0 && left%size == 0 {
			b.WriteString(separator)
		}
		b.WriteRune(zero + c - '0')
	}
	return b.String()
}

func alphabetic(n int, first rune) string {
	out := ""
	for ; n > 0; n = (n - 1) / 26 {
		out = string(first+rune((n-1)%26)) + out
	}
	return out
}

func roman(n int) string {
	values := []int{1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1}
	letters := []string{"M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"}
	out := ""
	for i, v := range values {
		for ; n >= v; n -= v {
			out += letters[i]
		}
	}
	return out
}
