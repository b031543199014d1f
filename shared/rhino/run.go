package rhino

import (
	"errors"
	"time"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
)

// MaxCalls is how deep functions may call each other.
const MaxCalls = 2000

// Program is one or more scripts that run one after the other in one scope. It
// is immutable and shared by all calls.
type Program struct {
	scripts []*Script
	needs   features
	hosts   []string // host objects that a script declares with var again
}

// Link makes a program of scripts. hosts are the names of the host objects that
// it will run with.
func Link(hosts []string, scripts ...*Script) *Program {
	p := &Program{scripts: scripts}
	known := make(map[string]bool, len(hosts))
	for _, h := range hosts {
		known[h] = true
	}
	for _, s := range scripts {
		p.needs.merge(s.needs)
		for _, name := range s.Globals {
			if known[name] {
				p.hosts = append(p.hosts, name)
				known[name] = false
			}
		}
	}
	return p
}

// Mentions reports whether a script may ask for XML objects.
func (p *Program) Mentions() (json, xml bool) { return p.needs.json, p.needs.xml }

// Options are what one execution of a program gets.
type Options struct {
	// Limit bounds the time that scripts run.
	Limit time.Duration
	// Now is the clock of Date; nil is the system's.
	Now func() time.Time
	// Hosts has the host objects; names it returns nil for do not exist.
	Hosts goja.DynamicObject
}

// Runtime is one execution of a program, with a global scope of its own. It is
// used by one goroutine and must be closed.
type Runtime struct {
	*goja.Runtime
	program *Program
	watch   watchdog
	xml     *xmlTypes
}

// Start makes the scope of one execution and begins to count its time.
func (p *Program) Start(o Options) *Runtime {
	r := &Runtime{Runtime: goja.New(), program: p}
	r.SetMaxCallStackSize(MaxCalls)
	r.SetParserOptions(parser.WithDisableSourceMaps) // source maps would be read from the file system
	if o.Now != nil {
		r.SetTimeSource(o.Now)
	}
	host := &hostScope{Runtime: r, hosts: o.Hosts}
	r.GlobalObject().SetPrototype(r.NewDynamicObject(host))
	r.install(p.needs, o.Limit)
	r.watch.start(r.Runtime, o.Limit)
	return r
}

// Run runs the scripts of the program. The error is an *Error.
func (r *Runtime) Run() error {
	for _, name := range r.program.hosts {
		r.Set(name, r.GlobalObject().Get(name))
	}
	for _, s := range r.program.scripts {
		if _, err := r.RunProgram(s.Program); err != nil {
			return r.failure(err)
		}
	}
	return nil
}

// Call calls a function of a script with a time limit of its own. The error is
// an *Error.
func (r *Runtime) Call(f goja.Callable, limit time.Duration, args ...goja.Value) error {
	if !r.watch.extend(limit) {
		return r.failure(r.watch.err())
	}
	if _, err := f(goja.Undefined(), args...); err != nil {
		return r.failure(err)
	}
	return nil
}

// Pause stops counting time until the next Call.
func (r *Runtime) Pause() { r.watch.pause() }

// Remaining is the time that is left.
func (r *Runtime) Remaining() time.Duration { return time.Until(r.watch.end()) }

// Expire ends the script because its time is over: for host functions that
// waited for something until then.
func (r *Runtime) Expire() { r.watch.interrupt(ErrTime) }

// Close ends the execution.
func (r *Runtime) Close() { r.watch.stop() }

// Function returns a function that calls f.
func (r *Runtime) Function(f func(goja.FunctionCall) goja.Value) goja.Value { return r.ToValue(f) }

// Throw ends the current host function with an error of Rhino's kind name
// ("TypeError").
func (r *Runtime) Throw(name, message string) {
	ctor := r.GlobalObject().Get(name)
	e, err := r.New(ctor, r.ToValue(message))
	if err != nil {
		panic(r.NewGoError(errors.New(message)))
	}
	panic(e)
}

// hostScope is the prototype of the global object: names that scripts did not
// declare are looked up here. An object per name is then only made when a
// script asks for it.
type hostScope struct {
	*Runtime
	hosts goja.DynamicObject
}

func (h *hostScope) Get(name string) goja.Value {
	switch name {
	case lengthHelper:
		return h.Function(h.javaLength)
	case methodsHelper:
		return h.Function(h.xmlMethods)
	case valuesHelper:
		return h.Function(h.forEachValues)
	case sourceHelper:
		return h.Function(h.checkedSource)
	case "XML", "XMLList":
		return h.xmlConstructor(name)
	}
	return h.hosts.Get(name)
}

func (h *hostScope) Set(string, goja.Value) bool { return false }
func (h *hostScope) Has(name string) bool        { return h.Get(name) != nil }
func (h *hostScope) Delete(string) bool          { return false }
func (h *hostScope) Keys() []string              { return nil }
