package management

import (
	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// handler answers a call: a value to be written as JSON (nil is {}), a file,
// noContent, or an error.
type handler func(c *call) (any, error)

// resource makes the handlers of what is kept as it is given: documents of one
// registry kind, created, replaced and deleted by name.
type resource[T any] struct {
	kind func(*registry.Registry) *registry.Kind[T]
	// scope are the path's parameters the id begins with, id the one with the
	// name.
	scope []string
	id    string
	// name is the field of the body that holds the name.
	name func(*T) *string
	// noun is the resource in messages.
	noun string
	// ignored are names in bodies that mean nothing.
	ignored []string
	// show makes the answer of a document; nil is the document.
	show func(*T) any
}

func (res resource[T]) of(c *call) *registry.Kind[T] { return res.kind(c.Registry) }

func (res resource[T]) path(c *call) []string { return append(c.ids(res.scope...), c.param(res.id)) }

func (res resource[T]) answer(v *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if res.show != nil {
		return res.show(v), nil
	}
	return v, nil
}

// names lists the names, as a bare array.
func (res resource[T]) names(c *call) (any, error) {
	p, err := c.page(0, 0)
	if err != nil {
		return nil, err
	}
	return res.of(c).Names(c.ctx(), p, c.ids(res.scope...)...)
}

func (res resource[T]) get(c *call) (any, error) {
	return res.answer(res.of(c).Get(c.ctx(), res.path(c)...))
}

// create makes a document named by the body or the query parameter name.
func (res resource[T]) create(c *call) (any, error) {
	v := new(T)
	if err := c.decode(v, res.ignored...); err != nil {
		return nil, err
	}
	name, err := c.named(res.noun, *res.name(v), c.query.Get("name"))
	if err != nil {
		return nil, err
	}
	return res.answer(v, res.of(c).Create(c.ctx(), v, append(c.ids(res.scope...), name)...))
}

// named is the name of what is created: the one that is given, in the body or
// the query. It is what the audit line says was made.
func (c *call) named(noun, inBody, inQuery string) (string, error) {
	switch {
	case inBody == "":
		inBody = inQuery
	case inQuery != "" && inQuery != inBody:
		return "", invalid("the %s is named %q in the body and %q in the query", noun, inBody, inQuery)
	}
	c.made = inBody
	return inBody, nil
}

// sameName is an error if a body names another resource than the path.
func sameName(noun, inBody, inPath string) error {
	if inBody != "" && inBody != inPath {
		return invalid("the %s is named %q in the body and %q in the path; names cannot be changed", noun, inBody, inPath)
	}
	return nil
}

// replace puts the body in the place of a document.
func (res resource[T]) replace(c *call) (any, error) {
	v := new(T)
	if err := c.decode(v, res.ignored...); err != nil {
		return nil, err
	}
	if err := sameName(res.noun, *res.name(v), c.param(res.id)); err != nil {
		return nil, err
	}
	return res.answer(v, res.of(c).Replace(c.ctx(), v, res.path(c)...))
}

// patch changes the fields of updateMask, or those in the body.
func (res resource[T]) patch(c *call) (any, error) {
	p, err := c.patch(new(T), res.ignored...)
	if err != nil {
		return nil, err
	}
	return res.answer(res.of(c).Update(c.ctx(), func(v *T) error { return p.apply(v) }, res.path(c)...))
}

func (res resource[T]) delete(c *call) (any, error) {
	return res.answer(res.of(c).Delete(c.ctx(), res.path(c)...))
}

// done is the answer of a long-running operation that has been done already.
func (c *call) done(typ, target string, response any) (any, error) {
	return c.Registry.Operation(c.ctx(), c.param("org"), typ, target, response)
}

// inOrg is the full name of something in the organization.
func (c *call) inOrg(parts ...string) string {
	return "organizations/" + c.param("org") + "/" + entity.ID(parts...)
}
