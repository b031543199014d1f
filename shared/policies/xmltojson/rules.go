package xmltojson

import (
	"strings"

	"github.com/perigee-gateway/perigee/shared/policy"
)

// rules are compiled options.
type rules struct {
	number, boolean, null bool
	nullValue             string
	block, defaultNS      string // "": declarations are dropped
	declarations          bool   // are attributes
	separator             string // "": prefixes are dropped
	textAlways            bool
	textName              string
	attrBlock, attrPrefix string
	prefix, suffix        string
	strip                 int
	arrays                *pathNode
}

// formats are the known conventions. xml.com is
// https://www.xml.com/pub/a/2006/05/31/converting-between-xml-and-json.html,
// google the one of GData, badgerFish http://www.sklar.com/badgerfish/.
var formats = map[string]rules{
	"xml.com":    {number: true, boolean: true, null: true, nullValue: "NULL", textName: "#text", attrPrefix: "@"},
	"yahoo":      {number: true, boolean: true, null: true, nullValue: "NULL", textName: "content"},
	"google":     {textAlways: true, textName: "$t", separator: "$", declarations: true},
	"badgerFish": {textAlways: true, textName: "$", attrPrefix: "@", separator: ":", block: "@xmlns", defaultNS: "$"},
}

func (o *Options) compile(env *policy.Env) *rules {
	if o.StripLevels < 0 {
		env.Errorf(o.Pos, "<StripLevels> is %d, want 0 or more", o.StripLevels)
	}
	return &rules{
		number: o.RecognizeNumber, boolean: o.RecognizeBoolean, null: o.RecognizeNull, nullValue: o.NullValue,
		block: o.NamespaceBlockName, defaultNS: o.DefaultNamespaceNodeName, separator: o.NamespaceSeparator,
		textAlways: o.TextAlwaysAsProperty, textName: o.TextNodeName,
		attrBlock: o.AttributeBlockName, attrPrefix: o.AttributePrefix,
		prefix: o.OutputPrefix, suffix: o.OutputSuffix, strip: o.StripLevels,
		arrays: compilePaths(env, o.TreatAsArray),
	}
}

// pathNode is an element on the way of a <Path>.
type pathNode struct {
	kids          map[string]*pathNode
	array, unwrap bool
}

func compilePaths(env *policy.Env, paths []Path) *pathNode {
	if len(paths) == 0 {
		return nil
	}
	root := &pathNode{}
	for _, p := range paths {
		n := root
		for name := range strings.SplitSeq(strings.Trim(strings.TrimSpace(p.Names), "/"), "/") {
			if name = strings.TrimSpace(name); name == "" {
				env.Errorf(p.Pos, "<Path> %q is no path of element names", p.Names)
				break
			}
			n = n.step(name)
		}
		n.array, n.unwrap = true, n.unwrap || p.Unwrap
	}
	return root
}

func (n *pathNode) step(name string) *pathNode {
	if k := n.kids[name]; k != nil {
		return k
	}
	if n.kids == nil {
		n.kids = map[string]*pathNode{}
	}
	k := &pathNode{}
	n.kids[name] = k
	return k
}

// find returns the child of a path called name, as it is called in the JSON or
// as it is written.
func (n *pathNode) find(name, written []byte) *pathNode {
	if n == nil {
		return nil
	}
	if k := n.kids[string(name)]; k != nil {
		return k
	}
	return n.kids[string(written)]
}
