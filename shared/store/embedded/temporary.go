package embedded

import (
	"errors"
	"os"
)

// temporaryFile opens a file of its own and takes its name away, so that it is
// gone when closed. Windows keeps the name of an open file, and so the file.
func temporaryFile() (*os.File, error) {
	f, err := os.CreateTemp("", "perigee-*.db")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, os.ErrPermission) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
