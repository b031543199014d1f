package javascript

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// file is the text of a script and where it stands.
type file struct {
	name string // as error texts show it
	text string
	pos  bundle.Pos // of its first line
}

func (f file) at(line int) bundle.Pos {
	return bundle.Pos{File: f.pos.File, Line: f.pos.Line + line - 1}
}

// load returns the includes and then the script.
func load(c *Config, env *policy.Env) []file {
	var files []file
	add := func(element string, u URL) {
		if f, ok := resource(element, u, env); ok {
			files = append(files, f)
		}
	}
	for _, u := range c.IncludeURLs {
		add("IncludeURL", u)
	}
	switch {
	case c.ResourceURL != nil:
		if c.Source != nil {
			env.Warnf(c.Source.Pos, "<Source> has no effect beside <ResourceURL>")
		}
		add("ResourceURL", *c.ResourceURL)
	case c.Source != nil:
		files = append(files, file{name: env.Name(), text: c.Source.Text, pos: c.Source.Pos})
	default:
		env.Errorf(c.Pos, "<Javascript> has neither <ResourceURL> nor <Source>")
	}
	return files
}

func resource(element string, u URL, env *policy.Env) (file, bool) {
	url := strings.TrimSpace(u.Value)
	typ, name, ok := strings.Cut(url, "://")
	switch {
	case !ok || name == "" || strings.Contains(name, "://"):
		env.Errorf(u.Pos, "InvalidResourceUrlFormat: <%s> is %q, want jsc://file", element, url)
		return file{}, false
	case typ != "jsc":
		env.Errorf(u.Pos, "WrongResourceType: <%s> is %q, want a resource of type jsc", element, url)
		return file{}, false
	}
	data, err := env.Resource(url)
	if err != nil {
		env.Errorf(u.Pos, "InvalidResourceUrlReference: <%s>: %v", element, err)
		return file{}, false
	}
	f := file{name: name, text: string(data), pos: bundle.Pos{File: url, Line: 1}}
	if r := env.Bundle.Resource(typ, name); r != nil {
		f.pos.File = r.File
	}
	return f, true
}
