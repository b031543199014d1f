package management

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
)

// maxForm is what a multipart body may have beside its files, in bytes.
const maxForm = 1 << 20

// upload is a body with files, as a form or on its own.
type upload struct {
	// parts are the files and fields of a form by name. A body that is not a
	// form is the part "".
	parts map[string][]byte
	first string // name of the first file
}

// file is the named part, or the body itself if it is not a form.
func (u *upload) file(name string) []byte {
	if data, ok := u.parts[name]; ok {
		return data
	}
	return u.parts[""]
}

// any is the first file, whatever its name: apigeecli calls it proxy, the
// documentation file.
func (u *upload) any() []byte { return u.parts[u.first] }

// upload reads the body's files; all of them together may have at most limit
// bytes.
func (c *call) upload(limit int64) (*upload, error) {
	if !strings.HasPrefix(c.mediaType(), "multipart/") {
		data, err := c.body(limit)
		return &upload{parts: map[string][]byte{"": data}}, err
	}
	if err := c.bound(limit + maxForm); err != nil {
		return nil, err
	}
	form, err := c.r.MultipartReader()
	if err != nil {
		return nil, invalid("the multipart body cannot be read: %s", err)
	}
	u, err := readForm(form, limit)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, tooLarge(limit)
	}
	return u, err
}

func tooLarge(limit int64) error {
	return invalid("Request payload size exceeds the limit: %d bytes.", limit)
}

// maxParts bounds the parts of a form.
const maxParts = 16

func readForm(form *multipart.Reader, limit int64) (*upload, error) {
	u := &upload{parts: map[string][]byte{}}
	isFile := false
	for n := 0; ; n++ {
		part, err := form.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, unreadable(err)
		}
		if n == maxParts {
			return nil, invalid("the multipart body has more than %d parts", maxParts)
		}
		data, err := io.ReadAll(io.LimitReader(part, limit+1))
		if err != nil {
			return nil, unreadable(err)
		}
		if limit -= int64(len(data)); limit < 0 {
			return nil, invalid("the files of the multipart body are too large")
		}
		name := part.FormName()
		if _, twice := u.parts[name]; twice {
			continue
		}
		u.parts[name] = data
		if n == 0 || !isFile && part.FileName() != "" {
			u.first, isFile = name, part.FileName() != ""
		}
	}
	if len(u.parts) == 0 {
		return nil, invalid("the multipart body has no parts")
	}
	return u, nil
}

func unreadable(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	return &badRequest{message: fmt.Sprintf("the multipart body cannot be read: %s", err)}
}
