package firestore

import (
	"cmp"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perigee-gateway/perigee/shared/store"
)

func TestEscapeID(t *testing.T) {
	for _, c := range []struct{ id, want string }{
		{"a", "a"},
		{"a b-c_d~%2F@:", "a b-c_d~%2F@:"},
		{"_a_", "_a_"},
		{"a__", "a__"},
		{".", ".0"},
		{"..", ".0.0"},
		{"/", ".1"},
		{"org/env/v1.2", "org.1env.1v1.02"},
		{"__", "__"},
		{"___", "___0"},
		{"____", "___0_0"},
		{"__a__", "__a_0_0"},
		{"__a.b/c__", "__a.0b.1c_0_0"},
		{"日本/語", "日本.1語"},
	} {
		got, whole := escapeID(c.id)
		if got != c.want || !whole {
			t.Errorf("%q is escaped as %q, %t; want %q", c.id, got, whole, c.want)
		}
		if back, err := unescapeID(got); back != c.id || err != nil {
			t.Errorf("%q is unescaped as %q, %v", got, back, err)
		}
	}
}

func TestUnescapeRefuses(t *testing.T) {
	for _, s := range []string{".", "a.", ".2", "a.~b", "___", "__a__", "__a_1", "..0"} {
		if id, err := unescapeID(s); err == nil {
			t.Errorf("%q is taken for %q", s, id)
		}
	}
}

func TestLongIDs(t *testing.T) {
	a, wholeA := escapeID(strings.Repeat("/", 1500))
	b, wholeB := escapeID(strings.Repeat("/", 1499) + "a")
	if wholeA || wholeB || a == b || len(a) > maxEscaped || len(b) > maxEscaped {
		t.Errorf("got %d bytes, %t, and %d bytes, %t", len(a), wholeA, len(b), wholeB)
	}
	if s, whole := escapeID(strings.Repeat("/", 750)); !whole || len(s) != 1500 {
		t.Errorf("what just fits is cut: %d bytes, %t", len(s), whole)
	}
}

func TestSuccessor(t *testing.T) {
	for _, c := range []struct{ prefix, want string }{
		{"", ""}, {"a", "b"}, {"a~", "a\x7f"}, {"-", ".0"}, {"a-", "a."}, {".1", ".2"},
		{"\u007f", "\u0080"}, {"\ud7ff", "\ue000"}, {"a\U0010ffff", "b"}, {"\U0010ffff", ""},
	} {
		if got := successor(c.prefix); got != c.want {
			t.Errorf("successor of %q is %q, want %q", c.prefix, got, c.want)
		}
	}
}

// reservedID is what Firestore refuses.
var reservedID = regexp.MustCompile(`(?s)^(\.|\.\.|__.*__)$`)

func FuzzEscapeID(f *testing.F) {
	for _, id := range []string{"a", ".", "..", "/", "__x__", "a/b.c", "-", "~", "日本", "\U0010ffff", strings.Repeat("./", 750)} {
		f.Add(id, "a")
		f.Add(id, id+"/")
		f.Add("__", id)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, id := range []string{a, b} {
			if id == "" || len(id) > store.MaxIDBytes || !utf8.ValidString(id) {
				return
			}
			checkEscape(t, id)
		}
		if c := cmp.Compare(escape(a), escape(b)); c != cmp.Compare(a, b) {
			t.Errorf("%q and %q compare %d escaped, %d unescaped", a, b, c, cmp.Compare(a, b))
		}
		if got, want := strings.HasPrefix(escape(a), escape(b)), strings.HasPrefix(a, b); got != want {
			t.Errorf("%q starts with %q: %t escaped, %t unescaped", a, b, got, want)
		}
		// The range of a prefix query holds what starts with it, and nothing else.
		start, end := escape(b), successor(escape(b))
		in := escape(a) >= start && (end == "" || escape(a) < end)
		if want := strings.HasPrefix(a, b); in != want {
			t.Errorf("%q is in the range of %q: %t, want %t", a, b, in, want)
		}
		if reservedID.MatchString(end) || strings.Contains(end, "/") || !utf8.ValidString(end) {
			t.Errorf("the range of %q ends at %q, which is no id", b, end)
		}
	})
}

func checkEscape(t *testing.T, id string) {
	t.Helper()
	s, whole := escapeID(id)
	if s == "" || len(s) > maxEscaped || !utf8.ValidString(s) || strings.Contains(s, "/") || reservedID.MatchString(s) {
		t.Errorf("%q is escaped as %q, which is no id", id, s)
	}
	back, err := unescapeID(s)
	if whole && (back != id || err != nil) {
		t.Errorf("%q is escaped as %q, back as %q, %v", id, s, back, err)
	}
	if !whole && err == nil {
		t.Errorf("%q is cut to %q, which is also the escape of %q", id, s, back)
	}
}

func TestCodes(t *testing.T) {
	for code, want := range map[codes.Code]store.Code{
		codes.AlreadyExists:      store.AlreadyExists,
		codes.InvalidArgument:    store.Invalid,
		codes.Aborted:            store.Conflict,
		codes.Unavailable:        store.Unavailable,
		codes.DeadlineExceeded:   store.Unavailable,
		codes.ResourceExhausted:  store.Unavailable,
		codes.Canceled:           store.Unavailable,
		codes.NotFound:           store.Internal, // the database
		codes.PermissionDenied:   store.Internal,
		codes.FailedPrecondition: store.Internal,
		codes.Unknown:            store.Internal,
	} {
		err := coded("get", store.Key{Collection: "apps", ID: "a"}, status.Error(code, "text"))
		var e *store.Error
		if !errors.As(err, &e) || e.Code != want {
			t.Errorf("%s becomes %v, want %s", code, err, want)
		}
	}
}
