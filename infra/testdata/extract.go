//go:build ignore

// Extract writes a list of what Terraform resources take and give, in the form
// that infra_test.go reads, from the documented schema that the npm packages
// @cdktf/provider-google and @cdktn/provider-aws carry as typed bindings with a
// link to the page of every argument:
//
//	npm pack @cdktf/provider-google@16.12.1 && tar xzf cdktf-provider-google-16.12.1.tgz
//	go run infra/testdata/extract.go package/lib hashicorp/google 6.50.0 google_firestore_field ... > infra/testdata/google.json
//
// Only names and types are kept.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

type attribute struct {
	Type     any  `json:"type"`
	Required bool `json:"required,omitempty"`
	Optional bool `json:"optional,omitempty"`
	Computed bool `json:"computed,omitempty"`
}

type nested struct {
	Nesting  string `json:"nesting"` // list, set, single
	Max      int    `json:"max,omitempty"`
	Required bool   `json:"required,omitempty"`
	Block    *block `json:"block"`
}

type block struct {
	Attributes map[string]attribute `json:"attributes"`
	Blocks     map[string]nested    `json:"blocks,omitempty"`
}

func main() {
	lib, provider, version := os.Args[1], os.Args[2], os.Args[3]
	out := struct {
		Provider  string            `json:"provider"`
		Version   string            `json:"version"`
		Resources map[string]*block `json:"resources"`
		Data      map[string]*block `json:"data"`
	}{Provider: provider, Version: version, Resources: map[string]*block{}, Data: map[string]*block{}}
	_, prefix, _ := strings.Cut(provider, "/")
	for _, name := range os.Args[4:] {
		if data, ok := strings.CutPrefix(name, "data."); ok {
			out.Data[data] = read(filepath.Join(lib, dir("data_"+data)), "TerraformDataSource")
			continue
		}
		out.Resources[name] = read(filepath.Join(lib, dir(strings.TrimPrefix(name, prefix+"_"))), "TerraformResource")
	}

	b, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	// One line for each resource.
	b = regexp.MustCompile(`("(?:google|aws)_\w+":\{"attributes")`).ReplaceAll(b, []byte("\n$1"))
	os.Stdout.Write(append(b, '\n'))
}

func dir(name string) string { return strings.ReplaceAll(name, "_", "-") }

var (
	sourceMap = regexp.MustCompile(`sourceMappingURL=data:application/json;base64,(\S+)`)
	classAt   = regexp.MustCompile(`(?m)^export class (\w+) extends cdkt[fn]\.(\w+)`)
	attrAt    = regexp.MustCompile(`(?m)^  // (\w+) - computed: (\w+), optional: (\w+), required: (\w+)`)
	nestedAt  = regexp.MustCompile(`new (\w+?)(OutputReference|List|Map)\(this, "(\w+)"(?:, (\w+))?\)`)
	mapAt     = regexp.MustCompile(`new cdkt[fn]\.(String|Number|Boolean)Map\(this, "(\w+)"\)`)
	getter    = regexp.MustCompile(`(cdkt[fn]\.Fn\.tolist\()?this\.get(\w+)Attribute\('(\w+)'\)|this\.interpolationForAttribute\('(\w+)'\)`)
	hclAt     = regexp.MustCompile(`(?m)^ {4,6}(\w+): \{\n\s+value: [^\n]*\n\s+isBlock: (\w+),\n\s+type: "(\w+)",\n\s+storageClassType: "(\w+)"`)
	hclFunc   = regexp.MustCompile(`(?m)^export function (\w+)ToHclTerraform`)
)

type source struct {
	classes map[string]string            // class -> text
	blocks  map[string]map[string]string // class -> names that are blocks -> type
}

func read(path, base string) *block {
	text := typescript(filepath.Join(path, "index.js"))
	s := source{classes: map[string]string{}, blocks: map[string]map[string]string{}}
	// Big resources are split: all their structs are in other files.
	files, _ := filepath.Glob(filepath.Join(path, "index-structs", "*.js"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && sourceMap.Match(b) {
			text += "\n" + typescript(f)
		}
	}
	starts := classAt.FindAllStringSubmatchIndex(text, -1)
	root := ""
	for i, m := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		name := text[m[2]:m[3]]
		s.classes[name] = text[m[0]:end]
		if text[m[4]:m[5]] == base {
			root = name
		}
	}
	if root == "" {
		panic("no resource in " + path)
	}
	funcs := hclFunc.FindAllStringSubmatchIndex(text, -1)
	for i, m := range funcs {
		end := len(text)
		if i+1 < len(funcs) {
			end = funcs[i+1][0]
		}
		if j := strings.Index(text[m[0]:end], "\n}\n"); j > 0 {
			end = m[0] + j
		}
		s.hcl(strings.ToLower(text[m[2]:m[3]]), text[m[0]:end])
	}
	s.hcl(strings.ToLower(root), s.classes[root])
	b := s.block(root, strings.ToLower(root))
	delete(b.Blocks, "timeouts")
	{
		b.Blocks["timeouts"] = nested{Nesting: "single", Block: &block{Attributes: map[string]attribute{
			"create": {Type: "string", Optional: true}, "update": {Type: "string", Optional: true}, "delete": {Type: "string", Optional: true}}}}
	}
	return b
}

func (s *source) hcl(class, text string) {
	s.blocks[class] = map[string]string{}
	for _, m := range hclAt.FindAllStringSubmatch(text, -1) {
		if m[2] == "true" {
			s.blocks[class][m[1]] = m[3]
		}
	}
}

func (s *source) block(class, key string) *block {
	text, ok := s.classes[class]
	if !ok {
		text, ok = s.classes[class+"OutputReference"]
	}
	if !ok {
		panic("no class " + class)
	}
	b := &block{Attributes: map[string]attribute{}, Blocks: map[string]nested{}}
	marks := attrAt.FindAllStringSubmatchIndex(text, -1)
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		name, body := text[m[2]:m[3]], text[m[0]:end]
		a := attribute{Computed: text[m[4]:m[5]] == "true", Optional: text[m[6]:m[7]] == "true", Required: text[m[8]:m[9]] == "true"}
		if n := nestedAt.FindStringSubmatch(body); n != nil && n[3] == name {
			inner := s.block(n[1], strings.ToLower(n[1]))
			if kind := s.blocks[key][name]; kind != "" {
				ne := nested{Nesting: kind, Required: a.Required, Block: inner}
				if n[2] == "OutputReference" {
					ne.Max = 1
				}
				if kind == "struct" {
					ne.Nesting, ne.Max = "single", 0
				}
				b.Blocks[name] = ne
				continue
			}
			wrap := "list"
			if n[4] == "true" {
				wrap = "set"
			}
			a.Type = []any{wrap, object(inner)}
			if n[2] == "OutputReference" {
				a.Type = object(inner)
			}
			b.Attributes[name] = a
			continue
		}
		if strings.Contains(body, "IResolvable = ") {
			panic("unknown form of " + name)
		}
		a.Type = simple(class, name, body)
		b.Attributes[name] = a
	}
	return b
}

func simple(class, name, body string) any {
	for _, g := range getter.FindAllStringSubmatch(body, -1) {
		if g[3] != name && g[4] != name {
			continue
		}
		switch g[2] {
		case "String":
			return "string"
		case "Number":
			return "number"
		case "Boolean":
			return "bool"
		case "List":
			if g[1] != "" {
				return []any{"set", "string"}
			}
			return []any{"list", "string"}
		case "NumberList":
			return []any{"list", "number"}
		case "StringMap":
			return []any{"map", "string"}
		case "NumberMap":
			return []any{"map", "number"}
		case "BooleanMap":
			return []any{"map", "bool"}
		}
	}
	if m := mapAt.FindStringSubmatch(body); m != nil && m[2] == name {
		return []any{"map", strings.ToLower(strings.Replace(m[1], "Boolean", "Bool", 1))}
	}
	if strings.Contains(body, "constructor") || strings.Contains(body, "_"+camel(name)) {
		fmt.Fprintf(os.Stderr, "%s.%s: taken as a string\n", class, name)
	}
	return "string"
}

func camel(s string) string {
	parts := strings.Split(s, "_")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.Title(parts[i])
	}
	return strings.Join(parts, "")
}

func object(b *block) any {
	fields := map[string]any{}
	for n, a := range b.Attributes {
		fields[n] = a.Type
	}
	for n, x := range b.Blocks {
		fields[n] = []any{x.Nesting, object(x.Block)}
	}
	return []any{"object", fields}
}

func typescript(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	all := sourceMap.FindAllSubmatch(data, -1)
	m := all[len(all)-1]
	raw, err := base64.StdEncoding.DecodeString(string(m[1]))
	if err != nil {
		panic(err)
	}
	var sm struct{ SourcesContent []string }
	if err := json.Unmarshal(raw, &sm); err != nil {
		panic(err)
	}
	slices.Sort(sm.SourcesContent)
	return strings.Join(sm.SourcesContent, "\n")
}
