package bundle

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Limits bounds what is read. Zero fields take the values of DefaultLimits.
type Limits struct {
	ZipBytes   int64 // the archive
	TotalBytes int64 // all files, unpacked
	FileBytes  int64 // one file, unpacked
	Files      int   // entries, folders included
	Ratio      int64 // unpacked to packed, for files above 1 MiB

	// Kind is the kind of bundle to read from a source that holds one of each
	// beside each other; empty refuses such a source.
	Kind Kind
}

// DefaultLimits are Apigee's where it has one.
var DefaultLimits = Limits{
	ZipBytes:   MaxZipBytes,
	TotalBytes: 100 << 20,
	FileBytes:  MaxResourceBytes,
	Files:      10_000,
	Ratio:      100,
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits
	d.Kind = l.Kind
	if l.ZipBytes > 0 {
		d.ZipBytes = l.ZipBytes
	}
	if l.TotalBytes > 0 {
		d.TotalBytes = l.TotalBytes
	}
	if l.FileBytes > 0 {
		d.FileBytes = l.FileBytes
	}
	if l.Files > 0 {
		d.Files = l.Files
	}
	if l.Ratio > 0 {
		d.Ratio = l.Ratio
	}
	return d
}

// Load reads a bundle from a directory (see LoadDir) or a zip file. The error
// of a bundle that was read but is not right is a Problems, for all Load
// functions; the bundle comes with it, its Warnings holding all problems, so
// that a compiler can report its own beside them.
func Load(name string) (*Bundle, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return LoadDir(name)
	}
	if info.Size() > MaxZipBytes {
		return nil, fmt.Errorf("%s: zip is larger than %d bytes", name, MaxZipBytes)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return LoadZip(data, Limits{})
}

// LoadDir reads a bundle from the folder apiproxy or sharedflowbundle, or the
// folder above it. Symbolic links are refused.
func LoadDir(name string) (*Bundle, error) {
	kind, files, problems, err := readDir(name)
	if err != nil {
		return nil, err
	}
	return assemble(kind, files, problems)
}

// LoadFS reads a bundle from a file system; the bundle folder may be its root,
// in it or one level down.
func LoadFS(fsys fs.FS) (*Bundle, error) {
	kind, files, problems, err := readFS(fsys, "", DefaultLimits)
	if err != nil {
		return nil, err
	}
	return assemble(kind, files, problems)
}

// LoadZip reads a bundle from a zip archive.
func LoadZip(data []byte, limits Limits) (*Bundle, error) {
	limits = limits.orDefault()
	zr, err := openZip(data, limits)
	if err != nil {
		return nil, err
	}
	kind, files, problems, err := readFS(zr, "", limits)
	if err != nil {
		return nil, err
	}
	return assemble(kind, files, problems)
}

func readDir(name string) (Kind, []file, Problems, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", nil, nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return "", nil, nil, err
	}
	defer root.Close()
	return readFS(root.FS(), filepath.Base(abs), DefaultLimits)
}

// readFS finds the bundle and reads its files. hint is what the root of fsys is
// called, if known.
func readFS(fsys fs.FS, hint string, limits Limits) (Kind, []file, Problems, error) {
	kind, dir, err := locate(fsys, hint, limits.Kind)
	if err != nil {
		return "", nil, nil, err
	}
	r := reader{fsys: fsys, dir: dir, limits: limits}
	if err := fs.WalkDir(fsys, dir, r.visit); err != nil {
		return "", nil, nil, err
	}
	return kind, r.files, r.problems, nil
}

// locate returns the kind and the folder of the bundle in fsys: beneath the
// root, the root itself, or one folder further down.
// Of one of each kind in the same place that of kind want is taken.
func locate(fsys fs.FS, hint string, want Kind) (Kind, string, error) {
	found := roots(fsys, ".")
	if len(found) == 0 {
		if kind := kindOf(fsys, hint); kind != "" {
			return kind, ".", nil
		}
		entries, err := fs.ReadDir(fsys, ".")
		if err != nil {
			return "", "", err
		}
		for _, e := range entries {
			if e.IsDir() && !junk(e.Name()) {
				found = append(found, roots(fsys, e.Name())...)
			}
		}
	}
	if len(found) > 1 { // apigeecli puts an empty apiproxy/ beside a shared flow
		found = slices.DeleteFunc(found, func(dir string) bool { return !hasFile(fsys, dir) })
	}
	if len(found) > 1 && want != "" {
		found = slices.DeleteFunc(found, func(dir string) bool { return path.Base(dir) != want.Folder() })
	}
	switch len(found) {
	case 0:
		return "", "", errNoBundle("the source")
	case 1:
	default:
		return "", "", fmt.Errorf("more than one bundle: %s", strings.Join(found, ", "))
	}
	if path.Base(found[0]) == KindSharedFlow.Folder() {
		return KindSharedFlow, found[0], nil
	}
	return KindAPIProxy, found[0], nil
}

// roots returns the bundle folders directly in dir.
func roots(fsys fs.FS, dir string) []string {
	var found []string
	for _, k := range []Kind{KindAPIProxy, KindSharedFlow} {
		name := path.Join(dir, k.Folder())
		if isDir(fsys, name) {
			found = append(found, name)
		}
	}
	return found
}

func isDir(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.IsDir()
}

// hasFile reports whether there is a file under dir.
func hasFile(fsys fs.FS, dir string) bool {
	found := false
	_ = fs.WalkDir(fsys, dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return nil
		}
		found = true // also what cannot be read: reading it says why
		return fs.SkipAll
	})
	return found
}

// kindOf recognizes a root that is a bundle folder by its name or by the
// folders in it.
func kindOf(fsys fs.FS, hint string) Kind {
	for _, k := range []Kind{KindAPIProxy, KindSharedFlow} {
		if hint == k.Folder() {
			return k
		}
	}
	switch {
	case isDir(fsys, "proxies"):
		return KindAPIProxy
	case isDir(fsys, "sharedflows"):
		return KindSharedFlow
	}
	return ""
}

// junk holds for what editors, archivers and version control leave behind.
func junk(base string) bool {
	return strings.HasPrefix(base, ".") || strings.HasSuffix(base, "~") ||
		base == "__MACOSX" || base == "Thumbs.db" || base == "desktop.ini"
}

// reader collects the files of a bundle within limits.
type reader struct {
	fsys     fs.FS
	dir      string
	limits   Limits
	files    []file
	problems Problems
	entries  int
	total    int64
}

func (r *reader) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if r.entries++; r.entries > r.limits.Files {
		return fmt.Errorf("more than %d files", r.limits.Files)
	}
	rel := strings.TrimPrefix(strings.TrimPrefix(name, r.dir), "/")
	if r.dir == "." {
		rel = name
	}
	switch {
	case name == r.dir:
		return nil
	case junk(d.Name()) && d.IsDir():
		return fs.SkipDir
	case junk(d.Name()), d.IsDir():
		return nil
	case !d.Type().IsRegular():
		r.problems.Errorf(Pos{File: rel}, "symbolic links and special files are not allowed")
		return nil
	}
	return r.read(name, rel)
}

func (r *reader) read(name, rel string) error {
	f, err := r.fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := readAll(f, min(r.limits.FileBytes, r.limits.TotalBytes-r.total))
	if err != nil {
		return fmt.Errorf("%s: %w", rel, err)
	}
	r.total += int64(len(data))
	r.files = append(r.files, file{rel, data})
	return nil
}

// readAll reads f, which must not have more than limit bytes whatever its
// header says.
func readAll(f fs.File, limit int64) ([]byte, error) {
	var buf bytes.Buffer
	if info, err := f.Stat(); err == nil {
		buf.Grow(int(min(info.Size(), limit)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("too large: more than %d bytes are left for it", limit)
	}
	return buf.Bytes(), nil
}

// openZip opens an archive after looking at every name and size in its
// directory.
func openZip(data []byte, limits Limits) (*zip.Reader, error) {
	if int64(len(data)) > limits.ZipBytes {
		return nil, fmt.Errorf("zip is larger than %d bytes", limits.ZipBytes)
	}
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("read zip: %w", err)
	}
	if len(zr.File) > limits.Files {
		return nil, fmt.Errorf("zip has more than %d files", limits.Files)
	}
	names, total := make(map[string]bool, len(zr.File)), uint64(0)
	folders := make(map[string]bool)
	zr.File = slices.DeleteFunc(zr.File, func(f *zip.File) bool {
		if tidy(f) {
			return true
		}
		again := folders[f.Name] // harmless, and the reader does not take it
		folders[f.Name] = f.Mode().IsDir()
		return again
	})
	for _, f := range zr.File {
		if fault := entryFault(f, limits); fault != "" {
			return nil, fmt.Errorf("zip entry %q %s", f.Name, fault)
		}
		name := strings.TrimSuffix(f.Name, "/")
		if names[name] {
			return nil, fmt.Errorf("zip entry %q appears twice", f.Name)
		}
		names[name] = true
		if total += f.UncompressedSize64; total > uint64(limits.TotalBytes) {
			return nil, fmt.Errorf("zip unpacks to more than %d bytes", limits.TotalBytes)
		}
	}
	return zr, nil
}

// tidy puts the name of a zip entry as zip files have them, where an archiver did
// not: with / for Windows' \, without ./ before it, in UTF-8. It says whether
// nothing is left: ./ itself.
func tidy(f *zip.File) (empty bool) {
	if f.NonUTF8 && !utf8.ValidString(f.Name) { // MS-DOS's code page, APPNOTE.TXT appendix D
		if name, err := charmap.CodePage437.NewDecoder().String(f.Name); err == nil {
			f.Name = name
		}
	}
	f.Name = strings.ReplaceAll(f.Name, `\`, "/")
	if f.Mode().IsDir() && !strings.HasSuffix(f.Name, "/") {
		f.Name += "/"
	}
	dotted := strings.HasPrefix(f.Name, "./")
	for strings.HasPrefix(f.Name, "./") {
		f.Name = strings.TrimLeft(f.Name[2:], "/")
	}
	return dotted && f.Name == ""
}

// entryFault says why a zip entry is refused, or "".
func entryFault(f *zip.File, limits Limits) string {
	name := strings.TrimSuffix(f.Name, "/")
	size, packed := f.UncompressedSize64, f.CompressedSize64
	switch {
	case !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\:\x00"):
		return "has a name that is not a plain relative path"
	case f.Flags&1 != 0:
		return "is encrypted"
	case !f.Mode().IsRegular() && !f.Mode().IsDir():
		return "is a symbolic link or a special file"
	case size > uint64(limits.FileBytes):
		return fmt.Sprintf("is larger than %d bytes", limits.FileBytes)
	case size > 1<<20 && size/max(packed, 1) > uint64(limits.Ratio):
		return fmt.Sprintf("is packed more than %d times", limits.Ratio)
	}
	return ""
}
