package rhino

import (
	"strings"
	"testing"
	"time"

	"github.com/dop251/goja"
)

const petJSON = `{"id":7,"name":"Rex","tags":["a","b"],"price":12.5,"owner":{"name":"Ann","age":42}}`

// BenchmarkParseJSON compares ParseJSON with goja's own JSON.parse.
func BenchmarkParseJSON(b *testing.B) {
	text := "[" + strings.Repeat(petJSON+",", 999) + "{}]"
	b.Run("rhino", func(b *testing.B) {
		r := Link(nil).Start(Options{Limit: time.Hour, Hosts: none{}})
		defer r.Close()
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			r.ParseJSON(text)
		}
	})
	b.Run("goja", func(b *testing.B) {
		vm := goja.New()
		parse, _ := goja.AssertFunction(vm.Get("JSON").(*goja.Object).Get("parse"))
		v := vm.ToValue(text)
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			parse(nil, v)
		}
	})
}
