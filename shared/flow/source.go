package flow

import (
	"iter"
	"slices"
	"strings"
)

// Source computes variables when they are read. What VerifyAPIKey and OAuthV2
// set is many variables, of which a call reads few.
type Source interface {
	// Variable is the variable of a name, without the prefix it was provided
	// under; null if there is none.
	Variable(name string) Value
	// Variables yields all there are.
	Variables() iter.Seq2[string, Value]
}

// source is a Source and what its names begin with.
type source struct {
	prefix string
	Source
}

// Provide sets the variables of s, each under its name behind prefix, as Put of
// all of them would. A Source provided before under the same prefix is replaced.
func (c *Context) Provide(prefix string, s Source) {
	for name := range c.vars {
		if rest, ok := strings.CutPrefix(name, prefix); ok && !s.Variable(rest).IsNull() {
			delete(c.vars, name)
		}
	}
	i := slices.IndexFunc(c.sources, func(have source) bool { return have.prefix == prefix })
	if i < 0 {
		c.sources = append(c.sources, source{prefix, s})
	} else {
		c.sources[i].Source = s
	}
	if c.observer == nil {
		return
	}
	for name, v := range s.Variables() {
		c.Emit(Event{Kind: VariableSet, Name: prefix + name, Value: v})
	}
}

// lookup reads a variable that is not built in.
func (c *Context) lookup(name string) (Value, bool) {
	if v, ok := c.vars[name]; ok || len(c.sources) == 0 {
		return v, ok
	}
	return c.provided(name)
}

func (c *Context) provided(name string) (Value, bool) {
	for i := len(c.sources) - 1; i >= 0; i-- {
		if rest, ok := strings.CutPrefix(name, c.sources[i].prefix); ok {
			if v := c.sources[i].Variable(rest); !v.IsNull() {
				return v, true
			}
		}
	}
	return Value{}, false
}

// unset removes a variable. One that a Source provides is hidden by a null.
func (c *Context) unset(name string) {
	if _, ok := c.provided(name); ok {
		c.vars[name] = Value{}
		return
	}
	delete(c.vars, name)
}

// Caller names who makes the call, as far as a key or a token told: for
// analytics and quotas.
type Caller struct {
	// ClientID is the consumer key. It is a credential: not for logs.
	ClientID string
	// App and AppID are the app's name and id. Developer is the id of its
	// developer and Email the e-mail address, or AppGroup the name of its group.
	App, AppID, Developer, Email, AppGroup string
	// Product is the API product that allowed the call.
	Product string
}
