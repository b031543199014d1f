package condition

import "strings"

type kind uint8

const (
	end kind = iota
	word
	text   // "…"
	quoted // '…', the name of a variable
	symbol
)

type token struct {
	kind kind
	pos  int
	text string // without quotes
}

// symbols are the operators made of signs, longest first.
var symbols = []string{
	"!=|", "!~~", "!~/", "!~", "!:=", "!=", ":=", "==", "=|", "=", ">=", ">", "<=", "<", "~~", "~/", "~", "&&", "||", "!", "(", ")",
}

// lex splits a condition. Blanks are needed only between words.
func lex(src string) ([]token, error) {
	var out []token
	for i := 0; ; {
		for i < len(src) && strings.IndexByte(" \t\r\n", src[i]) >= 0 {
			i++
		}
		if i == len(src) {
			return append(out, token{kind: end, pos: i}), nil
		}
		t, n, err := next(src, i)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		i += n
	}
}

func next(src string, i int) (t token, n int, err error) {
	rest := src[i:]
	if c := rest[0]; c == '"' || c == '\'' {
		close := strings.IndexByte(rest[1:], c)
		if close < 0 {
			return token{}, 0, &Error{src, i, "text is not closed"}
		}
		k := text
		if c == '\'' {
			k = quoted
			if close == 0 {
				return token{}, 0, &Error{src, i, "empty variable name"}
			}
		}
		return token{k, i, rest[1 : close+1]}, close + 2, nil
	}
	for _, s := range symbols {
		if strings.HasPrefix(rest, s) {
			return token{symbol, i, s}, len(s), nil
		}
	}
	for n < len(rest) && isWord(rest[n]) {
		n++
	}
	if n == 0 {
		return token{}, 0, &Error{src, i, "unexpected character " + quoteFirst(rest)}
	}
	return token{word, i, rest[:n]}, n, nil
}

func quoteFirst(s string) string {
	for _, r := range s {
		return "'" + string(r) + "'"
	}
	return ""
}

func isWord(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}
