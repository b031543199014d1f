package flow_test

import (
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/flow"
)

type values map[string]string

func (s values) Variable(name string) flow.Value {
	if v, ok := s[name]; ok {
		return flow.StringValue(v)
	}
	return flow.Value{}
}

func (s values) Variables() iter.Seq2[string, flow.Value] {
	return func(yield func(string, flow.Value) bool) {
		for k, v := range s {
			if !yield(k, flow.StringValue(v)) {
				return
			}
		}
	}
}

// Variables of a Source behave as if each had been put.
func TestProvide(t *testing.T) {
	c := flow.New(&flow.Proxy{}, time.Now)
	defer c.Release()
	want := func(name, text string) {
		t.Helper()
		if got := c.Get(name); got.String() != text || got.IsNull() != (text == "") {
			t.Errorf("%s is %q (null %t), want %q", name, got, got.IsNull(), text)
		}
	}
	c.PutText("key.K.name", "before")
	c.PutText("key.K.other", "kept")
	c.Provide("key.K.", values{"name": "n", "a.header.b": "property-like", "gone": "x"})
	c.Provide("", values{"client": "me"})
	want("key.K.name", "n")
	want("key.K.other", "kept")
	want("key.K.a.header.b", "property-like")
	want("key.K.none", "")
	want("key.L.name", "")
	want("client", "me")

	if err := c.Set("key.K.name", flow.StringValue("assigned")); err != nil {
		t.Fatal(err)
	}
	want("key.K.name", "assigned")
	for _, name := range []string{"key.K.name", "key.K.gone", "key.K.a.header.b"} {
		if err := c.Remove(name); err != nil {
			t.Fatal(err)
		}
		want(name, "")
	}
	c.Put("client", flow.Value{})
	want("client", "")
	got := slices.Sorted(maps.Keys(maps.Collect(c.Variables())))
	if !slices.Equal(got, []string{"key.K.other"}) {
		t.Errorf("variables %v", got)
	}

	c.Provide("key.K.", values{"name": "again"}) // the policy runs a second time
	want("key.K.name", "again")
	want("key.K.gone", "")
	s := c.Snapshot()
	if s.Text("key.K.name") != "again" {
		t.Error("the snapshot lacks what was provided")
	}
	got = slices.Sorted(maps.Keys(maps.Collect(c.Variables())))
	if !slices.Equal(got, []string{"key.K.name", "key.K.other"}) {
		t.Errorf("variables %v", got)
	}
}

// A context that goes back to the pool keeps nothing of a Source.
func TestProvideReleased(t *testing.T) {
	c := flow.New(&flow.Proxy{}, time.Now)
	c.Provide("p.", values{"a": "b"})
	c.Release()
	for range 10 {
		c := flow.New(&flow.Proxy{}, time.Now)
		if !c.Get("p.a").IsNull() {
			t.Fatal("a variable of another call")
		}
		defer c.Release()
	}
}
