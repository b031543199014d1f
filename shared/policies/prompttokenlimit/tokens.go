package prompttokenlimit

import "unicode"

// Lengths of runs of characters that are about one token.
const (
	lettersPerToken = 5
	digitsPerToken  = 3
)

// countTokens estimates how many tokens a text is for a language model.
func countTokens(text string) int64 {
	tokens, letters, digits := int64(0), 0, 0
	end := func() {
		tokens += int64((letters+lettersPerToken-1)/lettersPerToken + (digits+digitsPerToken-1)/digitsPerToken)
		letters, digits = 0, 0
	}
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			if letters > 0 {
				end()
			}
			digits++
		case ideographic(r):
			end()
			tokens++
		case r|0x20 >= 'a' && r|0x20 <= 'z', r >= 0x80 && (unicode.IsLetter(r) || unicode.IsMark(r)):
			if digits > 0 {
				end()
			}
			letters++
		case unicode.IsSpace(r):
			end()
		default:
			end()
			tokens++
		}
	}
	end()
	return tokens
}

// ideographic reports whether r is a character of Chinese, Japanese or Korean.
func ideographic(r rune) bool {
	switch {
	case r < 0x3040:
		return false
	case r <= 0x30ff, r >= 0x3400 && r <= 0x9fff, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff, r >= 0x20000 && r <= 0x3ffff:
		return true
	}
	return false
}
