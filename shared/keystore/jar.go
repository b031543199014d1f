package keystore

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// descriptor is the file of a keystore JAR that names the others.
const descriptor = "META-INF/descriptor.properties"

// fromJAR makes the alias of a keystore JAR: a zip archive whose descriptor
// names the certificate file and the key file.
// https://docs.apigee.com/api-platform/system-administration/creating-keystores-and-truststore-cloud-using-edge-management-api
func (u Upload) fromJAR() (Alias, error) {
	if len(u.File) == 0 {
		return Alias{}, errors.New("file is missing")
	}
	archive, err := zip.NewReader(bytes.NewReader(u.File), int64(len(u.File)))
	if err != nil {
		return Alias{}, fmt.Errorf("file is not a JAR: %w", err)
	}
	raw, err := readEntry(archive, descriptor)
	if err != nil {
		return Alias{}, err
	}
	names := properties(string(raw))
	certFile, err := readEntry(archive, names["certFile"])
	if err != nil {
		return Alias{}, fmt.Errorf("certFile of %s: %w", descriptor, err)
	}
	var keyFile []byte
	if name := names["keyFile"]; name != "" {
		if keyFile, err = readEntry(archive, name); err != nil {
			return Alias{}, fmt.Errorf("keyFile of %s: %w", descriptor, err)
		}
	}
	return u.fromFiles(certFile, keyFile)
}

// readEntry reads a file of an archive by its exact name. Nothing is written
// to disk, so names need no further care.
func readEntry(archive *zip.Reader, name string) ([]byte, error) {
	for _, f := range archive.File {
		if f.Name != name || name == "" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		defer r.Close() //nolint:errcheck // only read
		data, err := io.ReadAll(io.LimitReader(r, maxUpload+1))
		if err == nil && len(data) > maxUpload {
			err = fmt.Errorf("it has more than %d bytes", maxUpload)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return data, nil
	}
	return nil, fmt.Errorf("the JAR has no file %q", name)
}

// properties reads the simple form of a Java properties file: name=value or
// name:value by line, comments after # or !.
func properties(text string) map[string]string {
	props := map[string]string{}
	for line := range strings.Lines(strings.ReplaceAll(text, "\r", "\n")) {
		line = strings.TrimSpace(line)
		if i := strings.IndexAny(line, "=:"); i > 0 && line[0] != '#' && line[0] != '!' {
			props[strings.TrimSpace(line[:i])] = strings.TrimSpace(line[i+1:])
		}
	}
	return props
}
