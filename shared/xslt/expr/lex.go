package expr

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/perigee-gateway/perigee/shared/xmltoken"
)

type tokenKind uint8

const (
	end tokenKind = iota
	number
	quoted
	name   // a, a:b, a:*, *:b
	symbol // an operator or a bracket
)

type token struct {
	kind tokenKind
	text string
	at   int
}

// symbols are what is none of the others, longest first.
var symbols = []string{"!=", "<=", ">=", "<<", ">>", "//", "..", "::", "||", ":=", "=", "<", ">", "/", "|", "+", "-", "*", "(", ")", "[", "]", ".", "@", ",", "$", "?", "!"}

// lex splits an expression into tokens (XPath 1.0, section 3.7). Comments of 2.0 are
// white space.
func lex(src string) ([]token, error) {
	var out []token
	i := 0
	for {
		var err error
		if i, err = skip(src, i); err != nil {
			return nil, err
		}
		if i == len(src) {
			return append(out, token{end, "", i}), nil
		}
		t, next, err := lexOne(src, i)
		if err != nil {
			return nil, err
		}
		out, i = append(out, t), next
	}
}

// skip passes white space and comments.
func skip(src string, i int) (int, error) {
	depth := 0
	for i < len(src) {
		switch {
		case strings.HasPrefix(src[i:], "(:"):
			depth++
			i += 2
		case depth > 0 && strings.HasPrefix(src[i:], ":)"):
			depth--
			i += 2
		case depth > 0 || strings.IndexByte(" \t\r\n", src[i]) >= 0:
			i++
		default:
			return i, nil
		}
	}
	if depth > 0 {
		return i, fmt.Errorf("comment does not end")
	}
	return i, nil
}

func lexOne(src string, i int) (token, int, error) {
	c := src[i]
	switch {
	case c == '"' || c == '\'':
		return lexQuoted(src, i)
	case '0' <= c && c <= '9', c == '.' && i+1 < len(src) && '0' <= src[i+1] && src[i+1] <= '9':
		j := lexNumber(src, i)
		return token{number, src[i:j], i}, j, nil
	}
	if j := lexName(src, i); j > i {
		return token{name, src[i:j], i}, j, nil
	}
	for _, s := range symbols {
		if strings.HasPrefix(src[i:], s) {
			return token{symbol, s, i}, i + len(s), nil
		}
	}
	r, _ := utf8.DecodeRuneInString(src[i:])
	return token{}, 0, fmt.Errorf("character %q at %d is not part of an expression", r, i+1)
}

// lexQuoted reads a string; the quote twice is the quote, as in 2.0.
func lexQuoted(src string, i int) (token, int, error) {
	quote := src[i : i+1]
	var b strings.Builder
	for j := i + 1; ; {
		n := strings.Index(src[j:], quote)
		if n < 0 {
			return token{}, 0, fmt.Errorf("string at %d does not end", i+1)
		}
		b.WriteString(src[j : j+n])
		j += n + 1
		if !strings.HasPrefix(src[j:], quote) {
			return token{quoted, b.String(), i}, j, nil
		}
		b.WriteString(quote)
		j++
	}
}

func lexNumber(src string, i int) int {
	digits := func() {
		for i < len(src) && '0' <= src[i] && src[i] <= '9' {
			i++
		}
	}
	digits()
	if i < len(src) && src[i] == '.' {
		i++
		digits()
	}
	if i+1 < len(src) && (src[i] == 'e' || src[i] == 'E') {
		save := i
		i++
		if src[i] == '+' || src[i] == '-' {
			i++
		}
		from := i
		if digits(); i == from {
			i = save
		}
	}
	return i
}

// lexName reads a name with at most one prefix, either of which may be *, but not
// both.
func lexName(src string, i int) int {
	if src[i] == '*' {
		if i+1 < len(src) && src[i+1] == ':' {
			if j := ncName(src, i+2); j > i+2 {
				return j
			}
		}
		return i
	}
	j := ncName(src, i)
	if j == i || j+1 >= len(src) || src[j] != ':' {
		return j
	}
	if src[j+1] == '*' {
		return j + 2
	}
	if k := ncName(src, j+1); k > j+1 {
		return k
	}
	return j
}

func ncName(src string, i int) int {
	first := true
	for i < len(src) {
		r, n := utf8.DecodeRuneInString(src[i:])
		if r == ':' || !xmltoken.IsNameRune(r, first) || r == utf8.RuneError && n == 1 {
			break
		}
		i += n
		first = false
	}
	return i
}
