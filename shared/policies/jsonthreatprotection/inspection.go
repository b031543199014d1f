package jsonthreatprotection

import "github.com/perigee-gateway/perigee/shared/jsontoken"

// MaxDepth is how deep objects and arrays may be nested where the policy does
// not say.
const MaxDepth = 10_000

// inspection is the state of reading one body.
type inspection struct {
	scan   jsontoken.Scanner
	counts []int32 // members or elements of every container that is open
	arrays []bool  // which of them are arrays
}

func (in *inspection) release() {
	in.scan.Reset(nil, 0)
	inspections.Put(in)
}

// run reads a body and returns what is exceeded, at the token that the scanner
// is at then; or why the body is no JSON.
func (in *inspection) run(body []byte, l *limits) (exceeded string, err error) {
	in.scan.Reset(body, 0)
	in.counts, in.arrays = in.counts[:0], in.arrays[:0]
	for {
		kind, err := in.scan.Next()
		if kind == jsontoken.EOF || err != nil {
			return "", err
		}
		if what := in.token(kind, l); what != "" {
			return what, nil
		}
	}
}

// token looks at one token.
func (in *inspection) token(kind jsontoken.Kind, l *limits) (exceeded string) {
	switch kind {
	case jsontoken.Name:
		if in.count(l.entries) {
			return "object entry count"
		}
		if longer(in.scan.Data(), l.name) {
			return "object entry name length"
		}
		return ""
	case jsontoken.ObjectEnd, jsontoken.ArrayEnd:
		in.counts, in.arrays = in.counts[:len(in.counts)-1], in.arrays[:len(in.arrays)-1]
		return ""
	}
	if n := len(in.arrays); n > 0 && in.arrays[n-1] && in.count(l.elements) {
		return "array element count"
	}
	switch kind {
	case jsontoken.String:
		if longer(in.scan.Data(), l.text) {
			return "string value length"
		}
	case jsontoken.ObjectStart, jsontoken.ArrayStart:
		in.counts, in.arrays = append(in.counts, 0), append(in.arrays, kind == jsontoken.ArrayStart)
		if depth := len(in.counts); depth > MaxDepth || l.depth >= 0 && depth > l.depth {
			return "container depth"
		}
	}
	return ""
}

// count counts a member or an element and says whether it is one too many.
func (in *inspection) count(limit int) bool {
	top := &in.counts[len(in.counts)-1]
	*top++
	return limit >= 0 && int(*top) > limit
}

// longer reports whether a string is longer than a limit. It is never shorter in
// bytes than it is long, so most need not be counted.
func longer(data []byte, limit int) bool {
	return limit >= 0 && len(data) > limit && jsontoken.Length(data) > limit
}
