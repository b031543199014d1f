package condition

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error is a mistake in the text of a condition.
type Error struct {
	Source string
	Offset int // byte offset of the mistake in Source
	Msg    string
}

// Error returns the message, the line of the condition that it is about, and a
// caret under the place.
func (e *Error) Error() string {
	line, column := e.line()
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, line[:column])
	return fmt.Sprintf("condition: %s at column %d\n\t%s\n\t%s^", e.Msg, utf8.RuneCountInString(line[:column])+1, line, pad)
}

func (e *Error) line() (text string, column int) {
	start := strings.LastIndexByte(e.Source[:e.Offset], '\n') + 1
	text, _, _ = strings.Cut(e.Source[start:], "\n")
	text = strings.TrimRight(text, "\r")
	return text, min(e.Offset-start, len(text))
}
