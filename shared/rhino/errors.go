package rhino

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"

	"github.com/dop251/goja"
)

// Error is a script that failed.
type Error struct {
	// Text is what Rhino says, with the place:
	// ReferenceError: "x" is not defined. (f.js:3)
	Text string
	// Cause is ErrTime, ErrMemory or ErrRegexp for a script that was ended, else goja's
	// error.
	Cause error
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

func utf16Of(s string) []uint16 { return utf16.Encode([]rune(s)) }

// Guard runs f, which uses values of scripts, outside of one. The error is an
// *Error.
func (r *Runtime) Guard(f func()) (err error) {
	defer func() {
		switch x := recover().(type) {
		case nil:
		case *goja.InterruptedError:
			err = r.failure(x)
		case *goja.StackOverflowError:
			err = r.failure(x)
		default:
			panic(x)
		}
	}()
	if thrown := r.Try(f); thrown != nil {
		return r.failure(thrown)
	}
	return nil
}

// Ended reports whether the script was ended before its time.
func (r *Runtime) Ended() bool { return r.watch.err() != nil }

// failure words an error of goja as Rhino does.
func (r *Runtime) failure(err error) *Error {
	if why := r.watch.err(); why != nil {
		return &Error{Text: why.Error(), Cause: why}
	}
	var overflow *goja.StackOverflowError
	var thrown *goja.Exception
	switch {
	case errors.As(err, &overflow):
		return &Error{Text: "Exceeded maximum stack depth", Cause: err}
	case errors.As(err, &thrown):
		at := r.place(thrown)
		return &Error{Text: r.wording(thrown, at) + at.String(), Cause: err}
	}
	return &Error{Text: err.Error(), Cause: err}
}

// place is where in a script something was thrown.
type place struct {
	file      string
	line, col int
	text      string // of the line
}

func (p place) String() string {
	if p.file == "" {
		return ""
	}
	return " (" + p.file + ":" + strconv.Itoa(p.line) + ")"
}

// place finds the innermost frame that is in a file.
func (r *Runtime) place(e *goja.Exception) place {
	for _, f := range e.Stack() {
		for _, s := range r.program.scripts {
			if f.SrcName() != s.Name {
				continue
			}
			pos := f.Position()
			at := place{file: s.Name, line: pos.Line, col: pos.Column}
			if n := pos.Line - 1; n >= 0 && n < len(s.lines) {
				at.text = s.lines[n]
			}
			return at
		}
	}
	return place{}
}

// wording is the text of a thrown value.
func (r *Runtime) wording(e *goja.Exception, at place) string {
	text := ""
	if r.Try(func() { text = e.Value().String() }) != nil {
		return "[object Object]"
	}
	name, msg, ok := strings.Cut(text, ": ")
	if _, object := e.Value().(*goja.Object); !ok || !object {
		return text
	}
	return name + ": " + r.reword(name, msg, at)
}

func (r *Runtime) reword(name, msg string, at place) string {
	switch name {
	case "ReferenceError":
		if id, ok := strings.CutSuffix(msg, " is not defined"); ok {
			return strconv.Quote(id) + " is not defined."
		}
	case "TypeError":
		return r.rewordType(msg, at)
	case "RangeError":
		switch {
		case msg == "Invalid time value":
			return "Date is invalid."
		case strings.HasPrefix(msg, "Invalid array length"):
			return "Inappropriate array length."
		case strings.Contains(msg, "() precision must be"):
			if m := precision().FindStringSubmatch(at.text); m != nil {
				return "Precision " + m[1] + " out of range."
			}
		}
	case "URIError":
		return "Malformed URI sequence."
	}
	return msg
}

// pattern is a regular expression that is compiled when it is first needed: most
// processes run no script that fails.
func pattern(s string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(s) })
}

// The texts of goja.
var (
	readProperty = pattern(`^Cannot read property '(.*)' of undefined( or null)?$`)
	noMember     = pattern(`^Object has no member '(.*)'$`)
	noFunction   = pattern(`^(?:Value is not an object|Not a function): (.*)$`)
)

func (r *Runtime) rewordType(msg string, at place) string {
	if m := readProperty().FindStringSubmatch(msg); m != nil {
		of := r.receiver(m[1], at)
		if m[2] != "" {
			return `Cannot call method "` + m[1] + `" of ` + nothing(of)
		}
		return `Cannot read property "` + m[1] + `" from ` + nothing(of)
	}
	if m := noMember().FindStringSubmatch(msg); m != nil {
		if of := r.receiver(m[1], at); of != nil {
			return "Cannot find function " + m[1] + " in object " + r.display(of) + "."
		}
		return "Cannot find function " + m[1] + "."
	}
	if m := noFunction().FindStringSubmatch(msg); m != nil {
		if name := called(at); name != "" {
			return name + " is not a function, it is " + kindOf(m[1]) + "."
		}
	}
	if msg == "Cannot convert undefined or null to object" {
		if text := assigned(at); text != "" {
			return text
		}
		return "Cannot convert undefined to an object."
	}
	return msg
}

// nothing is undefined unless the value is known to be null.
func nothing(v goja.Value) string {
	if v != nil && goja.IsNull(v) {
		return "null"
	}
	return "undefined"
}

func kindOf(display string) string {
	switch {
	case display == "undefined", display == "null", display == "true", display == "false":
		return display
	case strings.HasPrefix(display, "[object"):
		return "object"
	}
	if _, err := strconv.ParseFloat(display, 64); err == nil {
		return "number"
	}
	return "string"
}

// nullable is a call of the host function that scripts most often get null from.
var nullable = pattern(`\.getVariable\([^()]*\)$`)

var identifier = pattern(`[A-Za-z_$][\w$]*$`)

// receiver finds the value that a member was looked up on, where it is a
// global variable: the engine does not tell. nil if it cannot be found.
func (r *Runtime) receiver(member string, at place) goja.Value {
	for rest := at.text; ; {
		i := strings.Index(rest, "."+member)
		if i < 0 {
			return nil
		}
		if nullable().MatchString(rest[:i]) {
			return goja.Null()
		}
		if id := identifier().FindString(rest[:i]); id != "" {
			before := rest[:i-len(id)]
			if !strings.HasSuffix(strings.TrimRight(before, " "), ".") {
				return r.global(id)
			}
		}
		rest = rest[i+1:]
	}
}

func (r *Runtime) global(name string) (v goja.Value) {
	r.Try(func() { v = r.GlobalObject().Get(name) })
	return v
}

func (r *Runtime) display(v goja.Value) (s string) {
	if r.Try(func() { s = v.String() }) != nil {
		return "[object Object]"
	}
	return s
}

// called is the name of what is called at a place: a name or a path of names.
// A call's place is its parenthesis, that of new the word.
func called(at place) string {
	if at.col < 1 || at.col > len(at.text) {
		return ""
	}
	if m := constructed().FindStringSubmatch(at.text[at.col-1:]); m != nil {
		return m[1]
	}
	if at.text[at.col-1] != '(' {
		return ""
	}
	return path().FindString(strings.TrimRight(at.text[:at.col-1], " \t"))
}

// assigned words an assignment to a property of nothing; "" if there is none at
// the place.
func assigned(at place) string {
	if at.col < 1 || at.col > len(at.text) {
		return ""
	}
	m := assignment().FindStringSubmatch(at.text[at.col-1:])
	if m == nil {
		return ""
	}
	text := `Cannot set property "` + m[1] + `" of undefined`
	if m[2] != "" {
		text += ` to "` + strings.Trim(m[2], `'"`) + `"`
	}
	return text
}

var (
	path        = pattern(`[A-Za-z_$][\w$.]*$`)
	constructed = pattern(`^new\s+([A-Za-z_$][\w$.]*)`)
	assignment  = pattern(`^([A-Za-z_$][\w$]*)\s*=\s*(\d+|'[^']*'|"[^"]*")?`)
	precision   = pattern(`to(?:Fixed|Precision|Exponential)\(\s*(-?\d+)`)
)
