package bundle

import (
	"cmp"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
)

// file is one file of a bundle; name is relative to the bundle root.
type file struct {
	name string
	data []byte
}

// Files yields the files the bundle was loaded from, by name.
func (b *Bundle) Files() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, f := range b.files {
			if !yield(f.name, f.data) {
				return
			}
		}
	}
}

// assemble parses and checks the files of a bundle.
func assemble(kind Kind, files []file, problems Problems) (*Bundle, error) {
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	l := loader{Bundle: &Bundle{Kind: kind, files: files}, problems: problems}
	for _, f := range files {
		l.file(f)
	}
	l.check()
	l.problems.Sort()
	l.Warnings = l.problems
	return l.Bundle, l.problems.Err()
}

type loader struct {
	*Bundle
	problems Problems
	unread   []error // of files beside the folders
}

func isXML(name string) bool { return strings.EqualFold(path.Ext(name), ".xml") }

// file puts one file where its folder says.
func (l *loader) file(f file) {
	folder, rest, nested := strings.Cut(f.name, "/")
	if !nested {
		l.descriptor(f)
		return
	}
	switch folder {
	case "resources":
		l.resource(f, rest)
		return
	case "manifests": // written by the Apigee UI
		return
	}
	want, known := l.Kind.folders()[folder]
	switch {
	case !known:
		l.problems.Warnf(Pos{File: f.name}, "%s is not a folder of %s, the file is ignored", folder, l.Kind.Folder())
	case strings.Contains(rest, "/") || !isXML(rest):
		l.problems.Warnf(Pos{File: f.name}, "only XML files directly in %s count, the file is ignored", folder)
	default:
		l.xml(f, folder, want)
	}
}

// folders maps the folders of XML files to their root element, "" for any.
func (k Kind) folders() map[string]string {
	if k == KindSharedFlow {
		return sharedFlowFolders
	}
	return proxyFolders
}

var (
	proxyFolders = map[string]string{
		"integration-endpoints": "IntegrationEndpoint",
		"policies":              "",
		"proxies":               "ProxyEndpoint",
		"targets":               "TargetEndpoint",
	}
	sharedFlowFolders = map[string]string{
		"policies":    "",
		"sharedflows": "SharedFlow",
	}
)

func (l *loader) xml(f file, folder, want string) {
	root, err := ParseXML(f.name, f.data)
	if err != nil {
		l.problems.Add(Pos{File: f.name}, err)
		return
	}
	if want != "" && root.Name != want {
		l.problems.Errorf(root.Pos, "root element is <%s>, want <%s>", root.Name, want)
		return
	}
	switch folder {
	case "integration-endpoints":
		l.Integrations = append(l.Integrations, ParseIntegrationEndpoint(root, &l.problems))
	case "policies":
		l.Policies = append(l.Policies, parsePolicy(f.name, root, &l.problems))
	case "proxies":
		l.Proxies = append(l.Proxies, ParseProxyEndpoint(root, &l.problems))
	case "targets":
		l.Targets = append(l.Targets, ParseTargetEndpoint(root, &l.problems))
	case "sharedflows":
		l.SharedFlows = append(l.SharedFlows, ParseSharedFlow(root, &l.problems))
	}
}

// descriptor reads a file beside the folders; those that are no descriptor
// (README.md, pom.xml) do not matter.
func (l *loader) descriptor(f file) {
	if !isXML(f.name) {
		return
	}
	root, err := ParseXML(f.name, f.data)
	if err != nil {
		l.unread = append(l.unread, err)
		return
	}
	if root.Name != string(l.Kind) {
		l.problems.Warnf(root.Pos, "root element is <%s>, the descriptor of %s has <%s>", root.Name, l.Kind.Folder(), l.Kind)
		return
	}
	if l.Descriptor != nil {
		l.problems.Warnf(root.Pos, "second descriptor, %s counts", l.Descriptor.File)
		return
	}
	l.setDescriptor(root)
}

// setDescriptor takes what it can: nothing in a descriptor decides, so nothing
// in it keeps a bundle from loading.
func (l *loader) setDescriptor(root *Element) {
	var found Problems
	d := new(Descriptor)
	Decode(root, d, &found)
	for _, p := range found {
		if !p.Warning {
			l.problems.Warnf(p.Pos, "%s", p.Message)
		}
	}
	d.BasePaths = slices.DeleteFunc(d.BasePaths, func(s string) bool { return s == "" })
	if d.Name != "" && !ValidBundleName(d.Name) {
		l.problems.Warnf(d.Pos, "name %q of <%s> has characters other than A-Z a-z 0-9 _ -", d.Name, root.Name)
	}
	l.Descriptor = d
	l.Name, l.Revision, l.DisplayName, l.Description = d.Name, d.Revision, d.DisplayName, d.Description
}

var resourceTypes = map[string]bool{
	"graphql": true, "java": true, "js": true, "jsc": true, "node": true, "oas": true, "properties": true,
	"py": true, "template": true, "wsdl": true, "xsd": true, "xsl": true,
}

func (l *loader) resource(f file, rest string) {
	typ, name, ok := strings.Cut(rest, "/")
	pos := Pos{File: f.name}
	switch {
	case !ok:
		l.problems.Warnf(pos, "the file is in no folder of resources, it is ignored")
		return
	case !resourceTypes[typ]:
		l.problems.Warnf(pos, "%s is not a type of resource", typ)
	case len(f.data) > MaxResourceBytes:
		l.problems.Errorf(pos, "resource has %d bytes, the limit is %d", len(f.data), MaxResourceBytes)
	case typ == "properties" && len(f.data) > MaxPropertySet:
		l.problems.Errorf(pos, "property set has %d bytes, the limit is %d", len(f.data), MaxPropertySet)
	}
	l.Resources = append(l.Resources, &Resource{Type: typ, Name: name, File: f.name, Data: f.data})
}

// parsePolicy reads what every policy has; the rest is its package's.
func parsePolicy(name string, root *Element, problems *Problems) *Policy {
	p := &Policy{Kind: root.Name, File: name, Root: root, Enabled: true}
	p.Name, _ = root.Attr("name")
	p.Name = strings.TrimSpace(p.Name)
	checkName(root.Pos, root.Name, p.Name, problems)
	boolAttr(root, "enabled", &p.Enabled, problems)
	boolAttr(root, "continueOnError", &p.ContinueOnError, problems)
	boolAttr(root, "async", &p.Async, problems)
	if c := root.Child("DisplayName"); c != nil {
		p.DisplayName = c.TrimText()
	}
	return p
}

// boolAttr words its complaint as Decode does, so that it shows once.
func boolAttr(el *Element, name string, into *bool, problems *Problems) {
	text, ok := el.Attr(name)
	if text = strings.TrimSpace(text); !ok || text == "" {
		return
	}
	b, ok := ParseBool(text)
	if !ok {
		problems.Errorf(el.Pos, "%s is %q, want true or false", subject{el.Name, name}, text)
		return
	}
	*into = b
}

// checkUnread reports XML beside the folders that cannot be read: as an error if
// the descriptor may be among it.
func (l *loader) checkUnread() {
	for _, err := range l.unread {
		if l.Descriptor == nil {
			l.problems.Add(Pos{}, err)
			continue
		}
		for _, p := range err.(Problems) {
			l.problems.Warnf(p.Pos, "%s", p.Message)
		}
	}
}

// check looks at the bundle as a whole.
func (l *loader) check() {
	l.checkCounts()
	l.checkUnread()
	l.checkFileNames()
	unique(&l.problems, "policy", l.Policies, func(p *Policy) (string, Pos) { return p.Name, p.Pos() })
	unique(&l.problems, "ProxyEndpoint", l.Proxies, func(p *ProxyEndpoint) (string, Pos) { return p.Name, p.Pos })
	unique(&l.problems, "TargetEndpoint", l.Targets, func(t *TargetEndpoint) (string, Pos) { return t.Name, t.Pos })
	unique(&l.problems, "IntegrationEndpoint", l.Integrations, func(i *IntegrationEndpoint) (string, Pos) { return i.Name, i.Pos })
	unique(&l.problems, "SharedFlow", l.SharedFlows, func(f *SharedFlow) (string, Pos) { return f.Name, f.Pos })
	unique(&l.problems, "base path", l.Proxies, func(p *ProxyEndpoint) (string, Pos) {
		if p.Connection == nil {
			return "", p.Pos
		}
		return p.Connection.BasePath, p.Connection.BasePathPos
	})
	l.checkSteps()
	for _, p := range l.Proxies {
		for _, r := range p.RouteRules {
			l.checkRoute(r)
		}
	}
}

// unique reports the second and later of things with one name.
func unique[T any](problems *Problems, what string, list []T, key func(T) (string, Pos)) {
	first := make(map[string]Pos, len(list))
	for _, x := range list {
		name, pos := key(x)
		if name == "" {
			continue
		}
		if other, dup := first[name]; dup {
			problems.Errorf(pos, "%s %q is also in %s", what, name, other)
			continue
		}
		first[name] = pos
	}
}

// checkFileNames warns of policies in files of other names, which Apigee Edge takes
// and Apigee X refuses.
//
// Source: https://github.com/apigee/wsdl2apigee/issues/33
func (l *loader) checkFileNames() {
	for _, p := range l.Policies {
		base := path.Base(p.File)
		if name := strings.TrimSuffix(base, path.Ext(base)); p.Name != "" && name != p.Name {
			l.problems.Warnf(p.Pos(), "policy %q is in a file of another name: Apigee X wants it in policies/%s.xml", p.Name, p.Name)
		}
	}
}

func (l *loader) checkCounts() {
	root := Pos{File: l.Kind.Folder()}
	switch {
	case l.Kind == KindAPIProxy && len(l.Proxies) == 0 && !l.failed("proxies/"):
		l.problems.Errorf(root, "The proxy must contain a ProxyEndpoint")
	case l.Kind == KindSharedFlow && len(l.SharedFlows) == 0 && !l.failed("sharedflows/"):
		l.problems.Errorf(root, "The shared flow must contain a SharedFlow")
	}
	if n := len(l.Proxies); n > MaxProxyEndpoints {
		l.problems.Errorf(root, "%d ProxyEndpoints, the limit is %d", n, MaxProxyEndpoints)
	}
	if n := len(l.Targets); n > MaxTargetEndpoints {
		l.problems.Errorf(root, "%d TargetEndpoints, the limit is %d", n, MaxTargetEndpoints)
	}
	if n := l.count("properties"); n > MaxPropertySets {
		l.problems.Errorf(root, "%d property sets, the limit is %d", n, MaxPropertySets)
	}
	if f := l.Bundle.SharedFlow(); f != nil && len(l.SharedFlows) > 1 {
		l.problems.Warnf(root, "%d SharedFlows, only %q runs", len(l.SharedFlows), f.Name)
	}
}

// failed says whether a file of folder could not be read: the folder is not
// empty then.
func (l *loader) failed(folder string) bool {
	return slices.ContainsFunc(l.problems, func(p Problem) bool {
		return !p.Warning && strings.HasPrefix(p.File, folder)
	})
}

func (l *loader) count(typ string) (n int) {
	for _, r := range l.Resources {
		if r.Type == typ {
			n++
		}
	}
	return n
}

func (l *loader) checkSteps() {
	policies := make(map[string]bool, len(l.Policies))
	for _, p := range l.Policies {
		policies[p.Name] = true
	}
	for s := range l.Steps() {
		if s.Name != "" && !policies[s.Name] {
			l.problems.Errorf(s.Pos, "step %q names no policy of the bundle", s.Name)
		}
	}
}

// Steps yields every step of every flow and fault rule.
func (b *Bundle) Steps() iter.Seq[*Step] {
	return func(yield func(*Step) bool) {
		for _, list := range b.stepLists() {
			for _, s := range list {
				if !yield(s) {
					return
				}
			}
		}
	}
}

func (b *Bundle) stepLists() [][]*Step {
	var lists [][]*Step
	for _, p := range b.Proxies {
		lists = append(lists, p.stepLists()...)
		if f := p.PostClientFlow; f != nil {
			lists = append(lists, f.Request, f.Response)
		}
	}
	for _, t := range b.Targets {
		lists = append(lists, t.stepLists()...)
	}
	for _, f := range b.SharedFlows {
		lists = append(lists, f.Steps)
	}
	return lists
}

func (e *Endpoint) stepLists() [][]*Step {
	var lists [][]*Step
	for _, f := range slices.Concat([]*Flow{e.PreFlow}, e.Flows, []*Flow{e.PostFlow}) {
		if f != nil {
			lists = append(lists, f.Request, f.Response)
		}
	}
	if f := e.EventFlow; f != nil {
		lists = append(lists, f.Request, f.Response)
	}
	for _, r := range e.FaultRules {
		lists = append(lists, r.Steps)
	}
	if r := e.DefaultFaultRule; r != nil {
		lists = append(lists, r.Steps)
	}
	return lists
}

func (l *loader) checkRoute(r *RouteRule) {
	if r.TargetEndpoint != "" && l.Target(r.TargetEndpoint) == nil {
		l.problems.Errorf(r.Pos, "RouteRule %q names TargetEndpoint %q, which the bundle does not hold", r.Name, r.TargetEndpoint)
	}
	if r.IntegrationEndpoint != "" && l.Integration(r.IntegrationEndpoint) == nil {
		l.problems.Errorf(r.Pos, "RouteRule %q names IntegrationEndpoint %q, which the bundle does not hold", r.Name, r.IntegrationEndpoint)
	}
}

// errNoBundle is what is missing when neither folder is found.
func errNoBundle(where string) error {
	return fmt.Errorf("%s holds no %s or %s folder", where, KindAPIProxy.Folder(), KindSharedFlow.Folder())
}
