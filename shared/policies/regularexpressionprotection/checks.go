package regularexpressionprotection

import (
	"net/url"
	"strings"

	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/javaregex"
	"github.com/perigee-gateway/perigee/shared/jsonpath"
	"github.com/perigee-gateway/perigee/shared/xpath"
)

// uriPath is the path of the request.
type uriPath struct{ patterns []*javaregex.Regexp }

func (u *uriPath) run(_ *flow.Context, r *run) error {
	if !r.message.IsRequest() {
		return nil
	}
	return r.decoded(u.patterns, r.message.Path, url.PathUnescape)
}

// decoded tests a text as it was sent and, if that is another, decoded.
func (r *run) decoded(patterns []*javaregex.Regexp, raw string, decode func(string) (string, error)) error {
	if err := r.test(patterns, raw); err != nil {
		return err
	}
	if text, err := decode(raw); err == nil && text != raw {
		return r.test(patterns, text)
	}
	return nil
}

type queryParam struct {
	name     string
	patterns []*javaregex.Regexp
}

func (q *queryParam) run(_ *flow.Context, r *run) error {
	if !r.message.IsRequest() {
		return nil
	}
	return r.params(q.patterns, q.name, r.message.Query.Encode())
}

// params tests every value of a parameter.
func (r *run) params(patterns []*javaregex.Regexp, name, encoded string) error {
	for pair := range strings.SplitSeq(encoded, "&") {
		n, value, _ := strings.Cut(pair, "=")
		if !names(n, name) {
			continue
		}
		if err := r.decoded(patterns, value, url.QueryUnescape); err != nil {
			return err
		}
	}
	return nil
}

// names reports whether a name as it was sent is a parameter's name.
func names(encoded, name string) bool {
	if encoded == name {
		return true
	}
	if !strings.ContainsAny(encoded, "%+") {
		return false
	}
	text, err := url.QueryUnescape(encoded)
	return err == nil && text == name
}

type header struct {
	name     string
	patterns []*javaregex.Regexp
}

func (h *header) run(_ *flow.Context, r *run) error {
	all := &r.message.Header
	for i := range all.Len() {
		if f := all.At(i); strings.EqualFold(f.Name, h.name) {
			if err := r.test(h.patterns, f.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

type formParam struct {
	name     string
	patterns []*javaregex.Regexp
}

func (f *formParam) run(_ *flow.Context, r *run) error {
	if !r.message.IsForm() {
		return nil
	}
	body, err := r.body()
	if err != nil {
		return err
	}
	return r.params(f.patterns, f.name, string(body))
}

func (r *run) body() ([]byte, error) {
	body, err := r.message.Content()
	if err != nil {
		return nil, r.step.failed(err.Error()).WithCause(err)
	}
	return body, nil
}

type variable struct {
	v        flow.Var
	patterns []*javaregex.Regexp
}

func (v *variable) run(fc *flow.Context, r *run) error {
	value := v.v.Get(fc)
	if value.IsNull() && !r.step.ignore {
		return r.step.fault("VariableResolutionFailed", "Failed to resolve variable "+v.v.Name())
	}
	return r.test(v.patterns, value.String())
}

// jsonDoc is the body as JSON, parsed once.
type jsonDoc struct {
	root *jsonpath.Value
	done bool
}

func (r *run) jsonRoot() (*jsonpath.Value, error) {
	if r.json.done {
		return r.json.root, nil
	}
	r.json.done = true
	ct := r.message.MediaType()
	if ct != "application/json" && !strings.HasSuffix(ct, "+json") {
		return nil, nil
	}
	body, err := r.body()
	if err != nil || len(body) == 0 {
		return nil, err
	}
	if r.json.root, err = jsonpath.Parse(body); err != nil {
		return nil, r.step.failed(err.Error()).WithCause(err)
	}
	return r.json.root, nil
}

type jsonPayload struct {
	escape bool
	paths  []jsonCheck
}

type jsonCheck struct {
	path     *jsonpath.Path
	patterns []*javaregex.Regexp
}

func (j *jsonPayload) run(_ *flow.Context, r *run) error {
	root, err := r.jsonRoot()
	if root == nil || err != nil {
		return err
	}
	for _, c := range j.paths {
		found, ok := c.path.Eval(root)
		if !ok {
			continue
		}
		if err := j.test(r, c.patterns, found); err != nil {
			return err
		}
		for _, item := range found.Items() {
			if err := j.test(r, c.patterns, item); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *jsonPayload) test(r *run, patterns []*javaregex.Regexp, v *jsonpath.Value) error {
	if err := r.afford(v.Size()); err != nil { // before it is written out
		return err
	}
	text := v.Text()
	if j.escape {
		text = strings.ReplaceAll(text, "/", `\/`)
	}
	return r.test(patterns, text)
}

// xmlDoc is the body as XML, parsed once.
type xmlDoc struct {
	doc  *xpath.Doc
	done bool
}

func (r *run) xmlRoot() (*xpath.Doc, error) {
	if r.xml.done {
		return r.xml.doc, nil
	}
	r.xml.done = true
	if ct := r.message.MediaType(); ct != "text/xml" && ct != "application/xml" && !strings.HasSuffix(ct, "+xml") {
		return nil, nil
	}
	body, err := r.body()
	if err != nil || len(body) == 0 {
		return nil, err
	}
	if r.xml.doc, err = xpath.ParseIn(body, r.message.Charset()); err != nil {
		return nil, r.step.failed(err.Error()).WithCause(err)
	}
	return r.xml.doc, nil
}

type xmlPayload struct{ paths []xmlCheck }

type xmlCheck struct {
	path     *xpath.Expr
	markup   bool
	patterns []*javaregex.Regexp
}

func (x *xmlPayload) run(_ *flow.Context, r *run) error {
	doc, err := r.xmlRoot()
	if doc == nil || err != nil {
		return err
	}
	for _, c := range x.paths {
		found, err := c.path.Eval(doc)
		if err != nil {
			return r.step.failed(err.Error()).WithCause(err)
		}
		if err := c.test(r, found); err != nil {
			return err
		}
	}
	return nil
}

func (c *xmlCheck) test(r *run, found xpath.Result) error {
	if found.Empty() {
		return nil
	}
	if found.Kind() != xpath.Nodeset {
		return r.test(c.patterns, found.Text())
	}
	for _, text := range found.Texts() {
		if err := r.test(c.patterns, text); err != nil {
			return err
		}
	}
	if !c.markup {
		return nil
	}
	for markup := range found.XMLs() {
		if err := r.test(c.patterns, markup); err != nil {
			return err
		}
	}
	return nil
}
