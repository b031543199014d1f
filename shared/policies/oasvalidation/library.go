package oasvalidation

import (
	"errors"
	"strings"
	"sync"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// library is the documents that a template may name: those of the bundle are
// compiled at deployment, those of the environment when they are named first.
type library struct {
	bundled   map[string]*document
	resources policy.Resources

	mu    sync.Mutex
	found map[string]*entry
}

// entry is a document of the environment, compiled once.
type entry struct {
	once sync.Once
	doc  *document
	err  error
}

// maxFound bounds the documents of the environment that are kept. A caller could
// have a say in the name.
const maxFound = 32

var errNoDocument = errors.New("no such document")

func newLibrary(env *policy.Env) *library {
	return &library{resources: env.Resources, bundled: map[string]*document{}, found: map[string]*entry{}}
}

// compileAll compiles the documents of the bundle.
func (l *library) compileAll(env *policy.Env, pos bundle.Pos) {
	for _, r := range env.Bundle.Resources {
		if r.Type != "oas" {
			continue
		}
		doc, err := compile(r.Data)
		if err != nil {
			env.Errorf(pos, "ResourceCompileFailed: OASValidation %s: oas://%s: %v", env.Name(), r.Name, err)
			continue
		}
		l.bundled[r.Name] = doc
	}
}

func (l *library) find(url string) (*document, error) {
	name, ok := strings.CutPrefix(url, "oas://")
	if !ok {
		return nil, errNoDocument
	}
	if doc := l.bundled[name]; doc != nil {
		return doc, nil
	}
	if l.resources == nil {
		return nil, errNoDocument
	}
	data, ok := l.resources.Resource("oas", name)
	if !ok {
		return nil, errNoDocument
	}
	e := l.entry(name + "\x00" + string(data)) // the resource may change
	e.once.Do(func() { e.doc, e.err = compile(data) })
	return e.doc, e.err
}

func (l *library) entry(key string) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.found[key]; e != nil {
		return e
	}
	if len(l.found) >= maxFound {
		clear(l.found)
	}
	e := &entry{}
	l.found[key] = e
	return e
}
