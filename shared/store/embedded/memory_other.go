//go:build !linux

package embedded

import "os"

// memoryFile opens a nameless temporary file: these systems have no files in
// memory.
func memoryFile(string, int, os.FileMode) (*os.File, error) { return temporaryFile() }
