package oasvalidation

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// report collects what is wrong with a message.
type report struct{ messages []finding }

type finding struct {
	text string
	info []string
}

// maxFindings bounds what is said of one message.
const maxFindings = 50

func (r *report) add(format string, args ...any) {
	r.note(finding{text: fmt.Sprintf(format, args...)})
}

func (r *report) note(f finding) {
	if len(r.messages) < maxFindings {
		r.messages = append(r.messages, f)
	}
}

// String is the findings as Apigee's engine prints them.
func (r *report) String() string {
	out := make([]string, len(r.messages))
	for i, f := range r.messages {
		out[i] = "ERROR - " + strings.ReplaceAll(f.text, "\n", "\n\t") + ": [" + strings.Join(f.info, ", ") + "]"
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// quoted prints strings as a JSON array, sorted.
func quoted(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	for i, s := range list {
		list[i] = quote(s)
	}
	return "[" + strings.Join(list, ",") + "]"
}

func capitalised(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
