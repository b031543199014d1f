package trace

import (
	"net/url"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// hidden is what stands in the place of a masked value.
const hidden = "*****"

// minSecret is how long a masked value must be, in bytes, to be looked for in
// everything else that is recorded: a shorter one is in any text.
const minSecret = 4

// credentials are names of headers, parameters, variables and members of JSON
// whose values are never recorded, whether somebody masks them or not.
var credentials = map[string]bool{
	"authorization": true, "proxy-authorization": true, "cookie": true, "set-cookie": true, "x-api-key": true, "apikey": true, "api_key": true,
	"access_token": true, "refresh_token": true, "id_token": true, "client_secret": true, "clientsecret": true, "consumersecret": true,
	"client_assertion": true, "assertion": true, "password": true, "code_verifier": true, "private_key": true,
}

// mask is an environment's debug mask, compiled.
type mask struct {
	variables                map[string]bool
	request, response, fault paths
}

// paths are the masked parts of a payload. A mask that has a path which is none
// hides the payload as a whole.
type paths struct {
	json   []*jsonpath.Path
	xml    []*xpath.Expr
	broken bool
}

func compileMask(m *apigee.GoogleCloudApigeeV1DebugMask) *mask {
	out := &mask{variables: map[string]bool{}}
	if m == nil {
		return out
	}
	for _, v := range m.Variables {
		out.variables[strings.TrimSpace(v)] = true
	}
	out.request = compilePaths(m.RequestJSONPaths, m.RequestXPaths, m.Namespaces)
	out.response = compilePaths(m.ResponseJSONPaths, m.ResponseXPaths, m.Namespaces)
	out.fault = compilePaths(m.FaultJSONPaths, m.FaultXPaths, m.Namespaces)
	return out
}

func compilePaths(json, xml []string, namespaces map[string]string) (p paths) {
	for _, src := range json {
		x, err := jsonpath.Compile(src)
		if err != nil {
			p.broken = true
			continue
		}
		p.json = append(p.json, x)
	}
	for _, src := range xml {
		x, err := xpath.Compile(src, namespaces)
		if err != nil {
			p.broken = true
			continue
		}
		p.xml = append(p.xml, x)
	}
	return p
}

// last is the last part of a variable's name in lower case, without the number
// of a header's value.
func last(name string) string {
	name = strings.ToLower(name)
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".string"), ".values")
	part := name[strings.LastIndexByte(name, '.')+1:]
	if part != "" && strings.Trim(part, "0123456789") == "" {
		return last(strings.TrimSuffix(name, "."+part))
	}
	return part
}

// hides reports whether the value of a variable is not to be recorded.
func (m *mask) hides(name string) bool {
	return strings.HasPrefix(name, "private.") || strings.Contains(name, ".private.") || m.variables[name] || credentials[last(name)]
}

// hidesPart reports whether a header or parameter of a message is masked, under
// any name that the message has.
func (m *mask) hidesPart(msg *message.Message, isFault bool, part, name string) bool {
	if credentials[strings.ToLower(name)] {
		return true
	}
	for _, of := range namesOf(msg, isFault) {
		if m.variables[of+"."+part+"."+name] {
			return true
		}
		if part == "header" { // names of headers have no case
			for v := range m.variables {
				if strings.EqualFold(v, of+"."+part+"."+name) {
					return true
				}
			}
		}
	}
	return false
}

func namesOf(msg *message.Message, isFault bool) []string {
	switch {
	case msg.IsRequest():
		return []string{"request", "message"}
	case isFault:
		return []string{"error", "message"}
	}
	return []string{"response", "message"}
}

// pathsOf are the masked parts of a message's payload, and whether a variable
// masks it as a whole.
func (m *mask) pathsOf(msg *message.Message, isFault bool) (p paths, whole bool) {
	for _, of := range namesOf(msg, isFault) {
		whole = whole || m.variables[of+".content"]
	}
	switch {
	case msg.IsRequest():
		return m.request, whole
	case isFault:
		return m.fault, whole
	}
	return m.response, whole
}

// payload masks the text of a payload. What was masked goes to secrets. A payload
// that has paths and cannot be read is hidden.
func (p paths) payload(text string, secrets func(string)) string {
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		return text
	case p.broken:
		paths{json: p.json, xml: p.xml}.payload(text, secrets) // what the others mask
		return hidden
	case trimmed[0] == '{' || trimmed[0] == '[':
		return p.maskJSON(text, secrets)
	case trimmed[0] == '<' && len(p.xml) > 0:
		return p.maskXML(text, secrets)
	}
	return text
}

func (p paths) maskJSON(text string, secrets func(string)) string {
	v, err := jsonpath.ParseString(text)
	if err != nil {
		if len(p.json) > 0 {
			return hidden
		}
		return text
	}
	n := 0
	hide := func(v *jsonpath.Value) {
		collect(v, secrets)
		v.Replace(hidden)
		n++
	}
	for _, path := range p.json {
		found, ok := path.Eval(v)
		switch {
		case !ok:
		case path.Definite():
			hide(found)
		default:
			for _, item := range found.Items() {
				hide(item)
			}
		}
	}
	members(v, hide)
	if n == 0 {
		return text
	}
	return string(v.AppendJSON(nil))
}

// members hides the members that have the name of a credential.
func members(v *jsonpath.Value, hide func(*jsonpath.Value)) {
	for name, m := range v.Members() {
		if credentials[strings.ToLower(name)] {
			hide(m)
			continue
		}
		members(m, hide)
	}
	for _, item := range v.Items() {
		members(item, hide)
	}
}

// collect tells the texts in v.
func collect(v *jsonpath.Value, secrets func(string)) {
	if v.Len() == 0 {
		secrets(v.Text())
		return
	}
	for _, m := range v.Members() {
		collect(m, secrets)
	}
	for _, item := range v.Items() {
		collect(item, secrets)
	}
}

func (p paths) maskXML(text string, secrets func(string)) string {
	doc, err := xpath.ParseText(text)
	if err != nil {
		return hidden
	}
	n := 0
	for _, x := range p.xml {
		r, err := x.Eval(doc)
		if err != nil {
			return hidden
		}
		if r.Kind() != xpath.Nodeset {
			continue
		}
		for _, s := range r.Texts() {
			secrets(strings.TrimSpace(s))
			n++
		}
		r.Replace(hidden)
	}
	if n == 0 {
		return text
	}
	return doc.XML()
}

// form masks parameters in a query or a form; part is queryparam or formparam.
func (m *mask) form(encoded string, msg *message.Message, part string, secrets func(string)) string {
	pairs := strings.Split(encoded, "&")
	changed := false
	for i, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil {
			plain = name
		}
		if !ok || !m.hidesPart(msg, false, part, plain) {
			continue
		}
		secrets(value)
		if v, err := url.QueryUnescape(value); err == nil {
			secrets(v)
		}
		pairs[i], changed = name+"="+hidden, true
	}
	if !changed {
		return encoded
	}
	return strings.Join(pairs, "&")
}
