package bundle

import "strings"

// UnknownElement reports that c is not an element of parent, and which of known it
// seems to misspell. Apigee ignores such elements (IgnoreValidationError in an
// SSLInfo is the usual one), so that they are warnings.
//
// Source: https://github.com/apigee/apigeelint/issues/437
func (ps *Problems) UnknownElement(c, parent *Element, known []string) {
	near, same := nearest(c.Name, known)
	switch {
	case same:
		ps.Warnf(c.Pos, "<%s> is not an element of <%s>; upper and lower case matter in <%s>", c.Name, parent.Name, near)
	case near != "":
		ps.Warnf(c.Pos, "<%s> is not an element of <%s>, did you mean <%s>?", c.Name, parent.Name, near)
	default:
		ps.Warnf(c.Pos, "<%s> is not an element of <%s>", c.Name, parent.Name)
	}
}

// unknownAttr is the same for attributes. Namespace declarations and xml: and
// xsi: attributes are welcome everywhere.
func (d decoder) unknownAttr(el *Element, name string, known []string) {
	prefix, _, _ := strings.Cut(name, ":")
	if prefix == "xmlns" || prefix == "xml" || prefix == "xsi" {
		return
	}
	near, same := nearest(name, known)
	if near != "" && !same {
		d.problems.Warnf(el.Pos, "%s is not an attribute of <%s>, did you mean %s?", name, el.Name, near)
		return
	}
	d.problems.Warnf(el.Pos, "%s is not an attribute of <%s>", name, el.Name)
}

// nearest returns the known name that name seems to misspell, or "". same is
// true if they differ in case only. A singular for a plural is another name.
func nearest(name string, known []string) (near string, same bool) {
	best := 3
	for _, k := range known {
		if strings.EqualFold(name, k) {
			return k, true
		}
		if len(name) < 4 || name+"s" == k || k+"s" == name {
			continue
		}
		if d := distance(name, k, best-1); d < best && 2*d < min(len(name), len(k)) {
			near, best = k, d
		}
	}
	return near, false
}

// distance counts the insertions, deletions, substitutions and swaps of
// neighbours that lead from a to b; above limit it returns limit+1.
func distance(a, b string, limit int) int {
	if len(a) > len(b)+limit || len(b) > len(a)+limit {
		return limit + 1
	}
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return min(prev[len(b)], limit+1)
}
