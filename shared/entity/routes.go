package entity

import "strings"

// Node is a node of the routing index of an environment: the routes whose base
// paths begin with the node's segments. The root's has none.
//
// A node that is not split has all of them. One that is split has those that
// end at it or go on with a wildcard; the rest are in its children, which are
// nodes of their own with one more segment. The root is always split, others
// when they get large, so that a data plane reads little for a path whatever
// the number of routes.
type Node struct {
	Routes []Route `json:"routes,omitempty"`
	Split  bool    `json:"split,omitempty"`
	// Children are the next segments of the child nodes, sorted.
	Children []string `json:"children,omitempty"`
}

// BasePath is a base path as the routing index has it: without a trailing
// slash but for "/" alone.
func BasePath(path string) string {
	path = strings.TrimRight(path, "/")
	if path == "" {
		return "/"
	}
	return path
}

// CheckBasePath is an error if a base path cannot be deployed.
// Source: runtime reference, "Proxy selection and base paths"
func CheckBasePath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return Errorf(InvalidArgument, "base path %q does not begin with /", path)
	case path == "/":
		return nil
	case len(path) > 1000:
		return Errorf(InvalidArgument, "base path of %d bytes, at most 1000 are allowed", len(path))
	}
	for i, s := range Segments(path) {
		switch {
		case s == "" || s == "." || s == "..":
			return Errorf(InvalidArgument, "base path %q has an empty or relative segment", path)
		case s == "*" && i == 0:
			return Errorf(InvalidArgument, "base path %q begins with a wildcard", path)
		case s != "*" && strings.Contains(s, "*"):
			return Errorf(InvalidArgument, "base path %q has a wildcard that is not a whole segment", path)
		}
	}
	return nil
}

// Segments are the segments of a base path; none of "/".
func Segments(basePath string) []string {
	if basePath = BasePath(basePath); basePath == "/" {
		return nil
	}
	return strings.Split(basePath[1:], "/")
}
