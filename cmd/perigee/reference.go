package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

//go:generate sh -c "go run . reference > ../../docs/CLI.md"

type referenceCmd struct{}

// Run prints docs/CLI.md.
func (referenceCmd) Run(k *kong.Kong, s streams) error {
	fmt.Fprint(s.out, "# Command line\n\n<!-- Written by \"go generate ./...\": change cmd/perigee instead. -->\n\n"+
		"`perigee COMMAND --help` says the same. Exit codes: 0, 1 if the command failed, 2 if it could\nnot be understood. Flags whose variable is named read it when they are not given.\n")
	for _, leaf := range k.Model.Leaves(true) {
		fmt.Fprintf(s.out, "\n## %s\n\n%s\n\n```\n%s\n```\n", strings.TrimSpace(leaf.FullPath()), leaf.Help, leaf.Summary())
		table(s, leaf)
	}
	return nil
}

func table(s streams, leaf *kong.Node) {
	var rows []string
	for _, p := range leaf.Positional {
		rows = append(rows, row(p.Summary(), "", "", p.Help))
	}
	for _, group := range leaf.AllFlags(true) {
		for _, f := range group {
			if f.Name == "help" {
				continue
			}
			def := ""
			if f.HasDefault && f.Default != "" && !f.IsBool() {
				def = "`" + f.Default + "`"
			}
			name := "--" + f.Name
			if !f.IsBool() {
				name += "=" + f.FormatPlaceHolder()
			}
			rows = append(rows, row(name, def, strings.Join(f.Envs, ", "), f.Help))
		}
	}
	if len(rows) > 0 {
		fmt.Fprintf(s.out, "\n| | default | variable | |\n|---|---|---|---|\n%s", strings.Join(rows, ""))
	}
}

func row(name, def, env, help string) string {
	if env != "" {
		env = "`" + env + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, def, env, strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(help))
}
