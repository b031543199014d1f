package boot

import (
	"fmt"
	"io"
	"strings"
)

// Check finds what is wrong with a configuration without opening anything: an
// unknown store or keystore, one without a place, a log level that does not exist.
func (c Config) Check() error {
	if _, err := NewLogger(io.Discard, c.LogFormat, c.LogLevel); err != nil {
		return err
	}
	if engine, where, _ := strings.Cut(c.Store, ":"); engine == "embedded" {
		if where == "" {
			return fmt.Errorf("store %q names no directory", c.Store)
		}
	} else if d, err := openStore(c.Store); err != nil {
		return err
	} else if err := d.Close(); err != nil {
		return err
	}
	_, err := openKeystore(c.Keystore)
	return err
}
