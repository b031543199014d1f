package jsonpath

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/javaregex"
)

// regex reads /pattern/flags.
func (c *compiler) regex() (operand, error) {
	start := c.pos + 1
	end := start
	for end < len(c.src) && c.src[end] != '/' {
		if c.src[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(c.src) {
		return operand{}, c.fail("regular expression is not closed")
	}
	pattern := strings.ReplaceAll(c.src[start:end], `\/`, "/")
	c.pos = end + 1
	flags := c.pos
	for strings.IndexByte("idmsuxU", c.peek()) >= 0 {
		c.pos++
	}
	if f := c.src[flags:c.pos]; f != "" {
		pattern = "(?" + f + ")" + pattern
	}
	re, err := javaregex.Compile(pattern)
	if err != nil {
		return operand{}, c.fail(err.Error())
	}
	return operand{regex: re}, nil
}
