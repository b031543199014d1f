package boot

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	good := Config{Store: "firestore:p/d", Keystore: "secretmanager:p", LogFormat: "json", LogLevel: "info"}
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"good", func(*Config) {}, ""},
		{"embedded", func(c *Config) { c.Store, c.Keystore = "embedded:/nowhere/at/all", "local:/nowhere" }, ""},
		{"memory", func(c *Config) { c.Store, c.Keystore = "memory:", "memory:" }, ""},
		{"no project", func(c *Config) { c.Store = "firestore:" }, "names no project"},
		{"no directory", func(c *Config) { c.Store = "embedded:" }, "names no directory"},
		{"unknown store", func(c *Config) { c.Store = "redis:x" }, "is none of"},
		{"unknown keystore", func(c *Config) { c.Keystore = "vault:x" }, "is neither"},
		{"no keystore project", func(c *Config) { c.Keystore = "secretmanager:" }, "names no project"},
		{"log level", func(c *Config) { c.LogLevel = "loud" }, "log level"},
		{"log format", func(c *Config) { c.LogFormat = "xml" }, "log format"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good
			c.change(&config)
			err := config.Check()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
