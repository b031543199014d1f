// Command generate writes the files that are made from tables in the code:
//
//	docs/CONFIGURATION.md          from boot.Variables
//	infra/gcp/collections.tf.json  from store.Collections
//
// Run it with "go generate ./..."; its test fails when a file is not current.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/firestore"
)

//go:generate go run . ../..

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	for name, make := range files {
		if err := os.WriteFile(filepath.Join(root, name), make(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// files are what is generated, by path from the module's root.
var files = map[string]func() []byte{
	"docs/CONFIGURATION.md":         configuration,
	"infra/gcp/collections.tf.json": collections,
}

func configuration() []byte {
	var b bytes.Buffer
	b.WriteString(`# Configuration

<!-- Written by "go generate ./...": change shared/boot/config.go instead. -->

Functions and containers are configured by these environment variables;
` + "`perigee serve`" + ` has flags (` + "`perigee serve --help`" + `). An empty variable counts as one
that is not set. A value that cannot be read stops the process from answering
anything but 503, and the log says which it was.

| variable | default | |
|---|---|---|
`)
	for _, v := range boot.Variables {
		def := ""
		if v.Default != "" {
			def = "`" + v.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.Name, def, cell(v.Doc))
	}
	b.WriteString(`
Google's client libraries read more, among them:

| variable | |
|---|---|
| ` + "`GOOGLE_APPLICATION_CREDENTIALS`" + ` | File with the credentials to use, such as an external_account configuration. Not needed on Google Cloud. |
| ` + "`FIRESTORE_EMULATOR_HOST`" + ` | Address of a Firestore emulator to use instead. |
| ` + "`HTTPS_PROXY`, `NO_PROXY`" + ` | Proxy for outbound calls. |
`)
	return b.Bytes()
}

// cell escapes text for a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(s)
}

// collections is a Terraform file: what Firestore is told of each collection.
func collections() []byte {
	type collection struct {
		TTL bool `json:"ttl"`
	}
	table := map[string]collection{}
	for _, c := range store.Collections {
		table[c.Name] = collection{TTL: c.TTL}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	err := e.Encode(map[string]any{
		"//": `Written by "go generate ./..." from shared/store/collections.go.`,
		"locals": map[string]any{
			"collections":      table,
			"ttl_field":        firestore.ExpireAtField,
			"unindexed_fields": firestore.UnindexedFields(),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	return b.Bytes()
}
