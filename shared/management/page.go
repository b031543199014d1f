package management

import (
	"encoding/base64"
	"encoding/json"
	"iter"
	"strconv"
	"strings"

	"github.com/perigee-gateway/perigee/shared/registry"
)

// size is how many items a list may have, from one of the named query
// parameters: standard if none is given, at most most. 0 is all.
func (c *call) size(standard, most int, names ...string) (int, error) {
	v := c.arg(names...)
	if v == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(v)
	switch {
	case err != nil || n < 0:
		return 0, invalid("Invalid value at '%s' (TYPE_INT32), %q", names[0], v)
	case n == 0:
		return standard, nil
	case most > 0:
		return min(n, most), nil
	}
	return n, nil
}

// page is which part of a list is asked for by pageSize and pageToken.
func (c *call) page(standard, most int) (registry.Page, error) {
	n, err := c.size(standard, most, "pageSize", "page_size")
	if err != nil {
		return registry.Page{}, err
	}
	after, err := fromToken(c.arg("pageToken", "page_token"))
	return registry.Page{After: after, Limit: n}, err
}

// token is the page token for what follows the item of that name.
func token(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

func fromToken(token string) (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(token, "="))
	if err != nil {
		return "", invalid("pageToken %q is invalid", token)
	}
	return string(name), nil
}

// take is the items of a page and the token of the next, "" if it is the last.
// seq lists with the page it is given; name is what an item is found again by.
func take[T any](p registry.Page, seq func(registry.Page) iter.Seq2[T, error], name func(T) string) (items []T, next string, err error) {
	ask := p
	if p.Limit > 0 {
		ask.Limit++
	}
	for item, err := range seq(ask) {
		if err != nil {
			return nil, "", err
		}
		if p.Limit > 0 && len(items) == p.Limit {
			return items, token(name(items[len(items)-1])), nil
		}
		items = append(items, item)
	}
	return items, "", nil
}

// pageOf is a page of the documents in a scope.
func pageOf[T any](c *call, kind *registry.Kind[T], standard, most int, scope ...string) ([]*T, string, error) {
	p, err := c.page(standard, most)
	if err != nil {
		return nil, "", err
	}
	items, next, err := take(p, func(p registry.Page) iter.Seq2[registry.Item[T], error] {
		return kind.List(c.ctx(), p, scope...)
	}, func(i registry.Item[T]) string { return i.Name })
	values := make([]*T, len(items))
	for i, item := range items {
		values[i] = item.Value
	}
	return values, next, err
}

// listed is an answer with a list under a name and the token of the next page,
// which is left out where there is none.
func listed(name string, items any, next string) object {
	o := object{name: items}
	if next != "" {
		o["nextPageToken"] = next
	}
	return o
}

// merge changes v, a pointer to a resource, by the request's body: the fields of
// updateMask, or without one those the body has. A masked field that the body
// lacks is cleared. It is to be called with the resource as it is, within its
// transaction.
type patch struct {
	fields map[string]any
	mask   [][]string
}

// patch reads the body and updateMask of a PATCH on resources like v.
func (c *call) patch(v any, ignored ...string) (*patch, error) {
	data, err := c.body(maxJSON)
	if err != nil {
		return nil, err
	}
	p := new(patch)
	if p.fields, err = parseObject(data); err != nil {
		return nil, err
	}
	for _, name := range ignored {
		delete(p.fields, name)
	}
	if p.fields, err = canonical(p.fields, v); err != nil {
		return nil, err
	}
	for path := range strings.SplitSeq(c.arg("updateMask", "update_mask"), ",") {
		if path = strings.TrimSpace(path); path == "*" {
			p.mask = nil
			break
		} else if path != "" {
			p.mask = append(p.mask, strings.Split(path, "."))
		}
	}
	return p, checkMask(p.mask, v)
}

// apply changes v.
func (p *patch) apply(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	old, err := parseObject(data)
	if err != nil {
		return err
	}
	if p.mask == nil {
		for k, f := range p.fields {
			old[k] = f
		}
	}
	for _, path := range p.mask {
		mask(old, p.fields, path)
	}
	return replace(old, v)
}

// mask copies the field at path.
func mask(to, from map[string]any, path []string) {
	name := nameIn(path[0], from, to)
	value, ok := from[name]
	if !ok || value == nil {
		delete(to, name)
		return
	}
	inner, isObject := value.(map[string]any)
	if len(path) == 1 || !isObject {
		to[name] = value
		return
	}
	target, ok := to[name].(map[string]any)
	if !ok {
		target = map[string]any{}
		to[name] = target
	}
	mask(target, inner, path[1:])
}

// nameIn is a mask's name as the objects write it.
func nameIn(name string, objects ...map[string]any) string {
	for _, o := range objects {
		for k := range o {
			if bare(k) == bare(name) {
				return k
			}
		}
	}
	return name
}
