package javaregex

// class reads a bracketed class after its "[": unions, nested classes,
// intersections with && and negation.
func (p *parser) class() set {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		p.fail("Pattern is nested too deeply")
	}
	negated := p.accept("^")
	s := p.classUnion(true)
	for p.accept("&&") {
		if p.peek() == ']' {
			break
		}
		s = s.intersect(p.classUnion(false))
	}
	if !p.accept("]") {
		p.fail("Unclosed character class")
	}
	if negated {
		return s.negate()
	}
	return s
}

// classUnion reads items up to "]" or "&&". A "]" at the very start of a class
// is a literal.
func (p *parser) classUnion(first bool) set {
	var s set
	for {
		p.skipClassBlanks()
		switch {
		case !p.more():
			p.fail("Unclosed character class")
		case p.peek() == ']' && !first:
			return s.normal()
		case p.peek() == '&' && p.pos+1 < len(p.src) && p.src[p.pos+1] == '&':
			return s.normal()
		}
		first = false
		s = append(s, p.classItem()...)
	}
}

func (p *parser) skipClassBlanks() {
	if p.flags.comments {
		p.skipComments()
	}
}

func (p *parser) classItem() set {
	if p.accept("[") {
		return p.class()
	}
	if p.accept(`\Q`) {
		return p.classQuoted()
	}
	if p.peek() == '\\' {
		p.pos++
		if s, ok := p.classEscape(); ok {
			return s
		}
		p.pos--
	}
	lo := p.classRune()
	if p.peek() != '-' || p.pos+1 >= len(p.src) || p.src[p.pos+1] == ']' || p.src[p.pos+1] == '[' {
		return p.folded(single(lo))
	}
	p.pos++
	hi := p.classRune()
	if hi < lo {
		p.fail("Illegal character range")
	}
	return p.folded(set{{lo, hi}})
}

func (p *parser) classRune() rune {
	if !p.accept(`\`) {
		if !p.more() {
			p.fail("Unclosed character class")
		}
		return p.rune()
	}
	if !p.more() {
		p.fail("Unclosed character class")
	}
	return p.charEscape()
}

func (p *parser) classQuoted() set {
	var s set
	for p.more() && !p.accept(`\E`) {
		s = append(s, p.folded(single(p.rune()))...)
	}
	return s.normal()
}
