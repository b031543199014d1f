// Package logfile appends lines to log files and rotates them. It implements
// policy.LogFiles for hosts that have a directory of their own: a laptop, a
// virtual machine.
//
// A file is DIR/ORG/ENV/PROXY/REVISION/POLICY/NAME; older ones have the suffixes
// .1, .2 and so on, the newest first. A line is written when Append returns.
package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/perigee-gateway/perigee/shared/policy"
)

// maxOpen bounds the files held open; when there are more, all are closed and
// opened again as they are written to.
const maxOpen = 256

// Dir writes beneath one directory.
type Dir struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	open map[policy.LogFile]*file
}

// file is a file being written to.
type file struct {
	*os.File
	path  string
	size  int64
	began time.Time
}

// New returns a Dir. Nothing is made before the first line.
func New(path string, now func() time.Time) *Dir {
	return &Dir{path: path, now: now, open: map[policy.LogFile]*file{}}
}

var _ policy.LogFiles = (*Dir)(nil)

// Append implements policy.LogFiles. Line feeds in the line are replaced by
// blanks.
func (d *Dir) Append(f policy.LogFile, r policy.Rotation, line []byte) error {
	line = append(bytes.Map(oneLine, bytes.TrimRight(line, "\r\n")), '\n')
	d.mu.Lock()
	defer d.mu.Unlock()
	out, err := d.file(f, r)
	if err != nil {
		return err
	}
	if out.due(r, int64(len(line)), d.now()) {
		delete(d.open, f)
		if err := out.rotate(r.Keep); err != nil {
			return fmt.Errorf("rotate %s: %w", out.path, err)
		}
		if out, err = d.file(f, policy.Rotation{}); err != nil {
			return err
		}
	}
	n, err := out.Write(line)
	out.size += int64(n)
	return err
}

func oneLine(r rune) rune {
	if r == '\n' || r == '\r' {
		return ' '
	}
	return r
}

// Close closes what is open.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closeAll()
}

func (d *Dir) closeAll() error {
	var errs []error
	for f, out := range d.open {
		errs = append(errs, out.Close())
		delete(d.open, f)
	}
	return errors.Join(errs...)
}

// file returns the open file, opening it and rotating first where r asks for it.
func (d *Dir) file(f policy.LogFile, r policy.Rotation) (*file, error) {
	if out := d.open[f]; out != nil {
		return out, nil
	}
	path, err := d.place(f)
	if err != nil {
		return nil, err
	}
	if len(d.open) >= maxOpen {
		_ = d.closeAll()
	}
	out, err := openFile(path, d.now())
	if err != nil {
		return nil, err
	}
	if r.AtStart && out.size > 0 {
		if err := out.rotate(r.Keep); err != nil {
			return nil, fmt.Errorf("rotate %s: %w", path, err)
		}
		if out, err = openFile(path, d.now()); err != nil {
			return nil, err
		}
	}
	d.open[f] = out
	return out, nil
}

// place is the path of a file. No part of it leads elsewhere.
func (d *Dir) place(f policy.LogFile) (string, error) {
	path := d.path
	for _, part := range []string{f.Organization, f.Environment, f.Proxy, f.Revision, f.Policy, f.Name} {
		if !filepath.IsLocal(part) || filepath.Base(part) != part || part == "." {
			return "", fmt.Errorf("log file: %q cannot be part of a path", part)
		}
		path = filepath.Join(path, part)
	}
	return path, os.MkdirAll(filepath.Dir(path), 0o750)
}

func openFile(path string, now time.Time) (*file, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	began := now
	if info.Size() > 0 && info.ModTime().Before(now) {
		began = info.ModTime()
	}
	return &file{File: f, path: path, size: info.Size(), began: began}, nil
}

// due reports whether the file must make room before n more bytes.
func (f *file) due(r policy.Rotation, n int64, now time.Time) bool {
	if f.size == 0 {
		return false
	}
	return r.MaxBytes > 0 && f.size+n > r.MaxBytes || r.Every > 0 && now.Sub(f.began) >= r.Every
}

// rotate closes the file and moves it out of the way, keeping so many old ones.
func (f *file) rotate(keep int) error {
	f.Close()
	if keep <= 0 {
		return os.Remove(f.path)
	}
	if err := os.Remove(f.old(keep)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for i := keep - 1; i > 0; i-- {
		if err := os.Rename(f.old(i), f.old(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(f.path, f.old(1))
}

func (f *file) old(n int) string { return f.path + "." + strconv.Itoa(n) }
