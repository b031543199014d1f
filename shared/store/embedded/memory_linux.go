package embedded

import (
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile opens a file that exists in memory only.
func memoryFile(string, int, os.FileMode) (*os.File, error) {
	fd, err := unix.MemfdCreate("perigee", unix.MFD_CLOEXEC)
	if err != nil {
		return temporaryFile()
	}
	return os.NewFile(uintptr(fd), "memory"), nil
}
